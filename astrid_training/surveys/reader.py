"""Files to frames: pixels, WCS, planes of missing pixels, and what the header says."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrid_training.fits import (
    decode_pixels,
    integers_of,
    log_once,
    logged_warnings,
    open_fits,
    pick_image,
    refuse_without_pixels,
    refused_content,
)
from astrid_training.fits_guard import refusal
from astrid_training.surveys.frames import (
    MISSING_ABOVE,
    FlagPlane,
    Frame,
    FrameMeta,
    Kind,
    Role,
    WeightPlane,
)
from astrid_training.surveys.headers import mid_exposure, number_of, positive_of, text_of
from astrid_training.surveys.model import SurveyProfile
from astrid_training.surveys.photometry import ab_zero_point

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["read_frame"]

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
WCS_SIZES = ("WCSAXES", "A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER")
MOST_WCS_TERMS = 9  # the SIP convention's; arrays of the square of it are made unasked
UNSIGNED_16 = 32768.0
FULL_16 = 65535.0

_log = logging.getLogger(__name__)


def read_frame(path: Path, profile: SurveyProfile, role: Role, kind: Kind = "raw") -> Frame:
    """Return the image that plays `role` in the file.

    Args:
        path: a file that `fits.check_fits` accepts.
        profile: of the file's survey and kind.
        role: science, reference or difference.
        kind: raw or processed frame, or a stamp.

    Raises:
        FitsRefusedError: if the file has no such image, or header or pixels cannot be decoded.
        OSError: if this machine cannot read the file now.
    """
    with open_fits(path) as hdus:
        with logged_warnings(path), refused_content(path.name):
            hdu, header = pick_image(hdus, profile.hdus.get(role), path.name)
            wcs = _celestial_wcs(_sky_header(hdus, hdu, header), hdu.shape, hdus, path.name)
            meta = _parse_meta(header, profile, wcs, full=_full_well(hdu))
            sign = _difference_sign(header, profile, path.name) if role == "difference" else 1
        pixels = decode_pixels(hdu, path.name)
        refuse_without_pixels(pixels, MISSING_ABOVE, path.name)
        planes = _planes(hdus, hdu, profile, path)
    return Frame(pixels, wcs, meta, kind, 1 if sign > 0 else -1, planes)


def _sky_header(hdus: Any, hdu: Any, merged: "Header") -> "Header":  # noqa: ANN401 - astropy has no types
    """Return the header whose WCS is the image's: never that of another image in the primary HDU."""
    primary = hdus[0]
    other_image = primary is not hdu and len(primary.shape) >= 2 and primary.shape != hdu.shape
    return hdu.header if other_image else merged


def _celestial_wcs(header: "Header", shape: tuple[int, ...], hdus: Any, name: str) -> Any:  # noqa: ANN401 - astropy has no types
    """Return the sky part of the header's WCS, or None if it has none that works."""
    from astropy.wcs import WCS  # heavy; imported only where files are read

    if not str(header.get("CTYPE1", "")).strip():
        return None
    if any((number_of(header, (keyword,)) or 0) > MOST_WCS_TERMS for keyword in WCS_SIZES):
        _log.warning("%s: WCS not usable, pixel positions are taken instead: it is too large", name)
        return None
    try:
        wcs = WCS(header, hdus)
        if not wcs.has_celestial:
            return None
        wcs = wcs.celestial
        wcs.wcs.set()
        scale = _wcs_scale(wcs)
        centre = wcs.all_pix2world([[shape[-1] / 2, shape[-2] / 2]], 0)
    except WCS_ERRORS as error:
        _log.warning("%s: WCS not usable, pixel positions are taken instead: %s", name, error)
        return None
    works = scale is not None and scale < MOST_ARCSEC_A_PIXEL and bool(np.isfinite(centre).all())
    return wcs if works else None


