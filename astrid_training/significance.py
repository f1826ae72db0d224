"""How far each pixel of a difference stands out: what masks are drawn from, whoever labels them."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_training.elementary import exp
from astrid_training.ordered import deviation_of_sorted, median_of_sorted
from astrid_training.scaling import MAD_TO_SIGMA, sorted_valid

__all__ = ["FWHM_PER_SIGMA", "LARGEST", "significance"]

FWHM_PER_SIGMA = 2.3548
SMOOTHING = 0.5  # of the PSF's sigma: the noise falls, and the footprint hardly grows
KERNEL_SIGMA = 4.0
LARGEST = 60_000.0
"""Significances end here: float16 knows little beyond."""

Pixels = NDArray[np.float32]


def significance(difference: Pixels, fwhm_px: float) -> NDArray[np.float16]:
    """Return the smoothed difference over its noise, with its sign; NaN where a pixel is missing.

    Missing pixels, and those beyond the stamp, weigh nothing in their neighbours' smoothing. The
    noise is 1.4826 x the median absolute deviation of a smoothed stamp. Two bytes a pixel keep
    three digits, so that a mask drawn later is the mask drawn now.

    Args:
        difference: (n, y, x), any units, NaN = missing; all NaN where there is no difference.
        fwhm_px: of the PSF.
    """
    sigma_px = SMOOTHING * fwhm_px / FWHM_PER_SIGMA
    kernel = _kernel(sigma_px)
    missing = np.isnan(difference)
    holed: NDArray[np.bool_] = np.any(missing, axis=(1, 2))
    smooth = _smoothed(difference, kernel)
    smooth /= _weight(difference.shape[1:], sigma_px)
    if holed.any():
        valid = _smoothed((~missing[holed]).astype(np.float32), kernel)
        filled = _smoothed(np.where(missing[holed], 0, difference[holed]), kernel)
        with np.errstate(invalid="ignore"):
            smooth[holed] = np.where(missing[holed], np.nan, filled / valid)
    count, *sides = smooth.shape
    noise = _noise(smooth.reshape(count, sides[0] * sides[1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth /= np.where(noise > 0, noise, np.nan)[:, None, None]
    np.clip(smooth, -LARGEST, LARGEST, out=smooth)
    return smooth.astype(np.float16)


@lru_cache(maxsize=16)
def _kernel(sigma_px: float) -> Pixels:
    radius = max(1, math.ceil(KERNEL_SIGMA * sigma_px))
    weights = exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    kernel: Pixels = (weights / weights.sum()).astype(np.float32)
    return kernel


@lru_cache(maxsize=16)
def _weight(shape: tuple[int, ...], sigma_px: float) -> Pixels:
    """Return how much of the kernel's weight lies on the stamp at each pixel: (y, x)."""
    weight: Pixels = _smoothed(np.ones((1, *shape), np.float32), _kernel(sigma_px))[0]
    return weight


def _smoothed(images: Pixels, kernel: Pixels) -> Pixels:
    along_y = ndimage.correlate1d(images, kernel, axis=1, mode="constant")
    smooth: Pixels = ndimage.correlate1d(along_y, kernel, axis=2, mode="constant")
    return smooth


def _noise(values: Pixels) -> Pixels:
    """Return the noise of each row (n, pixels); NaN where it has no values."""
    ordered, count = sorted_valid(values)
    medians = median_of_sorted(ordered, count)
    return np.float32(MAD_TO_SIGMA) * deviation_of_sorted(ordered, medians, count)
