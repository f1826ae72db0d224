"""Positions on the sphere: unit vectors, so that RA's wrap and the poles need no special case."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

__all__ = ["chord", "close_pairs", "friends_of_friends", "sky_key", "unit_vectors"]


PAIRS_AT_ONCE = 100_000


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Return (n, 3) unit vectors of positions in degrees."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def chord(arcsec: ArrayLike) -> NDArray[np.float64]:
    """Return the straight distance between unit vectors that are `arcsec` apart."""
    return np.asarray(2 * np.sin(np.radians(np.asarray(arcsec, float) / 3600) / 2))


def close_pairs(
    vectors: NDArray[np.float64], radius_arcsec: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs that are within the larger of their two radii.

    Args:
        vectors: (n, k) positions; unit vectors, with further coordinates to keep sets apart.
        radius_arcsec: (n,) link radius of each position.

    Returns:
        (m, 2) indices with first < second, and (m,) chord distances.
    """
    if len(vectors) < 2:
        return np.empty((0, 2), np.int64), np.empty(0)
    reach = chord(radius_arcsec)
    found = KDTree(vectors).query_pairs(float(reach.max()), output_type="ndarray")
    pairs = found.astype(np.int64, copy=False)
    distance = np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS_AT_ONCE):  # of one place in many exposures all pairs
        first, second = pairs[start : start + PAIRS_AT_ONCE].T
        apart = np.linalg.norm(vectors[first] - vectors[second], axis=1)
        distance[start : start + PAIRS_AT_ONCE] = apart
    linked = distance <= np.maximum(reach[pairs[:, 0]], reach[pairs[:, 1]])
    return pairs[linked], distance[linked]


def friends_of_friends(
    vectors: NDArray[np.float64], radius_arcsec: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return (n,) component numbers: positions linked through any chain of close pairs share one."""
    pairs, _ = close_pairs(vectors, radius_arcsec)
    size = len(vectors)
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (size, size))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def sky_key(ra_deg: float, dec_deg: float) -> str:
    """Return a position as text, to 1e-5 degrees (0.04 arcsec): a name, never an identity test."""
    return f"{ra_deg % 360:.5f}{dec_deg:+.5f}"
