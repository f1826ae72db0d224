"""Near duplicates: the same pixels under another name, found by thumbnails and then confirmed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from threadpoolctl import threadpool_limits

from astrid_training.params import Channel
from astrid_training.scaling import MAD_TO_SIGMA

__all__ = ["LEAST_ALIKE", "LEAST_SAME", "alike", "high_passed", "same_pixels", "thumbnails"]

BLOCKS = 8
"""A thumbnail has 8 x 8 blocks."""
SAMPLED = 8
"""Median and MAD of a thumbnail's stamp are taken from 8 x 8 of its pixels."""
CLIP_SIGMA = 3.0
BLANK_PX, BLANK_SHARE = 12, 3 / 16
LEAST_ALIKE: Mapping[Channel, float] = MappingProxyType({"difference": 0.65, "science": 0.9})
"""Correlation of thumbnails above which a pair is looked at more closely. Differences are nearly
bare noise, so unrelated ones are never alike, and copies are found though they are shifted."""
LEAST_SAME = 0.5
"""Correlation of the high-passed stamps above which a pair shows the same pixels."""
MEDIAN_PX = 5
CLIP_HIGH_PASSED = 4.0
MOST_SHIFT_PX = 4
ROWS_AT_ONCE, COLUMNS_AT_ONCE = 2048, 4096

Stamps = NDArray[np.float32]


def thumbnails(stamps: Stamps) -> Stamps:
    """Return (n, 64) unit vectors: block means of the clipped stamps without the target.

    Targets look alike, and must not decide; the sky round them does. A stamp without any
    structure becomes the zero vector, which is like nothing.

    Args:
        stamps: (n, S, S), S a multiple of 8, any scaling.
    """
    count, side, _ = stamps.shape
    step = max(side // SAMPLED, 1)
    sampled = stamps[:, ::step, ::step].reshape(count, -1)
    middle = np.median(sampled, axis=1)
    sigma = MAD_TO_SIGMA * np.median(np.abs(sampled - middle[:, None]), axis=1)
    for bare in np.flatnonzero(sigma == 0):  # most of it is missing
        sigma[bare] = stamps[bare].std()
    limit = np.float32(CLIP_SIGMA) * np.maximum(sigma, np.finfo(np.float32).tiny)
    weights, counts = _blank(side)
    inner = slice(max(side // 2 - BLANK_PX, 0), side // 2 + BLANK_PX + 1)  # nothing is blank beyond
    flat = stamps - middle[:, None, None]
    np.clip(flat, -limit[:, None, None], limit[:, None, None], out=flat)
    flat[:, inner, inner] *= weights[inner, inner]
    block = side // BLOCKS
    rows = flat.reshape(count, BLOCKS, block, side).sum(axis=2)
    means = rows.reshape(count, BLOCKS, BLOCKS, block).sum(axis=3).reshape(count, -1)
    means = (means / np.maximum(counts, 1) - (means.sum(axis=1) / counts.sum())[:, None]) * (
        counts > 0
    )
    length = np.linalg.norm(means, axis=1, keepdims=True)
    unit: Stamps = (means / np.where(length > 0, length, 1)).astype(np.float32)
    return unit


@cache
def _blank(side: int) -> tuple[Stamps, Stamps]:
    """Return (S, S) weights that leave out the middle, and (64,) pixels left of each block."""
    y, x = np.indices((side, side)) - side // 2
    weights = (np.hypot(x, y) > min(BLANK_PX, BLANK_SHARE * side)).astype(np.float32)
    block = side // BLOCKS
    counts = weights.reshape(BLOCKS, block, BLOCKS, block).sum(axis=(1, 3)).reshape(-1)
    return weights, counts


def alike(judged: Stamps, trained: Stamps, least: float) -> Iterator[tuple[int, int]]:
    """Yield (row of judged, row of trained) of thumbnails that correlate above `least`."""
    told = judged.any(axis=0)  # blocks that are all target tell nothing
    judged, trained = judged[:, told], trained[:, told]
    buffer = np.empty((ROWS_AT_ONCE, COLUMNS_AT_ONCE), np.float32)
    with threadpool_limits(1, "blas"):
        for top in range(0, len(judged), ROWS_AT_ONCE):
            rows = judged[top : top + ROWS_AT_ONCE]
            for left in range(0, len(trained), COLUMNS_AT_ONCE):
                columns = trained[left : left + COLUMNS_AT_ONCE]
                product = np.matmul(rows, columns.T, out=buffer[: len(rows), : len(columns)])
                for row, column in _above(product, least):
                    yield top + row, left + column


def _above(product: Stamps, least: float) -> Iterator[tuple[int, int]]:
    for row in np.flatnonzero(product.max(axis=1) > least).tolist():
        for column in np.flatnonzero(product[row] > least).tolist():
            yield row, column


def same_pixels(
    first: Sequence[Stamps], second: Sequence[Stamps], least: float = LEAST_SAME
) -> float | None:
    """Return the least correlation of two samples' channels if all show the same pixels, else None.

    Args:
        first: the `high_passed` channels of one sample.
        second: the same channels of the other.
        least: of each channel, at its best shift.
    """
    worst = 1.0
    for one, other in zip(first, second, strict=True):
        worst = min(worst, best_correlation(one, other))
        if worst <= least:
            return None
    return worst


def high_passed(stamp: Stamps) -> Stamps:
    """Return (S, S) without its smooth part, clipped at 4 sigma, in units of sigma."""
    rough = stamp - median_filter(stamp, MEDIAN_PX, mode="nearest")
    sigma = MAD_TO_SIGMA * np.median(np.abs(rough - np.median(rough)))
    if sigma <= 0:
        sigma = rough.std() or 1.0
    clipped: Stamps = np.clip(rough / sigma, -CLIP_HIGH_PASSED, CLIP_HIGH_PASSED)
    return clipped


def best_correlation(first: Stamps, second: Stamps) -> float:
    """Return the largest correlation of two high-passed stamps over shifts of up to 4 px."""
    shifts = range(-MOST_SHIFT_PX, MOST_SHIFT_PX + 1)
    return max(_correlation(*_overlap(first, second, dy, dx)) for dy in shifts for dx in shifts)


def _overlap(first: Stamps, second: Stamps, dy: int, dx: int) -> tuple[Stamps, Stamps]:
    height, width = first.shape
    rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
    others = (
        slice(max(-dy, 0), height + min(-dy, 0)),
        slice(max(-dx, 0), width + min(-dx, 0)),
    )
    return first[rows, columns], second[others]


def _correlation(first: Stamps, second: Stamps) -> float:
    a, b = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
