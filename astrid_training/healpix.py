"""Tiles of the sky: HEALPix pixels in the ring scheme, to divide a crowded field, never to name an object."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["tile_numbers", "tile_order"]

DEEPEST_ORDER = 29  # its numbers still fit 64 bits
BASE_WIDTH_ARCSEC = math.degrees(math.sqrt(math.pi / 3)) * 3600
"""Square root of the area of one of the 12 base pixels."""


def tile_order(width_arcsec: float) -> int:
    """Return the deepest order whose tiles are at least `width_arcsec` wide, 0 at the least."""
    order = math.floor(math.log2(BASE_WIDTH_ARCSEC / width_arcsec))
    return min(max(order, 0), DEEPEST_ORDER)


def tile_numbers(order: int, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
    """Return (n,) ring numbers, counted from 0 at the north pole, of the tiles that hold positions.

    Args:
        order: nside is 2**order; there are 12 * 4**order tiles of equal area.
        ra_deg: (n,) degrees.
        dec_deg: (n,) degrees.

    Source: Gorski et al. 2005, ApJ 622, 759, section 5.
    """
    nside = 2**order
    z = np.sin(np.radians(np.asarray(dec_deg, float)))
    turn = (np.asarray(ra_deg, float) % 360) / 90  # quarter turns, [0, 4)
    turn = np.where(turn >= 4, 0.0, turn)  # a tiny negative angle rounds up to a whole turn
    belt = np.abs(z) <= 2 / 3
    return np.where(belt, _belt(nside, z, turn), _cap(nside, z, turn))


def _belt(nside: int, z: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.int64]:
    rising = np.floor(nside * (0.5 + turn - 0.75 * z)).astype(np.int64)
    falling = np.floor(nside * (0.5 + turn + 0.75 * z)).astype(np.int64)
    ring = nside + 1 + rising - falling  # from 1 at z = 2/3
    shift = 1 - (ring & 1)
    along = (rising + falling - nside + shift + 1) // 2 % (4 * nside)
    number: NDArray[np.int64] = 2 * nside * (nside - 1) + (ring - 1) * 4 * nside + along
    return number


def _cap(nside: int, z: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.int64]:
    within = turn - np.floor(turn)
    distance = nside * np.sqrt(3 * (1 - np.abs(z)))
    up = np.floor(within * distance).astype(np.int64)
    down = np.floor((1 - within) * distance).astype(np.int64)
    ring = np.minimum(up + down + 1, nside)  # from the nearer pole; rounding must not pass the cap
    along = np.floor(turn * ring).astype(np.int64) % (4 * ring)
    north = 2 * ring * (ring - 1) + along
    south = 12 * nside**2 - 2 * ring * (ring + 1) + along
    number: NDArray[np.int64] = np.where(z > 0, north, south)
    return number
