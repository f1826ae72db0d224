"""Whether a probability means what it says, and the two numbers that make it so."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["Bin", "Calibration", "Reliability", "fit_calibration", "log_odds", "reliability"]

BINS = 10
LEAST_OF_EACH = 10  # real ones and others; fewer say nothing about a calibration
WARMEST, FARTHEST = 20.0, 20.0

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Bin:
    """Detections whose probability lies in one range."""

    low: float
    high: float
    count: int
    probability: float | None
    """Their mean; None for an empty range."""
    real: float | None
    """Share of them that is real."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How probabilities compare with what happened."""

    bins: list[Bin]
    """Ten ranges from 0 to 1."""
    ece: float | None
    """Expected calibration error: mean of |probability - share real| over the detections."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a detection's logit to a probability that means what it says.

    The logit is the largest of several pixels', so that it is too high even where each pixel's is right:
    an offset mends that, which a temperature alone cannot.
    """

    temperature: float = 1.0
    offset: float = 0.0

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Return the probabilities of logits."""
        halves = np.tanh((np.asarray(logits, np.float64) / self.temperature + self.offset) / 2)
        return (1 + halves) / 2  # the logistic function; no exponential that can overflow

    def logit_of(self, probability: float) -> float:
        """Return the logit that has a probability between 0 and 1."""
        return self.temperature * (log_odds(probability) - self.offset)


def log_odds(probability: float) -> float:
    """Return the logarithm of the odds of a probability between 0 and 1."""
    return math.log(probability / (1 - probability))


def fit_calibration(logits: Floats, labels: Labels) -> Calibration:
    """Return the calibration that makes the labels most likely; none where they are too few.

    Source: Platt 1999, Probabilistic outputs for support vector machines, whose targets keep short of
    0 and 1; Guo et al. 2017, On calibration of modern neural networks.

    Args:
        logits: (n,) of whole detections that the network was not trained on.
        labels: (n,) 1 real, 0 not.
    """
    real = labels == 1
    n_real, n_others = int(real.sum()), int((~real).sum())
    if min(n_real, n_others) < LEAST_OF_EACH:
        return Calibration()
    targets = np.where(real, (n_real + 1) / (n_real + 2), 1 / (n_others + 2))

    values = np.asarray(logits, np.float64)

    def cost(found: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the mean cross-entropy, which is convex in 1 / temperature and offset, and its slope."""
        scaled = found[0] * values + found[1]
        off = (1 + np.tanh(scaled / 2)) / 2 - targets
        slope = np.array([(off * values).mean(), off.mean()])
        return float((np.logaddexp(0, scaled) - targets * scaled).mean()), slope

    bounds = [(1 / WARMEST, WARMEST), (-FARTHEST, FARTHEST)]
    found = minimize(cost, np.array([1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Calibration(float(1 / found[0]), float(found[1]))


def reliability(probability: Floats, labels: Labels, bins: int = BINS) -> Reliability:
    """Return how probabilities compare with labels.

    Args:
        probability: (n,) 0 to 1.
        labels: (n,) 1 real, 0 not.
        bins: equal ranges; a probability on a border belongs to the higher one.
    """
    place = np.minimum((np.asarray(probability) * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    said = np.bincount(place, weights=probability, minlength=bins)
    real = np.bincount(place, weights=labels == 1, minlength=bins)
    table = [
        Bin(
            at / bins,
            (at + 1) / bins,
            int(count[at]),
            float(said[at] / count[at]) if count[at] else None,
            float(real[at] / count[at]) if count[at] else None,
        )
        for at in range(bins)
    ]
    error = float(np.abs(said - real).sum() / len(place)) if len(place) else None
    return Reliability(table, error)
