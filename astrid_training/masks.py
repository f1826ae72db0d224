"""Masks: which pixels are the target, and which nobody can judge.

A mask is built from layers; a later layer wins over an earlier one. So footprints measured on the
difference, or other subjects in the stamp, are further layers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_training.params import MaskRule
from astrid_training.stamps import Flag, has

__all__ = ["BACKGROUND", "BOGUS", "IGNORE", "REAL", "Masks", "make_masks"]

BACKGROUND, REAL, BOGUS, IGNORE = 0, 1, 2, 255
BLOCK = 256  # stamps at once: enough to forget Python, few enough for the cache
NO_PIXELS = Flag.MISSING | Flag.PADDED
FULL_SQUARE = np.ones((1, 3, 3), np.bool_)  # grows within a stamp, diagonals included

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Masks of some stamps, and which of them are no use."""

    pixels: NDArray[np.uint8]
    """(n, y, x): 0 background, 1 real target, 2 rejected target, 255 ignore."""
    dropped: Bools
    """(n,): more of the target is missing than the rule allows (`target_masked`)."""


def make_masks(
    flags: NDArray[np.uint8],
    x: Floats,
    y: Floats,
    fwhm_px: Floats,
    codes: NDArray[np.uint8],
    rule: MaskRule,
) -> Masks:
    """Return a mask per stamp: a disk on the target, 255 where there is nothing to judge.

    Args:
        flags: (n, y, x), bits of `stamps.Flag`.
        x: (n,) 0-based columns of the targets in the stamps.
        y: (n,) 0-based rows.
        fwhm_px: (n,) of the PSF.
        codes: (n,) 1 real, 2 rejected.
        rule: how large the disk is, and how much of it may be missing.

    Raises:
        ValueError: if a code is neither 1 nor 2.
    """
    if not np.isin(codes, (REAL, BOGUS)).all():
        raise ValueError(f"codes {sorted(set(codes.tolist()))}: give 1 for real, 2 for rejected")
    pixels = np.empty(flags.shape, np.uint8)
    dropped = np.empty(len(flags), np.bool_)
    radius = np.maximum(rule.disk_fwhm * fwhm_px, rule.min_radius_px)
    for start in range(0, len(flags), BLOCK):
        block = slice(start, start + BLOCK)
        target = _disks(flags.shape[1:], x[block], y[block], radius[block])
        pixels[block] = target * codes[block, None, None]
        pixels[block][_unjudgeable(flags[block], rule.saturation_grow_px)] = IGNORE
        dropped[block] = _missing_share(flags[block], target) > rule.max_missing
    return Masks(pixels, dropped)


def _disks(shape: tuple[int, ...], x: Floats, y: Floats, radius: Floats) -> Bools:
    """Return the pixels (n, y, x) whose centres lie within `radius` of the targets."""
    dy = (np.arange(shape[0]) - y[:, None]) ** 2
    dx = (np.arange(shape[1]) - x[:, None]) ** 2
    inside: Bools = dy[:, :, None] + dx[:, None, :] <= (radius**2)[:, None, None]
    return inside


def _unjudgeable(flags: NDArray[np.uint8], grow_px: int) -> Bools:
    full = has(flags, Flag.SATURATED)
    if grow_px and full.any():
        full = ndimage.binary_dilation(full, FULL_SQUARE, iterations=grow_px)
    return has(flags, NO_PIXELS) | full


def _missing_share(flags: NDArray[np.uint8], target: Bools) -> Floats:
    """Return which share of each target disk has no pixels; 1 where no disk is on the stamp."""
    size = target.sum(axis=(1, 2))
    lost = (target & has(flags, NO_PIXELS)).sum(axis=(1, 2))
    share: Floats = np.where(size > 0, lost / np.maximum(size, 1), 1.0)
    return share
