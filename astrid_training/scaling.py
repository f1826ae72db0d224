"""From sky-subtracted values to network inputs: one function a preset."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from astrid_training.elementary import asinh_in_place
from astrid_training.ordered import deviation_of_sorted, median_of_sorted
from astrid_training.params import PreprocessSpec
from astrid_training.scratch import room

__all__ = ["ALGORITHM", "MAD_TO_SIGMA", "measure_noise", "scale_in_place", "sorted_valid"]

ALGORITHM = 2
"""Raise it when a value may change."""
MAD_TO_SIGMA = 1.4826
PERCENTILES = (1.0, 99.0)

Floats = NDArray[np.float64]
F = TypeVar("F", bound=np.floating)


def sorted_valid(values: NDArray[F]) -> tuple[NDArray[F], NDArray[np.intp]]:
    """Return each row (rows, n) sorted with NaN last, and how many are not NaN."""
    ordered = np.sort(values, axis=1)
    return ordered, _count_valid(ordered)


def measure_noise(values: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return median, 1.4826 x MAD and number of the valid values of each row; NaN if none.

    Args:
        values: (rows, n), NaN = missing.
    """
    ordered = room("ordered", values.shape, values.dtype)
    ordered[:] = values
    ordered.sort(axis=1)
    count = _count_valid(ordered)
    medians = median_of_sorted(ordered, count)
    return medians, MAD_TO_SIGMA * deviation_of_sorted(ordered, medians, count), count


def scale_in_place(
    values: Floats, centre: Floats, level: Floats, noise: Floats, spec: PreprocessSpec
) -> None:
    """Turn the values of stamps into network inputs, NaN staying NaN.

    Args:
        values: (n, y, x), C-contiguous, NaN = missing.
        centre: (n, pixels), the valid and missing values that the model sees of each.
        level: (n,), what becomes zero.
        noise: (n,), above 0.
        spec: names the preset.
    """
    shift, unit = np.zeros_like(level), np.ones_like(level)
    if spec.scale == "asinh":
        shift, unit = level, spec.softening * noise
    elif spec.scale == "l2":
        unit = np.sqrt(np.nansum(centre**2, axis=1))
    elif spec.scale in ("percentile", "zscale"):
        low, high = _limits(centre, spec.scale)
        shift, unit = low, high - low
    values -= shift[:, None, None]
    values /= unit[:, None, None]
    if spec.scale == "asinh":
        asinh_in_place(values)
    elif spec.scale in ("percentile", "zscale"):
        np.clip(values, 0, 1, out=values)
    if spec.clip is not None:
        np.clip(values, -spec.clip, spec.clip, out=values)


def _count_valid(ordered: NDArray[F]) -> NDArray[np.intp]:
    """Return how many values of each sorted row are not NaN."""
    count = np.full(len(ordered), ordered.shape[1], np.intp)
    holed = np.isnan(ordered[:, -1])
    count[holed] -= np.isnan(ordered[holed]).sum(axis=1)
    return count


def _limits(centre: Floats, preset: str) -> tuple[Floats, Floats]:
    valid = [row[~np.isnan(row)] for row in centre]
    if preset == "zscale":
        pairs = [_zscale(values) for values in valid]
    else:
        pairs = [np.percentile(values, PERCENTILES) for values in valid]
    low, high = np.array(pairs, np.float64).reshape(-1, 2).T
    return low, high


def _zscale(values: Floats) -> tuple[float, float]:
    """Return the display limits of the IRAF algorithm; the extremes where its line is flat.

    Args:
        values: in the image's order: every so many of them are looked at, until there are 1000.
    """
    from astropy.visualization import ZScaleInterval  # heavy, and only this preset needs it

    low, high = ZScaleInterval().get_limits(values)
    return (float(low), float(high)) if high > low else (float(values.min()), float(values.max()))
