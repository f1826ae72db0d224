"""One thing in one observation, however many model runs detected it."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from astrid_training.sky import chord, close_pairs, unit_vectors

__all__ = ["join_detections"]

LINK_FWHM = 0.5
DIAMETER_FWHM = 1.5


def join_detections(
    observation: NDArray[np.int64],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    fwhm_arcsec: NDArray[np.float64],
    pixel_arcsec: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return (n,) subject numbers of detections, counted from 0 in the order of their first member.

    Detections of one observation are joined, nearest pairs first, when they lie within
    max(1 px, 0.5 FWHM), as long as no two members end up farther apart than 1.5 FWHM.

    Args:
        observation: (n,) number of the observation each detection belongs to.
        ra_deg: (n,) degrees.
        dec_deg: (n,) degrees.
        fwhm_arcsec: (n,) PSF FWHM of the observation.
        pixel_arcsec: (n,) pixel scale of the observation, arcsec per pixel.
    """
    vectors = unit_vectors(ra_deg, dec_deg)
    apart = observation[:, None] * 10.0  # farther than any two points of the sphere
    link = np.maximum(pixel_arcsec, LINK_FWHM * fwhm_arcsec)
    pairs, distance = close_pairs(np.hstack([vectors, apart]), link)
    cap = chord(np.maximum(DIAMETER_FWHM * fwhm_arcsec, link))

    subject, loose = _whole_components(pairs, len(vectors))
    among = loose[pairs[:, 0]]
    order = np.lexsort((pairs[among][:, 1], pairs[among][:, 0], distance[among]))
    _link_nearest_first(vectors, pairs[among][order], cap, subject)
    return _numbered(subject)


def _whole_components(
    pairs: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (size,) a number per detection, shared where all of a component are pairwise linked.

    And which detections are in components where they are not: those keep numbers of their own.
    """
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (size, size))
    component = connected_components(links, directed=False)[1].astype(np.int64)
    members = np.bincount(component)
    linked = np.bincount(component[pairs[:, 0]], minlength=len(members))
    loose = (linked < members * (members - 1) // 2)[component]
    return np.where(loose, size + np.arange(size), component), loose


def _link_nearest_first(
    vectors: NDArray[np.float64],
    pairs: NDArray[np.int64],
    cap: NDArray[np.float64],
    subject: NDArray[np.int64],
) -> None:
    """Give the pairs one number each in turn, unless members would end up farther apart than `cap`."""
    members = {int(subject[index]): [int(index)] for index in np.unique(pairs)}
    for first, second in pairs:
        a, b = int(subject[first]), int(subject[second])
        if a == b:
            continue
        spread = vectors[members[a]][:, None] - vectors[members[b]][None]
        if np.linalg.norm(spread, axis=-1).max() > cap[first]:
            continue
        subject[members[b]] = a
        members[a] += members.pop(b)


def _numbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels as numbers from 0 in the order of their first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
