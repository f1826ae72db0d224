"""What a difference between two sets of samples is by chance: the law that drift is judged by.

For independent samples it is (1/n + 1/m) x chi-square with one degree fewer than bins. Samples of one
exposure are not independent, and those that both sets hold cancel, so the spread of the shares is
taken from the data, cluster by cluster, and gives the law its scale and its degrees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri  # of scipy.stats, which takes half a second to import

__all__ = ["LEVEL", "Judged", "adjusted", "chance_psi", "judge", "stability_index"]

LEVEL = 0.05
HALF = 0.5  # a count added to each bin, so that no logarithm is of nothing

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Clusters = Sequence[tuple[Codes, Codes]]
"""Of several ways to tell what belongs together, each: the cluster of each sample before, and after;
0-based, the same number for the same thing on both sides."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How far shares differ, and how often chance alone makes them differ so far."""

    psi: float
    """Population stability index."""
    chance: float
    """The index that chance alone passes once in twenty."""
    p_value: float
    independent: float
    """How many independent samples the comparison is worth: clusters count by how differently they
    weigh on the two sides, so that what both hold counts little."""


def chance_psi(n: int, m: int, bins: int, level: float = LEVEL) -> float:
    """Return the index that two sets of independent samples pass by chance, as often as `level`.

    Source: Yurdakul & Naranjo, Journal of Risk Model Validation 14(4), 2020.

    Args:
        n: samples of the one set.
        m: samples of the other.
        bins: among which they are spread, of equal shares.
        level: share of false alarms.
    """
    return (1 / n + 1 / m) * float(chdtri(bins - 1, level))


def stability_index(n: Codes, m: Codes) -> float:
    """Return the sum of (p - q) ln(p / q) over bins that hold `n` samples of one set, `m` of another."""
    p = (n + HALF) / (n + HALF).sum()
    q = (m + HALF) / (m + HALF).sum()
    return float(np.sum((p - q) * np.log(p / q)))


def judge(before: Codes, after: Codes, bins: int, clusters: Clusters) -> Judged | None:
    """Return how the shares of the bins differ; None where nothing differs that chance could move.

    Of several kinds of clusters, that which leaves most to chance counts. What is compared with the
    law is the index's quadratic form, sum of (p - q)^2 / share, which follows it with fewer samples.

    Source: Rao & Scott, Annals of Statistics 12, 46, 1984, second-order correction.

    Args:
        before: (n,) bin of each sample, 0-based; no bin is empty on both sides.
        after: (m,) the same.
        bins: how many.
        clusters: what belongs together.
    """
    n, m = np.bincount(before, minlength=bins), np.bincount(after, minlength=bins)
    p, q = n / len(before), m / len(after)
    shares = (n + m) / (len(before) + len(after))
    scale, degrees, units = 0.0, 0.0, np.inf
    each = np.ones(bins)  # a product is several times as fast as a sum along rows
    for of_before, of_after in clusters:
        count = int(max(of_before.max(), of_after.max())) + 1
        moved = _parts(before, of_before, bins, count) - _parts(after, of_after, bins, count)
        units = min(units, _effective(np.abs(moved) @ each))
        moved -= np.outer(moved @ each, shares)
        moved /= np.sqrt(shares)
        spread = moved.T @ moved
        trace, square = float(np.trace(spread)), float(np.sum(spread**2))
        if trace > scale * degrees:
            scale, degrees = square / trace, trace**2 / square
    if units == 0 or scale == 0:
        return None
    distance = float(np.sum((p - q) ** 2 / shares))
    psi = stability_index(n, m)
    # far from zero the index grows faster than its form: told is the index that goes with the limit
    growth = psi / distance if distance > 0 else 1.0
    return Judged(
        psi=psi,
        chance=growth * scale * float(chdtri(degrees, LEVEL)),
        p_value=float(chdtrc(degrees, distance / scale)),
        independent=units,
    )


def _parts(bins: Codes, clusters: Codes, width: int, count: int) -> Floats:
    """Return (clusters, bins): the share of all samples that each cluster has in each bin."""
    cells = np.bincount(clusters * width + bins, minlength=count * width)
    parts: Floats = cells.reshape(count, width) / len(bins)
    return parts


def _effective(weights: Floats) -> float:
    """Return how many equal clusters would be worth as much as clusters of these weights."""
    squares = weights**2
    fourth = float(np.sum(squares**2))
    return float(np.sum(squares)) ** 2 / fourth if fourth else 0.0


def adjusted(p_values: Floats) -> Floats:
    """Return each p-value as the share of false alarms among all that are at least as significant.

    Source: Benjamini & Hochberg, Journal of the Royal Statistical Society B 57, 289, 1995.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    rising = p_values[order] * count / np.arange(1, count + 1)
    found = np.empty(count, np.float64)
    found[order] = np.minimum(np.minimum.accumulate(rising[::-1])[::-1], 1.0)
    return found