def _parse_meta(
    header: "Header",
    profile: SurveyProfile,
    wcs: Any,  # noqa: ANN401 - astropy has no types
    full: float | None,
) -> FrameMeta:
    keys = profile.keywords
    exposure = positive_of(header, keys.exposure)
    if exposure is not None and profile.exposure_unit == "d":
        exposure *= 86400
    scale = positive_of(header, keys.pixel_scale) or _wcs_scale(wcs)
    seeing = positive_of(header, keys.seeing)
    if seeing is not None and profile.seeing_unit == "arcsec":
        seeing = seeing / scale if scale else None
    mjd, time_scale = mid_exposure(header, profile.times, exposure)
    time_scale = time_scale or text_of(header, keys.time_scale) or profile.time_scale
    band = text_of(header, keys.band, profile.clear_filters)
    read_noise = number_of(header, keys.read_noise)
    units = text_of(header, keys.units) or profile.units
    return FrameMeta(
        gain=positive_of(header, keys.gain),
        read_noise=read_noise if read_noise is not None and read_noise >= 0 else None,
        saturation=positive_of(header, keys.saturation) or full,
        zero_point=_zero_point(header, profile, units, exposure),
        mjd_mid=mjd,
        time_scale=time_scale.lower() if time_scale else None,
        exposure_s=exposure,
        seeing_px=seeing,
        pixel_scale_arcsec=scale,
        units=units,
        band=profile.canonical_band(band) if band else profile.band,
    )


def _zero_point(
    header: "Header", profile: SurveyProfile, units: str | None, exposure_s: float | None
) -> float | None:
    stated = number_of(header, profile.keywords.zero_point)
    if stated is not None or profile.zero_point_rule is None:
        return stated
    return ab_zero_point(
        profile.zero_point_rule,
        units,
        exposure_s,
        photflam=positive_of(header, ("PHOTFLAM",)),
        photplam=positive_of(header, ("PHOTPLAM",)),
        pixar_sr=positive_of(header, ("PIXAR_SR",)),
    )


def _full_well(hdu: Any) -> float | None:  # noqa: ANN401 - astropy has no types
    """Return the largest value that the pixels can hold where they are unsigned 16-bit counts."""
    header = hdu.header
    counts = header["BITPIX"] == 16 and header.get("BZERO") == UNSIGNED_16
    return FULL_16 if counts and header.get("BSCALE", 1) == 1 else None


def _difference_sign(header: "Header", profile: SurveyProfile, name: str) -> int:
    """Return what the pixels are multiplied by to get science minus reference."""
    keyword = profile.difference_sign_keyword
    if keyword is None or keyword not in header:
        return profile.difference_sign
    value = header[keyword]
    if isinstance(value, bool) or value not in (1, -1):
        raise refusal("bad_sign", f"{name}: {keyword} is {value!r}, neither +1 nor -1")
    return int(value)


def _planes(
    hdus: Any,  # noqa: ANN401 - astropy has no types
    hdu: Any,  # noqa: ANN401
    profile: SurveyProfile,
    path: Path,
) -> tuple[FlagPlane | WeightPlane, ...]:
    """Return what marks missing pixels beside the image; empty and unfit planes are logged."""
    planes: list[FlagPlane | WeightPlane] = []
    flags = _beside(hdus, hdu, profile.hdus.get("dq", ()), path)
    if flags is not None:
        with refused_content(path.name):
            values, zero = integers_of(flags)
            bits = _bits(flags.header, profile)
        if values is None:
            log_once(str(path), f"{flags.name} holds no integers and is not used")
        elif bits:
            planes.append(FlagPlane(values, bits, zero))
    weights = _beside(hdus, hdu, profile.hdus.get("weight", ()), path)
    if weights is not None:
        planes.append(WeightPlane(decode_pixels(weights, path.name)))
    return tuple(planes)


def _beside(hdus: Any, hdu: Any, places: tuple[int | str, ...], path: Path) -> Any:  # noqa: ANN401 - astropy has no types
    """Return the HDU of a plane that belongs to the image: of its EXTVER and of its shape."""
    for index, candidate in enumerate(hdus):
        named = candidate.name in places and candidate.ver == hdu.ver
        if not (named or index in places) or candidate is hdu:
            continue
        if candidate.is_image and candidate.shape == hdu.shape:
            return candidate
        log_once(
            str(path),
            f"{candidate.name} of shape {candidate.shape} beside an image of {hdu.shape} is not used",
        )
    return None


def _bits(header: "Header", profile: SurveyProfile) -> int:
    """Return all bits of a plane that make a pixel missing."""
    bits = 0
    for place in profile.dq_missing:
        if isinstance(place, int):
            bits |= place
            continue
        number = number_of(header, (place,))
        if number is not None and 0 <= number < 63 and number.is_integer():
            bits |= 1 << int(number)
    return bits


def _wcs_scale(wcs: Any) -> float | None:  # noqa: ANN401 - astropy has no types
    """Return the side of a square pixel of the same area, arcseconds."""
    if wcs is None:
        return None
    matrix = wcs.pixel_scale_matrix  # degrees a pixel
    area = abs(float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    return math.sqrt(area) * 3600 if area > 0 and math.isfinite(area) else None
