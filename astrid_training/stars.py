"""How wide the stars of an image are."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_training.elementary import exp
from astrid_training.scaling import measure_noise
from astrid_training.significance import FWHM_PER_SIGMA

__all__ = ["LEAST_SNR", "Star", "find_stars"]

LEAST_SNR = 15.0
LEAST_AXIS_RATIO = 0.8  # rounder is a star, or as good as one
LEAST_FWHM_PX = 1.2  # sharper is no light that came through a telescope
HALF_PX = 9
ROUNDS = 12
ALONE_PX = 5  # half the side of the square in which a star is the brightest
PEAK_SIGMA = 5.0
SATURATED_FROM = 0.95
SAMPLED = 3  # each third row and column tell the sky's level and noise

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Star = tuple[float, float, float]
"""Column and row in the image, 0-based, and full width at half maximum, all in pixels."""


def find_stars(image: NDArray[np.float32], saturation: float | None) -> list[Star]:
    """Return the round sources with SNR > 15 that have a whole, unsaturated box to themselves.

    Width and shape are those of the elliptical Gaussian whose weighted moments a source has, the
    weight being a round Gaussian of its own width; so neighbours and noise weigh little.

    Args:
        image: (height, width), any units, NaN = missing.
        saturation: the level at which a pixel is full, same units; None if not known.
    """
    if min(image.shape) < 2 * HALF_PX + 1:
        return []
    sample = image[::SAMPLED, ::SAMPLED].astype(np.float64).reshape(1, -1)
    level, noise, _ = (float(values[0]) for values in measure_noise(sample))
    if not noise > 0:
        return []
    light = image - np.float32(level)
    if saturation is not None:
        light[image >= SATURATED_FROM * saturation] = np.nan
    y, x = _peaks(light, noise)
    offsets = np.arange(-HALF_PX, HALF_PX + 1)
    boxes = light[y[:, None, None] + offsets[:, None], x[:, None, None] + offsets]
    whole = ~np.isnan(boxes).any(axis=(1, 2))
    return _round_ones(boxes[whole].astype(np.float64), noise, x[whole], y[whole])


def _peaks(light: NDArray[np.float32], noise: float) -> tuple[Indices, Indices]:
    """Return rows and columns of the brightest pixels of their surroundings, none near the edges."""
    filled = np.where(np.isnan(light), -np.inf, light)
    around = ndimage.maximum_filter(filled, 2 * ALONE_PX + 1, mode="constant", cval=-np.inf)
    inner = (slice(HALF_PX, -HALF_PX), slice(HALF_PX, -HALF_PX))
    peaks = (filled == around) & (filled > PEAK_SIGMA * noise)
    rows, columns = np.nonzero(peaks[inner])
    return rows + HALF_PX, columns + HALF_PX


def _round_ones(boxes: Floats, noise: float, x: Indices, y: Indices) -> list[Star]:
    """Return those of the sources in `boxes` (n, y, x) that are stars."""
    offsets = np.arange(-HALF_PX, HALF_PX + 1.0)
    dx, dy, variance = np.zeros(len(boxes)), np.zeros(len(boxes)), np.full(len(boxes), 2.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(ROUNDS):
            u, v = offsets - dx[:, None], offsets - dy[:, None]
            across, down = (exp(-(w**2) / 2 / variance[:, None]) for w in (u, v))
            weight = across[:, None, :] * down[:, :, None]
            held = weight * boxes
            total = held.sum(axis=(1, 2))
            by_column, by_row = held.sum(axis=1), held.sum(axis=2)
            xx, yy = (by_column * u**2).sum(1) / total, (by_row * v**2).sum(1) / total
            xy = ((held * u[:, None, :]).sum(2) * v).sum(1) / total
            dx, dy = dx + (by_column * u).sum(1) / total, dy + (by_row * v).sum(1) / total
            snr = total / noise / np.sqrt((weight**2).sum(axis=(1, 2)))
            used, variance = variance, np.clip(xx + yy, 0.05, HALF_PX**2 / 4)
        middle, apart = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        long, short = (1 / (1 / axis - 1 / used) for axis in (middle + apart, middle - apart))
        fwhm = FWHM_PER_SIGMA * np.sqrt(np.sqrt(long * short))
        good = (snr > LEAST_SNR) & (short > 0) & (short >= LEAST_AXIS_RATIO**2 * long)
    good &= (fwhm >= LEAST_FWHM_PX) & (fwhm <= HALF_PX) & (dx**2 + dy**2 < (ALONE_PX / 2) ** 2)
    found = np.stack([x + dx, y + dy, fwhm], axis=1)[good]
    return [(a, b, c) for a, b, c in found.tolist()]
