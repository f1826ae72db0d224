"""Order statistics of many sorted rows at once, without sorting any of them again."""

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
        ordered: (rows, n), each row ascending.
        medians: (rows,), from `median_of_sorted`.
        count: (rows,), how many of each row there are, at most n.
    """
    row, last = np.arange(len(ordered)), ordered.shape[1] - 1
    length = np.maximum(count + 1, 2) // 2  # of the run up to the lower middle one
    start, stop = np.zeros_like(count), np.maximum(count - length, 0)
    while (start < stop).any():
        middle = (start + stop) // 2
        beyond = ordered[row, np.minimum(middle + length, last)] - medians
        moves = (start < stop) & (medians - ordered[row, middle] > beyond)
        start, stop = np.where(moves, middle + 1, start), np.where(moves, stop, middle)
        stop = np.maximum(start, stop)
    end = np.minimum(start + length - 1, last)
    lower = np.maximum(medians - ordered[row, start], ordered[row, end] - medians)
    before = medians - ordered[row, np.maximum(start - 1, 0)]
    after = ordered[row, np.minimum(end + 1, last)] - medians
    has_before, has_after = start > 0, end + 1 < count
    upper = np.minimum(np.where(has_before, before, np.inf), np.where(has_after, after, np.inf))
    deviations: NDArray[F] = (lower + np.where(count % 2 == 1, lower, upper)) / 2
    deviations[count == 0] = np.nan
    return deviations.astype(ordered.dtype, copy=False)


def count_below(ordered: NDArray[F], row: Counts, bounds: NDArray[F]) -> NDArray[np.intp]:
    """Return how many values of sorted rows lie below some bounds: the shape of `bounds`.

    Args:
        ordered: (rows, n), each row ascending with NaN last, contiguous.
        row: which row is meant by each of the k rows of `bounds`.
        bounds: (k, b).
    """
    flat, size = ordered.reshape(-1), ordered.shape[1]
    before = (row * size - 1)[:, None]
    below = np.zeros(bounds.shape, np.intp)
    step = 1 << size.bit_length() - 1
    while step:
        reached = below + step
        smaller = flat.take(before + reached, mode="clip") < bounds
        smaller &= reached <= size
        below += smaller * step
        step //= 2
    return below
