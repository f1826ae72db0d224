"""Which pixels a source lights up on a difference: connected parts of its significance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_training.params import MaskRule

__all__ = ["Footprints", "disks", "elongations", "find_footprints", "large_parts"]

IN_PLANE = np.zeros((3, 3, 3), np.bool_)
IN_PLANE[1] = True  # eight neighbours, and none in the next stamp
PIXEL_VARIANCE = 1 / 12  # of a pixel's own width, px^2

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Significance = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Footprints:
    """What is lit around some positions; each field is (n, y, x)."""

    part: Bools
    """The part of one sign, or of both, that holds the peak and is bright enough beside it."""
    island: Bools
    """All that is connected with the peak at all, whatever its sign."""


def disks(shape: tuple[int, ...], x: Floats, y: Floats, radius: Floats) -> Bools:
    """Return the pixels (n, y, x) whose centres lie within `radius` of the positions."""
    dy = (np.arange(shape[0]) - y[:, None]) ** 2
    dx = (np.arange(shape[1]) - x[:, None]) ** 2
    inside: Bools = dy[:, :, None] + dx[:, None, :] <= (radius**2)[:, None, None]
    return inside


def find_footprints(
    significance: Significance,
    x: Floats,
    y: Floats,
    fwhm_px: Floats,
    signed: Bools,
    rule: MaskRule,
) -> Footprints:
    """Return the footprints of the peaks at some positions; empty where nothing stands out.

    The peak is the pixel that stands out most within max(1 px, 0.5 FWHM).

    Args:
        significance: (n, y, x), NaN = missing.
        x: (n,) 0-based columns.
        y: (n,) 0-based rows.
        fwhm_px: (n,) of the PSF.
        signed: (n,) True: only what has the peak's sign, as a source has; False: both, as the two
            lobes of a dipole.
        rule: from where on a pixel is lit.
    """
    height = np.abs(significance)
    np.nan_to_num(height, copy=False, nan=0.0)
    near = disks(significance.shape[1:], x, y, np.maximum(1.0, rule.peak_fwhm * fwhm_px))
    height[~near.any(axis=(1, 2))] = 0  # nothing of it is on the stamp
    stamps, *sides = height.shape
    at = np.where(near, height, -1).reshape(stamps, sides[0] * sides[1]).argmax(axis=1)
    place = (np.arange(stamps), *np.unravel_index(at, sides))
    peak = height[place]
    sign = np.where(signed, np.sign(np.nan_to_num(significance[place])), 0)
    least = np.maximum(rule.lit_sigma, rule.lit_share * peak)
    lit = height >= least[:, None, None]
    lit &= (sign == 0)[:, None, None] | (np.sign(significance) == sign[:, None, None])
    return Footprints(_holding(lit, place), _holding(height >= rule.lit_sigma, place))


def _holding(lit: Bools, place: tuple[NDArray[np.intp], ...]) -> Bools:
    """Return of each plane the connected part that holds its place."""
    if not len(lit):
        return lit
    parts, _ = ndimage.label(lit, IN_PLANE)
    own = parts[place]
    held: Bools = parts == np.where(own > 0, own, -1)[:, None, None]
    return held


def large_parts(significance: Significance, rule: MaskRule) -> Bools:
    """Return the pixels (n, y, x) of all parts that surely are something."""
    bright = np.abs(significance) >= rule.part_sigma
    if not bright.any():
        return bright
    parts, _ = ndimage.label(bright, IN_PLANE)
    large = np.bincount(parts.ravel()) >= rule.part_px
    large[0] = False
    found: Bools = large[parts]
    return found


def elongations(footprints: Bools) -> Floats:
    """Return long over short axis of each footprint (n, y, x), from its second moments; 1 if empty."""
    stamp, y, x = np.nonzero(footprints)
    size = np.bincount(stamp, minlength=len(footprints))

    def mean(values: NDArray[np.float64] | NDArray[np.intp]) -> Floats:
        total = np.bincount(stamp, values, minlength=len(footprints))
        return total / np.maximum(size, 1)

    dx, dy = x - mean(x)[stamp], y - mean(y)[stamp]
    xx, yy, xy = mean(dx**2) + PIXEL_VARIANCE, mean(dy**2) + PIXEL_VARIANCE, mean(dx * dy)
    middle, apart = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return np.sqrt((middle + apart) / (middle - apart))
