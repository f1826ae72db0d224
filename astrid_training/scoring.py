"""From scores to how often they are right: for whole detections, and for pixels by their counts."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "Ranking", "Scores", "score_objects"]

MOST_POINTS = 200  # of a curve that is kept; more are not told apart in a plot

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scores:
    """How right a threshold is, and how well scores rank; a ratio that is undefined is None."""

    tp: int
    """Real and called real."""
    fp: int
    """Not real, and called real."""
    fn: int
    """Real, and not called so."""
    tn: int
    """Neither."""
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    """Share of pairs of a real and another one in which the real one scores higher."""
    pr_auc: float | None
    """Average precision."""

    def metrics(self) -> dict[str, float]:
        """Return the ratios that are defined, by name."""
        names = ("precision", "recall", "f1", "roc_auc", "pr_auc")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def counts(self) -> dict[str, int]:
        """Return the confusion matrix by name."""
        return {name: getattr(self, name) for name in ("tp", "fp", "fn", "tn")}


@dataclass(frozen=True, slots=True)
class Curve:
    """What every threshold would give, strictest first; empty where either kind is missing."""

    recall: list[float]
    """Real ones called real, of all real ones: the true-positive rate."""
    false_positive_rate: list[float]
    """Others called real, of all others."""
    precision: list[float]
    """Real ones, of all that are called real."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """How many real ones and others have each score."""

    scores: Floats
    """(k,) distinct, highest first."""
    real: Integers
    """(k,)."""
    others: Integers
    """(k,)."""

    @classmethod
    def of(cls, labels: NDArray[np.integer], scores: NDArray[np.floating]) -> Self:
        """Return the ranking of single scores.

        Args:
            labels: (n,) 1 real, 0 not.
            scores: (n,), the higher the more real.
        """
        values, place = np.unique(-scores.astype(np.float64), return_inverse=True)
        real = np.bincount(place, weights=labels == 1, minlength=len(values))
        whole = np.bincount(place, minlength=len(values))
        return cls(-values, real.astype(np.int64), (whole - real).astype(np.int64))

    def scores_at(self, threshold: float) -> Scores:
        """Return how right `score >= threshold` is."""
        called = self.scores >= threshold
        tp, fp = int(self.real[called].sum()), int(self.others[called].sum())
        fn, tn = int(self.real.sum()) - tp, int(self.others.sum()) - fp
        return Scores(
            tp,
            fp,
            fn,
            tn,
            _ratio(tp, tp + fp),
            _ratio(tp, tp + fn),
            _ratio(2 * tp, 2 * tp + fp + fn),
            self._roc_auc(),
            self._pr_auc(),
        )

    def curve(self) -> Curve:
        """Return what every threshold gives, thinned evenly where there are many."""
        recall, rate, precision = self._rates()
        keep = np.unique(np.linspace(0, len(recall) - 1, MOST_POINTS).round().astype(int))
        if not len(recall):
            return Curve([], [], [])
        return Curve(recall[keep].tolist(), rate[keep].tolist(), precision[keep].tolist())

    def _rates(self) -> tuple[Floats, Floats, Floats]:
        """Return recall, false-positive rate and precision of each threshold; empty if undefined."""
        real, others = np.cumsum(self.real), np.cumsum(self.others)
        if not len(real) or not real[-1] or not others[-1]:
            return np.empty(0), np.empty(0), np.empty(0)
        return real / real[-1], others / others[-1], real / np.maximum(real + others, 1)

    def _roc_auc(self) -> float | None:
        recall, rate, _ = self._rates()
        if not len(recall):
            return None
        return float(np.trapezoid(np.concatenate([[0], recall]), np.concatenate([[0], rate])))

    def _pr_auc(self) -> float | None:
        recall, _, precision = self._rates()
        if not len(recall):
            return None
        return float((np.diff(recall, prepend=0) * precision).sum())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def score_objects(
    pixels: NDArray[np.float32],
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    radius_px: float,
) -> NDArray[np.float32]:
    """Return each stamp's score: the largest of its pixels within a distance of its target.

    Args:
        pixels: (stamp, y, x), logits or probabilities.
        x: (stamp,) 0-based column of the target.
        y: (stamp,) 0-based row.
        radius_px: of the disk around the target, pixels.

    Returns:
        (stamp,); minus infinity where no pixel is that near.
    """
    rows, columns = np.indices(pixels.shape[1:])
    away = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    scores: NDArray[np.float32] = np.where(away <= radius_px**2, pixels, -np.inf).max(axis=(1, 2))
    return scores
