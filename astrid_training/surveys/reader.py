"""Files to frames: pixels, WCS, planes of missing pixels, and what the header says."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrid_training.fits import (
    decode_pixels,
    integers_of,
    log_once,
    logged_warnings,
    pick_image,
    refuse_without_pixels,
    refused_content,
)
from astrid_training.fits_guard import refusal
from astrid_training.fits_headers import Keywords
from astrid_training.fits_images import Image, open_images
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
from astrid_training.surveys.wcs import celestial_wcs, side_arcsec

__all__ = ["images_of", "read_frame"]

UNSIGNED_16 = 32768.0
FULL_16 = 65535.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Described:
    """What the headers say of the image that plays a role."""

    profile: SurveyProfile
    number: int
    """Of the HDU."""
    wcs: Any
    meta: FrameMeta
    sign: int
    flags: tuple[int, int] | None
    """HDU and bits of the plane that marks missing pixels."""
    weights: int | None
    """HDU of the weights."""


def read_frame(path: Path, profile: SurveyProfile, role: Role, kind: Kind = "raw") -> Frame:
    """Return the image that plays `role` in the file.

    Args:
        path: a file that `fits.check_fits` accepts, or a part of one: its frame gives what was
            fetched and no more.
        profile: of the file's survey and kind.
        role: science, reference or difference.
        kind: raw or processed frame, or a stamp.

    Raises:
        FitsRefusedError: if the file has no such image, or header or pixels cannot be decoded.
        OSError: if this machine cannot read the file now.
    """
    images = open_images(path)
    said = _described(images, profile, role)
    image = images[said.number]
    pixels = decode_pixels(image)
    if image.opened.part is None:
        refuse_without_pixels(pixels, MISSING_ABOVE, path.name)
    wcs = copy.deepcopy(said.wcs)  # wcslib writes into it, perhaps from several threads
    return Frame(pixels, wcs, said.meta, kind, 1 if said.sign > 0 else -1, _planes(images, said))


def images_of(path: Path, profile: SurveyProfile, role: Role) -> list[Image]:
    """Return the image that plays `role` in the file, and the planes beside it.

    Raises:
        FitsRefusedError: as `read_frame`.
    """
    images = open_images(path)
    said = _described(images, profile, role)
    planes = [said.flags[0]] if said.flags else []
    planes += [] if said.weights is None else [said.weights]
    return [images[number] for number in (said.number, *planes)]


def _described(images: Sequence[Image], profile: SurveyProfile, role: Role) -> _Described:
    """Return what the headers say, worked out once for each version of a file."""
    key = id(profile), role  # a profile holds mappings; it lives as long as what is kept of it
    kept: _Described | None = images[0].notes.get(key)
    if kept is None:
        kept = images[0].notes[key] = _describe(images, profile, role)
    return kept


def _describe(images: Sequence[Image], profile: SurveyProfile, role: Role) -> _Described:
    path = images[0].opened.path
    with logged_warnings(path), refused_content(path.name):
        image, header = pick_image(images, profile.hdus.get(role), path.name)
        wcs = celestial_wcs(images, image, header, _log)
        meta = _parse_meta(header, profile, wcs, full=_full_well(image.header))
        sign = _difference_sign(header, profile, path.name) if role == "difference" else 1
    with refused_content(path.name):
        flags = _beside(images, image, profile.hdus.get("dq", ()))
        weights = _beside(images, image, profile.hdus.get("weight", ()))
        bits = _bits(flags.header, profile) if flags else 0
    return _Described(
        profile,
        image.number,
        wcs,
        meta,
        sign,
        (flags.number, bits) if flags else None,
        weights.number if weights else None,
    )


def _parse_meta(
    header: Keywords,
    profile: SurveyProfile,
    wcs: Any,  # noqa: ANN401 - astropy has no types
    full: float | None,
) -> FrameMeta:
    keys = profile.keywords
    exposure = positive_of(header, keys.exposure)
    if exposure is not None and profile.exposure_unit == "d":
        exposure *= 86400
    scale = positive_of(header, keys.pixel_scale) or side_arcsec(wcs)
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
    header: Keywords, profile: SurveyProfile, units: str | None, exposure_s: float | None
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


def _full_well(header: Keywords) -> float | None:
    """Return the largest value that the pixels can hold where they are unsigned 16-bit counts."""
    counts = header["BITPIX"] == 16 and header.get("BZERO") == UNSIGNED_16
    return FULL_16 if counts and header.get("BSCALE", 1) == 1 else None


def _difference_sign(header: Keywords, profile: SurveyProfile, name: str) -> int:
    """Return what the pixels are multiplied by to get science minus reference."""
    keyword = profile.difference_sign_keyword
    if keyword is None or keyword not in header:
        return profile.difference_sign
    value = header[keyword]
    if isinstance(value, bool) or value not in (1, -1):
        raise refusal("bad_sign", f"{name}: {keyword} is {value!r}, neither +1 nor -1")
    return int(value)


def _planes(images: Sequence[Image], said: _Described) -> tuple[FlagPlane | WeightPlane, ...]:
    """Return what marks missing pixels beside the image; empty and unfit planes are logged."""
    planes: list[FlagPlane | WeightPlane] = []
    if said.flags is not None:
        flags, bits = images[said.flags[0]], said.flags[1]
        with refused_content(flags.opened.path.name):
            values, zero = integers_of(flags)
        if values is None:
            log_once(str(flags.opened.path), f"{flags.name} holds no integers and is not used")
        elif bits:
            planes.append(FlagPlane(values, bits, zero))
    if said.weights is not None:
        planes.append(WeightPlane(decode_pixels(images[said.weights])))
    return tuple(planes)


def _beside(images: Sequence[Image], image: Image, places: tuple[int | str, ...]) -> Image | None:
    """Return the HDU of a plane that belongs to the image: of its EXTVER and of its shape."""
    for index, candidate in enumerate(images):
        named = candidate.name in places and candidate.ver == image.ver
        if not (named or index in places) or candidate is image:
            continue
        if candidate.is_image and candidate.shape == image.shape:
            return candidate
        log_once(
            str(image.opened.path),
            f"{candidate.name} of shape {candidate.shape} beside an image of {image.shape} is not used",
        )
    return None


def _bits(header: Keywords, profile: SurveyProfile) -> int:
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
