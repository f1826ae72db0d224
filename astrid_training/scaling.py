"""From sky-subtracted values to network inputs: one function a preset."""

import numpy as np
from numpy.typing import NDArray

from astrid_training.params import PreprocessSpec

__all__ = ["ALGORITHM", "MAD_TO_SIGMA", "measure_noise", "scale_in_place", "sorted_valid"]

ALGORITHM = 2
"""Raise it when a value may change."""
MAD_TO_SIGMA = 1.4826
PERCENTILES = (1.0, 99.0)

Floats = NDArray[np.float64]


def sorted_valid(values: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return each row (rows, n) sorted with NaN last, and how many are not NaN."""
    ordered = np.sort(values, axis=1)
    return ordered, values.shape[1] - np.isnan(ordered).sum(axis=1)


def measure_noise(values: Floats) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return median, 1.4826 x MAD and number of the valid values of each row; NaN if none.

    Args:
        values: (rows, n), NaN = missing.
    """
    ordered, count = sorted_valid(values)
    medians = _medians(ordered, count)
    deviations = np.abs(ordered - medians[:, None])
    deviations.sort(axis=1)
    return medians, MAD_TO_SIGMA * _medians(deviations, count), count


def scale_in_place(
    values: Floats, centre: Floats, level: Floats, noise: Floats, spec: PreprocessSpec
) -> None:
    """Turn the values of stamps into network inputs, NaN staying NaN.

    Args:
        values: (n, y, x), NaN = missing.
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
        np.arcsinh(values, out=values)
    elif spec.scale in ("percentile", "zscale"):
        np.clip(values, 0, 1, out=values)
    if spec.clip is not None:
        np.clip(values, -spec.clip, spec.clip, out=values)


def _medians(ordered: Floats, count: NDArray[np.intp]) -> Floats:
    rows = np.arange(len(ordered))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
    medians: Floats = (ordered[rows, low] + ordered[rows, high]) / 2
    medians[count == 0] = np.nan
    return medians


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
