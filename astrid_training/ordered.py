"""Order statistics of many sorted rows at once, without sorting any of them again."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_below", "deviation_of_sorted", "median_of_sorted"]

Counts = NDArray[np.intp]
F = TypeVar("F", bound=np.floating)


def median_of_sorted(ordered: NDArray[F], count: Counts) -> NDArray[F]:
    """Return the median of the first `count` values of each sorted row; NaN of none.

    Args:
        ordered: (rows, n), each row ascending.
        count: (rows,), how many of each row there are, at most n.
    """
    row = np.arange(len(ordered))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
    medians: NDArray[F] = (ordered[row, low] + ordered[row, high]) / 2
    medians[count == 0] = np.nan
    return medians


def deviation_of_sorted(ordered: NDArray[F], medians: NDArray[F], count: Counts) -> NDArray[F]:
    """Return the median absolute deviation of each sorted row from its median; NaN of none.

    The values nearest to a median are neighbours in a sorted row: where the run of the nearer half
    begins is found by halving.

    Args:
        ordered: (rows, n), each row ascending, NaN after the first `count`; C-contiguous.
        medians: (rows,), from `median_of_sorted`.
        count: (rows,), how many of each row there are, at most n.
    """
    flat, last = ordered.reshape(-1), ordered.shape[1] - 1
    row = np.arange(len(ordered)) * ordered.shape[1]
    length = np.maximum(count + 1, 2) // 2  # of the run that ends the lower half of the deviations

    def nearer_without(start: Counts) -> NDArray[np.bool_]:
        at = row + start
        nearer: NDArray[np.bool_] = medians - flat.take(at) > flat.take(at + length) - medians
        return nearer

    start = _halve(np.zeros_like(count), int(count.max(initial=0)) // 2, nearer_without)
    end = start + length - 1
    lower = np.maximum(medians - flat.take(row + start), flat.take(row + end) - medians)
    before = medians - flat.take(row + np.maximum(start - 1, 0))
    after = flat.take(row + np.minimum(end + 1, last)) - medians
    upper = np.fmin(np.where(start > 0, before, np.nan), np.where(end + 1 < count, after, np.nan))
    deviations: NDArray[F] = (lower + np.where(count % 2 == 1, lower, upper)) / 2
    deviations[count == 0] = np.nan
    return deviations


def count_below(ordered: NDArray[F], rows: Counts, bounds: NDArray[F]) -> Counts:
    """Return how many values of sorted rows lie below some bounds: the shape of `bounds`.

    Args:
        ordered: (rows, n), each row ascending with NaN last; C-contiguous.
        rows: which row is meant by each of the k rows of `bounds`.
        bounds: (k, b).
    """
    flat, size = ordered.reshape(-1), ordered.shape[1]
    first = np.repeat((rows * size)[:, None], bounds.shape[1], axis=1)
    end = _halve(first, size, lambda at: flat.take(at) < bounds)
    return np.asarray(end - first)


def _halve(first: Counts, count: int, holds: Callable[[Counts], NDArray[np.bool_]]) -> Counts:
    """Return where a condition ends to hold among `count` places from the first on.

    Args:
        first: the first places, any shape.
        count: of places; where the condition does not hold, it holds for none that follows.
        holds: tells of places whether the condition holds.
    """
    while count > 1:
        half = count // 2
        first = first + holds(first + (half - 1)) * half
        count -= half
    return first + holds(first) if count else first
