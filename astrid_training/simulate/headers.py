"""Header cards as each survey writes them: (keyword, value, comment)."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.layouts import ARCSEC2_A_STERADIAN
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.sky import Field

__all__ = ["Cards", "detector_cards", "exposure_cards", "mjd", "wcs_cards"]

Cards: TypeAlias = list[tuple[str, object, str]]

MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
SECONDS_A_DAY = 86400
TDB_MINUS_UTC = timedelta(seconds=69.184)  # since 2017; what the Earth's orbit adds is < 2 ms
ACS_FILTERS = {"F606W": ("F606W", "CLEAR2L"), "F814W": ("CLEAR1L", "F814W")}
"""What is in each of the two wheels."""
ACS_PIVOT_ANGSTROM = {"F606W": 5921.9, "F814W": 8045.5}
ACS_GAIN, NIRCAM_GAIN = 2.0, 2.0  # electrons a count of raw data
STMAG_ZERO, STMAG_TO_ABMAG = -21.1, 18.692
"""AB = -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) + STMAG_ZERO + STMAG_TO_ABMAG.

Source: ACS Data Handbook, section on photometric zero points."""
MICROJANSKY_ARCSEC2 = 1e12 / ARCSEC2_A_STERADIAN
"""Of one MJy/sr."""


def mjd(time: datetime) -> float:
    """Return the modified Julian date of `time`, to a hundredth of a second."""
    return round((time - MJD_ZERO).total_seconds() / SECONDS_A_DAY, 7)


def exposure_cards(
    plan: SkyPlan, field: Field, conditions: Conditions, kind: str, exposures: int
) -> Cards:
    """Return what a header says of the exposure.

    Args:
        plan: the survey.
        field: where it points.
        conditions: when, and under what sky.
        kind: science, reference or difference.
        exposures: how many were averaged.
    """
    layout = plan.instrument
    if layout.composition == "separate":
        return _plain_exposure(plan, field, conditions, kind, exposures)
    told: Cards = [
        ("ORIGIN", "simulated", "no telescope took this"),
        ("TELESCOP", layout.telescope, "whose files have this layout"),
        ("TARGNAME", f"{plan.survey} {field.name}", "field"),
        ("FIELDID", field.index, "number of the field"),
        ("IMAGETYP", kind, "science, reference or difference"),
        ("DATE-OBS", conditions.time.strftime("%Y-%m-%d"), "UTC date of the start"),
        ("TIME-OBS", conditions.time.strftime("%H:%M:%S"), "UTC time of the start"),
    ]
    seconds = layout.exposure_s * exposures
    times = (conditions.time, conditions.time + timedelta(seconds=seconds))
    if layout.composition == "hst":
        return told + _acs_exposure(field.band, times, layout.read_noise)
    return told + _nircam_exposure(field.band, times)


def detector_cards(plan: SkyPlan, field: Field, conditions: Conditions, exposures: int) -> Cards:
    """Return what a header says of the pixels; arguments as of `exposure_cards`."""
    layout = plan.instrument
    zero_point = layout.zero_point + 2.5 * float(np.log10(conditions.throughput))
    if layout.composition == "hst":
        return _acs_detector(layout.units, field.band, zero_point, exposures)
    if layout.composition == "jwst":
        return _nircam_detector(plan, conditions, exposures)
    return [
        ("BUNIT", layout.units, "of the pixels"),
        ("MAGZP", round(zero_point, 5), "[mag] AB magnitude of one unit"),
        ("GAIN", layout.gain * exposures, "[electron/unit] of the average"),
        ("READNOI", round(layout.read_noise * exposures**0.5, 6), "[electron] of the sum"),
        ("SATURATE", layout.saturation, "a full pixel"),
        ("SEEING", round(conditions.fwhm_px * layout.pixel_scale_arcsec, 6), "[arcsec] FWHM"),
        ("PIXSCALE", layout.pixel_scale_arcsec, "[arcsec/px]"),
    ]


def wcs_cards(plan: SkyPlan, field: Field, dither: tuple[int, int]) -> Cards:
    """Return the gnomonic WCS of a frame: JWST's as PC and CDELT, the others' as CD."""
    height, width = plan.frame_size
    layout = plan.instrument
    by_pc = layout.composition == "jwst"
    scale = layout.pixel_scale_arcsec / 3600
    turn = np.radians(field.rotation_deg)
    cos, sin = (round(float((1 if by_pc else scale) * v), 15) for v in (np.cos(turn), np.sin(turn)))
    unit = "" if by_pc else "[deg/px]"
    steps = [("CDELT1", scale, "[deg/px]"), ("CDELT2", scale, "[deg/px]")] if by_pc else []
    matrix = "PC" if by_pc else "CD"
    return [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CUNIT1", "deg", ""),
        ("CUNIT2", "deg", ""),
        ("CRVAL1", field.ra_deg, "[deg] tangent point"),
        ("CRVAL2", field.dec_deg, "[deg] tangent point"),
        ("CRPIX1", (width + 1) / 2 - dither[0], "1-based column of the tangent point"),
        ("CRPIX2", (height + 1) / 2 - dither[1], "1-based row of the tangent point"),
        (f"{matrix}1_1", -cos, unit),
        (f"{matrix}1_2", sin, unit),
        (f"{matrix}2_1", sin, unit),
        (f"{matrix}2_2", cos, unit),
        *steps,
        ("RADESYS", "ICRS", ""),
    ]


def _plain_exposure(
    plan: SkyPlan, field: Field, conditions: Conditions, kind: str, exposures: int
) -> Cards:
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


def _acs_exposure(band: str, times: tuple[datetime, datetime], read_noise: float) -> Cards:
    start, end = times
    first, second = ACS_FILTERS[band]
    return [
        ("INSTRUME", "ACS", "instrument"),
        ("DETECTOR", "WFC", "detector"),
        ("EXPSTART", mjd(start), "[d] MJD, UTC, of the start"),
        ("EXPEND", mjd(end), "[d] MJD, UTC, of the end"),
        ("EXPTIME", (end - start).total_seconds(), "[s] of all exposures"),
        ("FILTER1", first, "element in wheel 1"),
        ("FILTER2", second, "element in wheel 2"),
        ("CCDGAIN", ACS_GAIN, "[electron/count] of the raw data"),
        *((f"READNSE{amplifier}", read_noise, "[electron] of an exposure") for amplifier in "ABCD"),
    ]


def _acs_detector(units: str, band: str, zero_point: float, exposures: int) -> Cards:
    pivot = ACS_PIVOT_ANGSTROM[band]
    magnitude = zero_point + 5 * np.log10(pivot) - STMAG_ZERO - STMAG_TO_ABMAG
    return [
        ("BUNIT", units, "of the pixels"),
        ("CCDCHIP", 1, "chip"),
        ("NCOMBINE", exposures, "exposures averaged"),
        ("PHOTMODE", f"ACS WFC1 {band}", "what PHOTFLAM is for"),
        ("PHOTFLAM", float(f"{10 ** (-0.4 * magnitude):.7e}"), "[erg/cm2/Angstrom] of one unit"),
        ("PHOTZPT", STMAG_ZERO, "[mag] of STMAG"),
        ("PHOTPLAM", pivot, "[Angstrom] pivot wavelength"),
    ]


def _nircam_exposure(band: str, times: tuple[datetime, datetime]) -> Cards:
    start, end = times
    middle, seconds = start + (end - start) / 2, (end - start).total_seconds()
    return [
        ("TIMESYS", "UTC", "of times without another name"),
        ("INSTRUME", "NIRCAM", "instrument"),
        ("DETECTOR", "NRCB1", "detector"),
        ("CHANNEL", "SHORT", "short wavelengths"),
        ("FILTER", band, "filter"),
        ("PUPIL", "CLEAR", "pupil"),
        ("EXP_TYPE", "NRC_IMAGE", "type of exposure"),
        ("EXPSTART", mjd(start), "[d] MJD, UTC, of the start"),
        ("EXPMID", mjd(middle), "[d] MJD, UTC, of the middle"),
        ("EXPEND", mjd(end), "[d] MJD, UTC, of the end"),
        ("EFFEXPTM", seconds, "[s] effective exposure time"),
        ("DURATION", seconds, "[s] from start to end"),
    ]


def _nircam_detector(plan: SkyPlan, conditions: Conditions, exposures: int) -> Cards:
    layout, start = plan.instrument, conditions.time
    seconds = layout.exposure_s * exposures
    moments = {
        name: start + timedelta(seconds=seconds * share)
        for name, share in (("BEG", 0.0), ("AVG", 0.5), ("END", 1.0))
    }
    area = layout.pixel_scale_arcsec**2
    calibration = NIRCAM_GAIN * layout.exposure_s / layout.gain
    return [
        ("BUNIT", layout.units, "of the pixels"),
        *(
            (f"DATE-{name}", time.isoformat("T", "milliseconds")[:23], "UTC")
            for name, time in moments.items()
        ),
        *((f"MJD-{name}", mjd(time), "[d] MJD, UTC") for name, time in moments.items()),
        *(
            (f"TDB-{name.replace('AVG', 'MID')}", mjd(time + TDB_MINUS_UTC), "[d] MJD, TDB")
            for name, time in moments.items()
        ),
        ("XPOSURE", seconds, "[s] effective exposure time"),
        ("TELAPSE", seconds, "[s] from start to end"),
        ("PHOTMJSR", float(f"{calibration:.7e}"), "[MJy/sr] of one count a second"),
        (
            "PHOTUJA2",
            float(f"{calibration * MICROJANSKY_ARCSEC2:.7e}"),
            "[uJy/arcsec2] of the same",
        ),
        ("PIXAR_SR", float(f"{area / ARCSEC2_A_STERADIAN:.7e}"), "[sr] area of a pixel"),
        ("PIXAR_A2", float(f"{area:.7e}"), "[arcsec2] area of a pixel"),
    ]
