"""Fused labels against the truth that the simulator's reviewers tried to see.

`python -m benchmarks.labels` prints the tables of docs/explanation/labels.md.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.labels import label_subjects
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import REAL_CLASSES, Case, Reviewer, draw_reviewers, review
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import COUNTS, REVIEWS, Votes, cast_votes

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


def mixed_reviewers(number: int, seed: int) -> tuple[Reviewer, ...]:
    """Return reviewers of a wider range of skill than the simulator's own; their level says nothing."""
    rng = np.random.default_rng([seed, 7])
    skills = rng.uniform(0.6, 0.97, (number, 2))
    return tuple(
        Reviewer(
            name=f"reviewer-{number:02d}",
            sensitivity=float(sensitivity),
            specificity=float(specificity),
            class_skill=0.85,
            level=None,
            activity=float(rng.lognormal(0, 0.5)),
        )
        for number, (sensitivity, specificity) in enumerate(skills)
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


@dataclass(frozen=True)
class Judged:
    """Shares of right labels; a tie is half right."""

    fused: float
    majority: float
    last: float
    coverage: float
    """Largest share of subjects, the surest first, of which the fused labels are 97 % right."""
    calibration_error: float
    """Mean distance of confidence and share of right labels, over ten bins of confidence."""


def judge_labels(reviewed: Reviewed) -> Judged:
    """Return how often labels are right, among the subjects of which a vote counts."""
    votes, size = reviewed.votes.take(reviewed.votes.state == COUNTS), len(reviewed.is_real)
    labels, _ = label_subjects(reviewed.votes, size, taxonomy())
    known = labels.n_votes > 0
    truth = np.where(reviewed.is_real, 1, -1)[known]
    said = np.where(votes.is_valid, 1, -1)
    last = np.zeros(size)
    last[votes.subject] = said  # votes are sorted by time
    sides = {
        "fused": np.where(labels.problem == "ambiguous", 0, np.where(labels.is_anomaly, 1, -1)),
        "majority": np.sign(np.bincount(votes.subject, said, size)),
        "last": last,
    }
    right = {name: (1 + side[known] * truth) / 2 for name, side in sides.items()}
    confidence = labels.confidence[known]
    return Judged(
        **{name: float(values.mean()) for name, values in right.items()},
        coverage=_coverage(right["fused"], confidence),
        calibration_error=_calibration_error(right["fused"], confidence),
    )


def _coverage(right: NDArray[np.float64], confidence: NDArray[np.float64]) -> float:
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= WANTED_ACCURACY)
    return float((enough[-1] + 1) / len(order)) if len(enough) else 0.0


def _calibration_error(right: NDArray[np.float64], confidence: NDArray[np.float64]) -> float:
    bins = np.clip(((confidence - 0.5) * 20).astype(int), 0, 9)
    count = np.bincount(bins, minlength=10)
    gap = np.bincount(bins, right, 10) - np.bincount(bins, confidence, 10)
    return float(np.abs(gap).sum() / count.sum())


def table(mixed: bool) -> list[str]:  # noqa: FBT001 - one of two tables
    """Return the lines of a table: each depth's mean over the seeds, and the least margin."""
    lines = [
        "| reviews each | fused | majority | last review | least margin of a seed | coverage at 97 % | calibration error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for depth in DEPTHS:
        found = []
        for seed in SEEDS:
            plan = SkyPlan(seed=seed, reviewers=12, reviews_per_subject=depth)
            reviewers = mixed_reviewers(12, seed) if mixed else draw_reviewers(plan)
            found.append(judge_labels(simulated(plan, reviewers, SUBJECTS)))
        margin = min(one.fused - max(one.majority, one.last) for one in found)
        means = {
            name: np.mean([getattr(one, name) for one in found])
            for name in Judged.__dataclass_fields__
        }
        lines.append(
            f"| {depth:g} | {means['fused']:.3f} | {means['majority']:.3f} | {means['last']:.3f} | "
            f"{margin:+.4f} | {means['coverage']:.2f} | {means['calibration_error']:.3f} |"
        )
    return lines


def one_reviewer() -> list[str]:
    """Return the lines of a table: one reviewer without levels, at any share of real ones."""
    lines = ["| share of real | signs kept | confidence |", "| --- | --- | --- |"]
    plan = SkyPlan(seed=0, single_reviewer=True, reviewers=1, reviews_per_subject=1)
    for share in (0.02, 0.1, 0.35, 0.5, 0.9):
        reviewed = simulated(plan, draw_reviewers(plan), SUBJECTS, share)
        votes = reviewed.votes.take(reviewed.votes.state == COUNTS)
        labels, _ = label_subjects(reviewed.votes, SUBJECTS, taxonomy())
        kept = (labels.is_anomaly[votes.subject] == votes.is_valid).mean()
        levels = sorted({f"{value:.2f}" for value in labels.confidence[votes.subject]})
        lines.append(f"| {share:g} | {kept:.0%} | {', '.join(levels)} |")
    return lines


def main() -> None:
    """Print all tables."""
    for head, lines in (
        ("The simulator's own reviewers", table(mixed=False)),
        ("Reviewers between 0.60 and 0.97 who state no level", table(mixed=True)),
        ("One reviewer who states no level", one_reviewer()),
    ):
        sys.stdout.write(f"{head}\n\n" + "\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()
