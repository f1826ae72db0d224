"""What people said of the images, beside what was measured on them."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_PAIRS", "RANKS", "image_quality_ranks", "spearman"]

RANKS = {"POOR": 0, "FAIR": 1, "GOOD": 2, "EXCELLENT": 3}
LEAST_PAIRS = 3  # fewer have no correlation to speak of

Floats = NDArray[np.float64]


def image_quality_ranks(votes: Sequence[str | None]) -> Floats:
    """Return per sample the mean rank of its reviews' image_quality, 0 poor to 3; NaN if none has it.

    Reviews that a later one of the same person supersedes are passed over; those that were set aside
    for their words are not, since the image is the same.

    Args:
        votes: (samples,) JSON lists as in the column `votes`.
    """
    means = np.full(len(votes), np.nan)
    for index, text in enumerate(votes):
        if text is None or '"image_quality": "' not in text:
            continue  # most have none, and parsing costs
        said = [
            RANKS[vote["image_quality"]]
            for vote in json.loads(text)
            if vote.get("image_quality") and vote["state"] != "superseded"
        ]
        if said:
            means[index] = sum(said) / len(said)
    return means


def spearman(a: Floats, b: Floats) -> float | None:
    """Return Spearman's rank correlation, ties sharing their mean rank; None if it is not defined.

    That is with fewer than three pairs, or where one side is all alike.
    """
    if len(a) < LEAST_PAIRS:
        return None
    first, second = (_ranks(values) for values in (a, b))
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm > 0 else None


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks
