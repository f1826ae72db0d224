"""The frames as FITS files, byte for byte the same for the same pixels."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.pixels import Floats
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.sky import Field

__all__ = ["field_wcs", "fits_bytes", "mjd", "sky_positions"]

MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
SECONDS_A_DAY = 86400


def mjd(time: datetime) -> float:
    """Return the modified Julian date (UTC) of `time`, to a hundredth of a second."""
    return round((time - MJD_ZERO).total_seconds() / SECONDS_A_DAY, 7)


def field_wcs(plan: SkyPlan, field: Field, dither: tuple[int, int] = (0, 0)) -> WCS:
    """Return the gnomonic WCS of a frame: east to the left, north up, slightly turned.

    All frames of a field share one tangent point, so field positions minus `dither` are the
    frame's own pixels exactly. 0-based pixels with `origin=0`, x before y.
    """
    return WCS(fits.Header(_wcs_cards(plan, field, dither)))


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
) -> bytes:
    """Return the file of one frame as float32, in the composition of the plan's layout.

    Args:
        plan: the survey.
        field: where it points.
        conditions: when, and under what sky.
        image: (height, width), units; NaN = missing.
        kind: science, reference or difference.
        exposures: how many were averaged.
    """
    layout = plan.instrument
    exposure = fits.Header(_exposure_cards(plan, field, conditions, kind, exposures))
    detector = fits.Header(_detector_cards(plan, conditions, exposures))
    detector.extend(_wcs_cards(plan, field, conditions.dither))
    pixels = image.astype(np.float32)
    if layout.composition == "separate":
        exposure.extend(detector.cards)
        hdus = fits.HDUList([fits.PrimaryHDU(pixels, exposure)])
    else:
        hdus = fits.HDUList(
            [fits.PrimaryHDU(header=exposure), fits.ImageHDU(pixels, detector, name="SCI")]
        )
    buffer = BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


def _exposure_cards(
    plan: SkyPlan, field: Field, conditions: Conditions, kind: str, exposures: int
) -> list[tuple[str, object, str]]:
    layout = plan.instrument
    return [
        ("OBJECT", f"{plan.survey} {field.name}", "field"),
        ("FIELDID", field.index, "number of the field"),
        ("IMAGETYP", kind, "science, reference or difference"),
        ("TELESCOP", layout.telescope, "no real telescope"),
        ("DATE-OBS", conditions.time.strftime("%Y-%m-%dT%H:%M:%S"), "start of the exposure"),
        ("MJD-OBS", mjd(conditions.time), "[d] start of the exposure"),
        ("TIMESYS", "UTC", "of DATE-OBS and MJD-OBS"),
        ("EXPTIME", layout.exposure_s * exposures, "[s]"),
        ("NCOADD", exposures, "exposures averaged"),
        ("FILTER", field.band, "as the survey writes it"),
        ("AIRMASS", conditions.airmass, "at mid-exposure"),
    ]


def _detector_cards(
    plan: SkyPlan, conditions: Conditions, exposures: int
) -> list[tuple[str, object, str]]:
    layout = plan.instrument
    zero_point = layout.zero_point + 2.5 * np.log10(conditions.throughput)
    return [
        ("BUNIT", layout.units, "of the pixels"),
        ("MAGZP", round(float(zero_point), 5), "[mag] AB magnitude of one unit"),
        ("GAIN", layout.gain * exposures, "[electron/unit] of the average"),
        ("READNOI", round(layout.read_noise * exposures**0.5, 6), "[electron] of the sum"),
        ("SATURATE", layout.saturation, "a full pixel"),
        ("SEEING", round(conditions.fwhm_px * layout.pixel_scale_arcsec, 6), "[arcsec] FWHM"),
        ("PIXSCALE", layout.pixel_scale_arcsec, "[arcsec/px]"),
    ]


def _wcs_cards(
    plan: SkyPlan, field: Field, dither: tuple[int, int]
) -> list[tuple[str, object, str]]:
    height, width = plan.frame_size
    scale = plan.instrument.pixel_scale_arcsec / 3600
    turn = np.radians(field.rotation_deg)
    cos, sin = (round(float(scale * v), 15) for v in (np.cos(turn), np.sin(turn)))
    return [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", field.ra_deg, "[deg] tangent point"),
        ("CRVAL2", field.dec_deg, "[deg] tangent point"),
        ("CRPIX1", (width + 1) / 2 - dither[0], "1-based column of the tangent point"),
        ("CRPIX2", (height + 1) / 2 - dither[1], "1-based row of the tangent point"),
        ("CD1_1", -cos, "[deg/px]"),
        ("CD1_2", sin, "[deg/px]"),
        ("CD2_1", sin, "[deg/px]"),
        ("CD2_2", cos, "[deg/px]"),
        ("RADESYS", "ICRS", ""),
    ]
