"""A circle on the sky: the box that a database can look up, and the test that decides."""

import math

import numpy as np
from numpy.typing import NDArray

from astrid_training.params import Cone
from astrid_training.sky import chord, unit_vectors

__all__ = ["cone_box", "inside_cone"]

MARGIN_DEG = 0.2
"""More than two detections of one subject can be apart, so that none of its votes is left out."""

WHOLE_SKY = {"dec_from": -90.0, "dec_to": 90.0, "ra_from": 0.0, "ra_to": 360.0}


def cone_box(cone: Cone | None) -> dict[str, float]:
    """Return bounds that hold the cone and a margin, degrees; the whole sky without a cone.

    Where `ra_from` is the larger one, the box goes through RA 0; one that holds a pole has all RA.
    """
    if cone is None:
        return dict(WHOLE_SKY)
    radius = cone.radius_deg + MARGIN_DEG
    low, high = cone.dec_deg - radius, cone.dec_deg + radius
    box = {"dec_from": max(low, -90.0), "dec_to": min(high, 90.0)}
    if low <= -90 or high >= 90:
        return WHOLE_SKY | box
    ratio = math.sin(math.radians(radius)) / math.cos(math.radians(cone.dec_deg))
    half = math.degrees(math.asin(ratio))
    return box | {"ra_from": (cone.ra_deg - half) % 360, "ra_to": (cone.ra_deg + half) % 360}


def inside_cone(
    cone: Cone | None, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return (n,) whether positions are within the cone's radius; all of them without a cone.

    Args:
        cone: centre and radius.
        ra_deg: (n,) degrees.
        dec_deg: (n,) degrees.
    """
    if cone is None:
        return np.ones(len(ra_deg), bool)
    apart = unit_vectors(ra_deg, dec_deg) - unit_vectors(cone.ra_deg, cone.dec_deg)
    reach = chord(cone.radius_deg * 3600)
    within: NDArray[np.bool_] = np.linalg.norm(apart, axis=-1) <= reach
    return within
