"""Masks: which pixels are the target, and which nobody can judge.

Layers, a later one over an earlier one: what is lit but nobody's, neighbours without a label,
rejected ones, real ones, the target, and what has no usable pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_training.footprints import disks, elongations, find_footprints, large_parts
from astrid_training.params import MaskRule
from astrid_training.stamps import Flag, has

__all__ = [
    "BACKGROUND",
    "BOGUS",
    "IGNORE",
    "REAL",
    "Masks",
    "Neighbours",
    "Targets",
    "make_masks",
]

BACKGROUND, REAL, BOGUS, IGNORE = 0, 1, 2, 255
BLOCK = 64  # stamps at once: enough to forget Python, few enough for the cache
NO_PIXELS = Flag.MISSING | Flag.PADDED
FULL_SQUARE = np.ones((1, 3, 3), np.bool_)  # grows within a stamp, diagonals included

Bools = NDArray[np.bool_]
Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the masks are of; every field has one value a stamp."""

    x: Floats
    """0-based columns in the stamps."""
    y: Floats
    """0-based rows."""
    fwhm_px: Floats
    """Of the PSF."""
    codes: Codes
    """1 real, 2 rejected, 0 for a place without a target."""
    moving: Bools
    """Whether it leaves a trail."""

    def __getitem__(self, stamps: slice) -> "Targets":
        x, y, fwhm = (field[stamps] for field in (self.x, self.y, self.fwhm_px))
        return Targets(x, y, fwhm, self.codes[stamps], self.moving[stamps])


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Other subjects near the stamps; every field has one value a neighbour."""

    stamp: NDArray[np.int64]
    """Which stamp it is near, counted from 0."""
    x: Floats
    """0-based columns in that stamp; may lie beyond it."""
    y: Floats
    codes: Codes
    """1 real, 2 rejected, 255 where nobody decided."""

    @classmethod
    def none(cls) -> "Neighbours":
        """Return no neighbours at all."""
        empty = np.empty(0)
        return cls(np.empty(0, np.int64), empty, empty, np.empty(0, np.uint8))

    def of(self, stamps: slice) -> "Neighbours":
        """Return those of some stamps, which are then counted from 0."""
        chosen = (self.stamp >= stamps.start) & (self.stamp < stamps.stop)
        numbers = self.stamp[chosen] - stamps.start
        return Neighbours(numbers, self.x[chosen], self.y[chosen], self.codes[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """Masks of some stamps, and which of them are no use."""

    pixels: Codes
    """(n, y, x): 0 background, 1 real target, 2 rejected target, 255 ignore."""
    dropped: Bools
    """(n,): more of the target is missing than the rule allows (`target_masked`)."""
    from_science: Bools
    """(n,): drawn without a difference image (`science_mask`)."""


def make_masks(
    flags: Codes,
    significance: NDArray[np.floating],
    targets: Targets,
    neighbours: Neighbours,
    rule: MaskRule,
) -> Masks:
    """Return a mask per stamp.

    Args:
        flags: (n, y, x), bits of `stamps.Flag`.
        significance: (n, y, x) from `significance.significance`; NaN = missing.
        targets: n of them.
        neighbours: in any number and order.
        rule: how large a target is, and how much of it may be missing.

    Raises:
        ValueError: if a code has no meaning.
    """
    _check(targets.codes, (BACKGROUND, REAL, BOGUS))
    _check(neighbours.codes, (REAL, BOGUS, IGNORE))
    pixels = np.empty(flags.shape, np.uint8)
    dropped, from_science = np.empty((2, len(flags)), np.bool_)
    for start in range(0, len(flags), BLOCK):
        block = slice(start, start + BLOCK)
        lit = significance[block].astype(np.float32)
        one, near = targets[block], neighbours.of(block)
        from_science[block] = np.isnan(lit).all(axis=(1, 2))
        disk = _disks(lit.shape, one, rule)
        pixels[block] = _drawn(lit, disk, one, near, from_science[block], rule)
        pixels[block][_unjudgeable(flags[block], rule.saturation_grow_px)] = IGNORE
        lost = _missing_share(flags[block], disk) > rule.max_missing
        dropped[block] = lost & (one.codes != BACKGROUND)
    return Masks(pixels, dropped, from_science)


def _check(codes: Codes, known: tuple[int, ...]) -> None:
    if not np.isin(codes, known).all():
        raise ValueError(f"codes {sorted(set(codes.tolist()))}: give some of {known}")


def _disks(shape: tuple[int, ...], targets: Targets, rule: MaskRule) -> Bools:
    radius = np.maximum(rule.disk_fwhm * targets.fwhm_px, rule.min_radius_px)
    return disks(shape[1:], targets.x, targets.y, radius)


def _drawn(
    lit: NDArray[np.float32],
    disk: Bools,
    targets: Targets,
    neighbours: Neighbours,
    from_science: Bools,
    rule: MaskRule,
) -> Codes:
    """Return masks of all but the last layer."""
    is_target = (targets.codes != BACKGROUND)[:, None, None]
    area, island = _areas(lit, disk, targets, rule)
    ring = disks(lit.shape[1:], targets.x, targets.y, rule.ring_fwhm * targets.fwhm_px)
    round_it = island | (ring & from_science[:, None, None])
    nobodys = large_parts(lit, rule) | (round_it & is_target)
    pixels = np.where(nobodys, np.uint8(IGNORE), np.uint8(BACKGROUND))
    others = _neighbour_areas(lit, targets, neighbours, rule)
    _paint(pixels, others, neighbours, IGNORE)
    _paint(pixels, others, neighbours, BOGUS)
    pixels[area & (targets.codes == BOGUS)[:, None, None]] = BOGUS
    _paint(pixels, others, neighbours, REAL)
    pixels[area & (targets.codes == REAL)[:, None, None]] = REAL
    return pixels


def _areas(
    lit: NDArray[np.float32], disk: Bools, targets: Targets, rule: MaskRule
) -> tuple[Bools, Bools]:
    """Return the pixels of the targets, and those of the islands that they lie on."""
    found = find_footprints(lit, targets.x, targets.y, targets.fwhm_px, targets.codes == REAL, rule)
    long = targets.moving | (elongations(found.part) > rule.trail_elongation)
    reach = np.where(long, np.inf, rule.cap_fwhm * targets.fwhm_px)
    within = disks(lit.shape[1:], targets.x, targets.y, reach)
    return disk | (found.part & within), found.island


def _neighbour_areas(
    lit: NDArray[np.float32], targets: Targets, neighbours: Neighbours, rule: MaskRule
) -> Bools:
    """Return the pixels (neighbour, y, x) of each neighbour: all that may be its, if it has no label."""
    lit = lit[neighbours.stamp]
    fwhm = targets.fwhm_px[neighbours.stamp]
    still = np.zeros(len(fwhm), np.bool_)
    each = Targets(neighbours.x, neighbours.y, fwhm, neighbours.codes, still)
    areas, _ = _areas(lit, _disks(lit.shape, each, rule), each, rule)
    unknown = neighbours.codes == IGNORE
    wide = disks(lit.shape[1:], each.x, each.y, rule.neighbour_fwhm * fwhm)
    areas[unknown] = wide[unknown]
    return areas


def _paint(pixels: Codes, areas: Bools, neighbours: Neighbours, code: int) -> None:
    for number in np.flatnonzero(neighbours.codes == code):
        pixels[neighbours.stamp[number]][areas[number]] = code


def _unjudgeable(flags: Codes, grow_px: int) -> Bools:
    full = has(flags, Flag.SATURATED)
    if grow_px and full.any():
        full = ndimage.binary_dilation(full, FULL_SQUARE, iterations=grow_px)
    return has(flags, NO_PIXELS) | full


def _missing_share(flags: Codes, target: Bools) -> Floats:
    """Return which share of each target disk has no pixels; 1 where no disk is on the stamp."""
    size = target.sum(axis=(1, 2))
    lost = (target & has(flags, NO_PIXELS)).sum(axis=(1, 2))
    share: Floats = np.where(size > 0, lost / np.maximum(size, 1), 1.0)
    return share
