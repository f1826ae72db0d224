"""Cutouts of alerts as arrays, and the one file in which the store keeps those of an alert."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.alerts.alert import Alert, AlertRefusedError
from astrid_training.errors import FitsRefusedError
from astrid_training.fits import logged_warnings, pick_image, refused_content
from astrid_training.fits_content import check_promises
from astrid_training.fits_guard import GZIP_MAGIC, check_hdus, refusal, unpack
from astrid_training.params import CHANNELS, Channel

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["Cutout", "read_cutouts", "stamp_file"]

MAX_BYTES = 32 << 20  # of a packed cutout or triplet: stamps, not frames
MAX_SIDE_PX = 1024
TRIPLET: Mapping[Channel, list[str] | None] = {
    "science": ["SCIENCE"],
    "reference": ["REFERENCE", "TEMPLATE"],
    "difference": ["DIFFERENCE"],
}
"""EXTNAMEs of each role's HDU in a file that a table names."""
WCS_CARDS = ("WCSAXES", "CTYPE", "CRVAL", "CRPIX", "CDELT", "CD1_", "CD2_", "PC1_", "PC2_", "CUNIT")
UNPRINTABLE = re.compile(r"[^ -~]")  # the database has the text as it is
SKY_CARDS = ("RADESYS", "EQUINOX", "LONPOLE", "LATPOLE")


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """One cutout of an alert."""

    pixels: NDArray[np.floating]
    """(height, width), values and type as in the packet."""
    cards: dict[str, object]
    """What its header says of the sky and of the units."""


def read_cutouts(alert: Alert) -> dict[Channel, Cutout]:
    """Return the three cutouts of an alert.

    Raises:
        AlertRefusedError: if one is not there, cannot be read, or has another shape than the rest.
        OSError: if this machine cannot read the file now.
    """
    found = _from_file(alert.triplet) if alert.triplet else _from_packet(alert)
    shapes = {role: cutout.pixels.shape for role, cutout in found.items()}
    if len(set(shapes.values())) > 1:
        facts = ", ".join(f"{role} {h} x {w}" for role, (h, w) in shapes.items())
        raise AlertRefusedError("cutout_shapes", f"the cutouts are not of one shape: {facts}")
    return found


def _from_packet(alert: Alert) -> dict[Channel, Cutout]:
    missing = [role for role in CHANNELS if role not in alert.cutouts]
    if missing:
        raise AlertRefusedError("no_cutouts", f"the packet has no {', '.join(missing)} cutout")
    return {
        role: _read(alert.cutouts[role], f"{role} cutout", {role: None})[role] for role in CHANNELS
    }


def _from_file(path: Path) -> dict[Channel, Cutout]:
    if path.stat().st_size > MAX_BYTES:
        raise AlertRefusedError("bad_cutout", f"{path.name} is over {MAX_BYTES} bytes, no triplet")
    return _read(path.read_bytes(), path.name, TRIPLET)


def _read(
    packed: bytes, name: str, hdus_of: Mapping[Channel, list[str] | None]
) -> dict[Channel, Cutout]:
    """Return the cutouts of a FITS file, gzipped or plain, from the named HDUs (None: the first)."""
    from astropy.io import fits  # heavy; imported only where files are read

    if len(packed) > MAX_BYTES:
        raise AlertRefusedError(
            "bad_cutout", f"{name} has {len(packed)} bytes, no stamp is so large"
        )
    try:
        stream = BytesIO(packed)
        stream = unpack(stream, name) if packed.startswith(GZIP_MAGIC) else stream
        hdus = check_hdus(stream, name)
        check_promises(stream, hdus, verify_checksums=False)
        stream.seek(0)
        with logged_warnings(Path(name)), refused_content(name), fits.open(stream) as read:
            return {role: _cutout(read, hdu, name) for role, hdu in hdus_of.items()}
    except FitsRefusedError as error:
        raise AlertRefusedError("bad_cutout", f"{error.reason}: {error.detail}") from error


def _cutout(hdus: Any, wanted: list[str] | None, name: str) -> Cutout:  # noqa: ANN401 - astropy has no types
    hdu, header = pick_image(hdus, wanted, name)
    if max(hdu.shape[-2:]) > MAX_SIDE_PX:
        raise refusal("too_many_pixels", f"{name}: {hdu.shape} px is no stamp")
    return Cutout(_as_float(hdu.data.reshape(hdu.shape[-2:])), _kept_cards(header))


def _as_float(pixels: NDArray[np.generic]) -> NDArray[np.floating]:
    """Return the pixels as they are if they are floats, else as float64: exact for all integers < 2^53."""
    native = pixels.astype(pixels.dtype.newbyteorder("="))
    return native if native.dtype in (np.float32, np.float64) else native.astype(np.float64)


def _kept_cards(header: "Header") -> dict[str, object]:
    """Return the header's WCS, if it has one, and its units."""
    has_wcs = bool(str(header.get("CTYPE1", "")).strip())
    wanted = ("BUNIT", *WCS_CARDS, *SKY_CARDS) if has_wcs else ("BUNIT",)
    return {
        name: value
        for name, value in header.items()
        if name.startswith(wanted) and isinstance(value, int | float | str) and _is_finite(value)
    }


def _is_finite(value: float | str) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def stamp_file(alert: Alert, cutouts: dict[Channel, Cutout]) -> bytes:
    """Return a FITS file of HDUs SCIENCE, REFERENCE and DIFFERENCE, pixel values as in the packet.

    DIFFSIGN in the last one says what turns it into science minus reference. Equal alerts give
    equal bytes.
    """
    from astropy.io import fits  # heavy; imported only where files are written

    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header(_alert_cards(alert)))])
    for role in CHANNELS:
        header = fits.Header(list(cutouts[role].cards.items()))
        if role == "difference":
            header["DIFFSIGN"] = (alert.difference_sign, "times this: science minus reference")
            if alert.zero_point is not None:
                header["MAGZP"] = (alert.zero_point, "[mag] of one unit")
        hdus.append(fits.ImageHDU(cutouts[role].pixels, header, name=role.upper()))
    buffer = BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


def _alert_cards(alert: Alert) -> list[tuple[str, object, str]]:
    cards = [
        ("SURVEY", alert.survey, ""),
        ("ALERTID", alert.alert_id, "all digits, as text"),
        ("OBJECTID", alert.object_id, "the survey's name of the object"),
        ("EXPOSURE", alert.exposure, "the exposure's name"),
        ("RA", alert.ra_deg, "[deg] of the detection, ICRS"),
        ("DEC", alert.dec_deg, "[deg] of the detection, ICRS"),
        ("DATE-OBS", f"{alert.observed:%Y-%m-%dT%H:%M:%S.%f}"[:-3], "start of the exposure"),
        ("TIMESYS", "UTC", "of DATE-OBS and MJD-OBS"),
        ("MJD-OBS", _mjd(alert), "[d] start of the exposure"),
        ("EXPTIME", alert.exposure_s, "[s]"),
        ("FILTER", alert.band, ""),
        ("SEEING", alert.seeing_arcsec, "[arcsec] FWHM of the PSF"),
    ]
    return [
        (keyword, UNPRINTABLE.sub("?", value) if isinstance(value, str) else value, comment)
        for keyword, value, comment in cards
        if value is not None
    ]


def _mjd(alert: Alert) -> float:
    return round(alert.observed.timestamp() / 86400 + 40587, 8)
