"""The frames as FITS files, byte for byte the same for the same pixels."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.headers import detector_cards, exposure_cards, wcs_cards
from astrid_training.simulate.pixels import Floats
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.planes import FLAGS, Planes
from astrid_training.simulate.sky import Field

__all__ = ["field_wcs", "fits_bytes", "sky_positions"]


def field_wcs(plan: SkyPlan, field: Field, dither: tuple[int, int] = (0, 0)) -> WCS:
    """Return the gnomonic WCS of a frame: east to the left, north up, slightly turned.

    All frames of a field share one tangent point, so field positions minus `dither` are the
    frame's own pixels exactly. 0-based pixels with `origin=0`, x before y.
    """
    return WCS(fits.Header(wcs_cards(plan, field, dither)))


def sky_positions(
    plan: SkyPlan, field: Field, conditions: Conditions, pixels: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return (ra, dec) in degrees, to 7 decimals, of 0-based (x, y) on a frame."""
    if not pixels:
        return []
    x, y = np.array(pixels).T
    ras, decs = field_wcs(plan, field, conditions.dither).all_pix2world(x, y, 0)
    return [(round(float(ra), 7), round(float(dec), 7)) for ra, dec in zip(ras, decs, strict=True)]


def fits_bytes(
    plan: SkyPlan,
    field: Field,
    conditions: Conditions,
    image: Floats,
    kind: str,
    exposures: int = 1,
    planes: Planes | None = None,
) -> bytes:
    """Return the file of one frame as float32, in the composition of the plan's layout.

    Args:
        plan: the survey.
        field: where it points.
        conditions: when, and under what sky.
        image: (height, width), units; NaN = missing.
        kind: science, reference or difference.
        exposures: how many were averaged.
        planes: error and quality; None: of a layout without.
    """
    exposure = fits.Header(exposure_cards(plan, field, conditions, kind, exposures))
    detector = fits.Header(detector_cards(plan, field, conditions, exposures))
    detector.extend(wcs_cards(plan, field, conditions.dither))
    if planes is None:
        exposure.extend(detector.cards)
        hdus = [fits.PrimaryHDU(image.astype(np.float32), exposure)]
    else:
        hdus = [fits.PrimaryHDU(header=exposure), *_extensions(plan, image, planes, detector)]
    buffer = BytesIO()
    fits.HDUList(hdus).writeto(buffer)
    return buffer.getvalue()


def _extensions(
    plan: SkyPlan, image: Floats, planes: Planes, detector: fits.Header
) -> list[fits.ImageHDU]:
    """Return SCI, ERR and DQ; HST's numbers have no NaN, so its missing pixels hold 0."""
    composition = plan.instrument.composition
    floats = [image, planes.error]
    if composition == "hst":
        floats = [np.nan_to_num(values) for values in floats]
    science, error = (values.astype(np.float32) for values in floats)
    return [
        fits.ImageHDU(science, detector, name="SCI", ver=1),
        fits.ImageHDU(error, name="ERR", ver=1),
        fits.ImageHDU(planes.quality.astype(FLAGS[composition].dtype), name="DQ", ver=1),
    ]
