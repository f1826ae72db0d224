"""What is known of the reviewers, and of what became of their votes."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from astrid_training.agreement import consistency
from astrid_training.fusion import Estimate
from astrid_training.labels import Labels
from astrid_training.votes import COUNTS, STATES, UNMAPPED, Votes

__all__ = ["review_notes", "reviewer_table"]

NOT_STATED = "none"


def review_notes(votes: Votes, labels: Labels, fused: Estimate) -> dict[str, Any]:
    """Return how many votes counted or not and why, what reviewers are worth, and how they agree.

    Keys: `votes` by state, `label_sources` and `unmapped_words` with counts, `reviewers` as in
    `reviewer_table`, `consistency` as in `agreement.consistency`, `prevalence` of real ones among
    the subjects that teach, or None where none does.

    Args:
        votes: all votes.
        labels: of their subjects.
        fused: the skills behind the labels.
    """
    states = Counter(np.array(STATES)[votes.state].tolist())
    words = votes.reviews["label"].filter(pa.array(votes.state == UNMAPPED)).to_pylist()
    return {
        "votes": dict(sorted(states.items())),
        "label_sources": dict(sorted(Counter(labels.source.tolist()).items())),
        "unmapped_words": dict(sorted(Counter(words).items())),
        "reviewers": reviewer_table(votes, labels, fused),
        "consistency": consistency(votes, len(labels.source)),
        "prevalence": float(fused.prior[1]) if fused.teaches.any() else None,
    }


def reviewer_table(votes: Votes, labels: Labels, fused: Estimate) -> list[dict[str, Any]]:
    """Return one row a validator with votes that count, by name.

    `votes` that count, `overlapping` ones that lie on a subject that teaches skills, `sensitivity`
    and `specificity` as learned there (the assumed 0.85 where nothing was), `agreement` with the label
    of subjects that others reviewed too (None where there are none), `levels` stated, `machine`.
    """
    counting = votes.take(votes.state == COUNTS)
    size = len(votes.names)
    agreed = counting.is_valid == labels.is_anomaly[counting.subject]
    shared = labels.n_votes[counting.subject] >= 2
    taught = counting.validator[~counting.gold][fused.teaches]

    def count(validator: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
        return [int(n) for n in np.bincount(validator, minlength=size)]

    number = count(counting.validator)
    overlapping, machine = count(taught), count(counting.validator[counting.machine])
    with_others = count(counting.validator[shared])
    agreeing = count(counting.validator[shared & agreed])
    levels = _levels_used(counting)
    return [
        {
            "validator": name,
            "votes": number[j],
            "overlapping": overlapping[j],
            "sensitivity": float(fused.skill[j, 1, 1]),
            "specificity": float(fused.skill[j, 0, 0]),
            "agreement": agreeing[j] / with_others[j] if with_others[j] else None,
            "levels": levels[j],
            "machine": machine[j] > 0,
        }
        for j, name in enumerate(votes.names)
        if number[j]
    ]


def _levels_used(votes: Votes) -> list[dict[str, int]]:
    """Return how often each validator stated which confidence, by level."""
    names = [*votes.levels, NOT_STATED]
    pairs = Counter(zip(votes.validator.tolist(), votes.level.tolist(), strict=True))
    used: list[dict[str, int]] = [{} for _ in votes.names]
    for (validator, level), number in sorted(pairs.items()):
        used[validator][names[level]] = number
    return used
