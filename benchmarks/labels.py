"""Fused labels against the truth that the simulator's reviewers tried to see.

`python -m benchmarks.labels` prints the tables of docs/explanation/labels.md.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.labels import Labels, label_subjects
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import REAL_CLASSES, Case, Reviewer, draw_reviewers, review
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import REVIEWS, Votes, cast_votes

DEPTHS = (1.2, 1.8, 3.0, 6.0)
SEEDS = range(5)
SUBJECTS = 4000
REAL_SHARE = 0.35
WANTED_ACCURACY = 0.97
START = datetime(2024, 5, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Reviewed:
    """A set of simulated reviews, and the truth."""

    votes: Votes
    is_real: NDArray[np.bool_]
    classes: NDArray[np.str_]


def mixed(number: int, seed: int) -> tuple[Reviewer, ...]:
    """Return reviewers of a wider range of skill than the simulator's own; their level says nothing."""
    rng = np.random.default_rng([seed, 7])
    skills = rng.uniform(0.6, 0.97, (number, 2))
    return tuple(
        Reviewer(
            f"reviewer-{n:02d}", *map(float, skills[n]), 0.85, None, float(rng.lognormal(0, 0.5))
        )
        for n in range(number)
    )


def simulated(
    plan: SkyPlan, reviewers: tuple[Reviewer, ...], subjects: int, real_share: float = REAL_SHARE
) -> Reviewed:
    """Return reviews of `subjects` by the simulator's own rules."""
    rng = np.random.default_rng([plan.seed, 11])
    is_real = rng.random(subjects) < real_share
    classes = rng.choice(REAL_CLASSES, subjects)
    rows, of = [], []
    for subject in range(subjects):
        case = Case(
            true_class=str(classes[subject]),
            artifact="" if is_real[subject] else "artifact",
            snr=float(rng.uniform(6, 40)),
            shown_at=START,
            detections=1,
        )
        for number, one in enumerate(review(plan, reviewers, case, rng)):
            rows.append(
                {
                    "event_id": f"{subject:06d}-{number}",
                    "detection_id": str(subject),
                    "validator": one.reviewer,
                    "is_valid": one.is_valid,
                    "label": one.label,
                    "level": one.level,
                    "source": "human",
                    "at": one.at,
                    "changed": False,
                }
            )
            of.append(subject)
    votes = cast_votes(pa.Table.from_pylist(rows, REVIEWS), np.array(of), taxonomy())
    return Reviewed(votes, is_real, classes)
