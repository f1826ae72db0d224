"""One thing in one observation, however many model runs detected it."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

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

    members = {index: [index] for index in range(len(vectors))}
    home = list(range(len(vectors)))
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0], distance))]:
        a, b = home[first], home[second]
        if a == b:
            continue
        spread = vectors[members[a]][:, None] - vectors[members[b]][None]
        if np.linalg.norm(spread, axis=-1).max() > cap[first]:
            continue
        for index in members[b]:
            home[index] = a
        members[a] += members.pop(b)
    return _numbered(home)


def _numbered(labels: list[int]) -> NDArray[np.int64]:
    numbers: defaultdict[int, int] = defaultdict(lambda: len(numbers))
    return np.array([numbers[label] for label in labels], np.int64)
