"""Files to frames: pixels, WCS, and the header's values parsed with suspicion."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from astrid_training.fits import (
    decode_pixels,
    logged_warnings,
    open_fits,
    pick_image,
    refused_content,
)
from astrid_training.surveys.frames import Frame, FrameMeta, Kind, Role
from astrid_training.surveys.profiles import SurveyProfile

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["read_frame"]

SENTINELS = {-99.0, -999.0, -9999.0}
NO_TEXT = {"", "null", "none", "nan"}
DAY_S = 86400.0
WCS_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,  # "NAXES was not set" and the like: no lack of memory
    RuntimeError,
    TypeError,
    ValueError,  # wcslib's own among them
)
"""From keywords that make no WCS, or are of the wrong type."""
MOST_ARCSEC_A_PIXEL = 600.0  # a header without a scale means one degree to wcslib

_log = logging.getLogger(__name__)


def read_frame(path: Path, profile: SurveyProfile, role: Role, kind: Kind = "raw") -> Frame:
    """Return the image that plays `role` in the file.

    Args:
        path: a file that `fits.check_fits` accepts.
        profile: of the file's survey.
        role: science, reference or difference.
        kind: raw or processed frame, or a stamp.

    Raises:
        FitsRefusedError: if the file has no such image, or header or pixels cannot be decoded.
        OSError: if this machine cannot read the file now.
    """
    with open_fits(path) as hdus:
        with logged_warnings(path), refused_content(path.name):
            hdu, header = pick_image(hdus, profile.hdus.get(role), path.name)
            wcs = _celestial_wcs(header, hdus, path.name)
            meta = _parse_meta(header, profile, wcs)
        pixels = decode_pixels(hdu, path.name)
    sign = _difference_sign(header, profile) if role == "difference" else 1
    return Frame(pixels, wcs, meta, kind, sign)


def _difference_sign(header: "Header", profile: SurveyProfile) -> Literal[1, -1]:
    told = header.get(profile.difference_sign_keyword) if profile.difference_sign_keyword else None
    if told in {1, -1}:
        return 1 if told == 1 else -1
    return profile.difference_sign


def _celestial_wcs(header: "Header", hdus: Any, name: str) -> Any:  # noqa: ANN401 - astropy has no types
    """Return the sky part of the header's WCS, or None if it has none that works."""
    from astropy.wcs import WCS  # heavy; imported only where files are read

    if not str(header.get("CTYPE1", "")).strip():
        return None
    try:
        wcs = WCS(header, hdus)
        if not wcs.has_celestial:
            return None
        wcs = wcs.celestial
        wcs.wcs.set()
        scale = _wcs_scale(wcs)
    except WCS_ERRORS as error:
        _log.warning("%s: WCS not usable, pixel positions are taken instead: %s", name, error)
        return None
    return wcs if scale is not None and scale < MOST_ARCSEC_A_PIXEL else None


def _parse_meta(header: "Header", profile: SurveyProfile, wcs: Any) -> FrameMeta:  # noqa: ANN401 - astropy has no types
    keys = profile.keywords
    exposure = _positive(header, keys.exposure)
    scale = _positive(header, keys.pixel_scale) or _wcs_scale(wcs)
    seeing = _positive(header, keys.seeing)
    if seeing is not None and profile.seeing_unit == "arcsec":
        seeing = seeing / scale if scale else None
    time_scale = _text(header, keys.time_scale)
    band = _text(header, keys.band)
    read_noise = _number(header, keys.read_noise)
    return FrameMeta(
        gain=_positive(header, keys.gain),
        read_noise=read_noise if read_noise is not None and read_noise >= 0 else None,
        saturation=_positive(header, keys.saturation),
        zero_point=_number(header, keys.zero_point),
        mjd_mid=_mid_exposure(_positive(header, keys.mjd), exposure, profile),
        time_scale=time_scale.lower() if time_scale else profile.time_scale,
        exposure_s=exposure,
        seeing_px=seeing,
        pixel_scale_arcsec=scale,
        units=_text(header, keys.units) or profile.units,
        band=profile.bands.get(band.casefold(), band) if band else None,
    )


def _mid_exposure(
    mjd: float | None, exposure_s: float | None, profile: SurveyProfile
) -> float | None:
    if mjd is None or profile.mjd_is == "mid":
        return mjd
    return mjd + exposure_s / 2 / DAY_S if exposure_s else None


def _wcs_scale(wcs: Any) -> float | None:  # noqa: ANN401 - astropy has no types
    """Return the side of a square pixel of the same area, arcseconds."""
    if wcs is None:
        return None
    matrix = wcs.pixel_scale_matrix  # degrees a pixel
    area = abs(float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    return math.sqrt(area) * 3600 if area > 0 and math.isfinite(area) else None


def _number(header: "Header", names: tuple[str, ...]) -> float | None:
    """Return the first finite number among the keywords that is no sentinel."""
    for name in names:
        value = header.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number) and number not in SENTINELS:
            return number
    return None


def _positive(header: "Header", names: tuple[str, ...]) -> float | None:
    number = _number(header, names)
    return number if number is not None and number > 0 else None


def _text(header: "Header", names: tuple[str, ...]) -> str | None:
    for name in names:
        value = header.get(name)
        if isinstance(value, str) and value.strip().casefold() not in NO_TEXT:
            return value.strip()
    return None
