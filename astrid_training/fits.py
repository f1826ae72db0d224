"""FITS files: refuse the hostile and the broken before their data is read, then read images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.fits_content import EXACT_INTEGERS, check_content, has_value
from astrid_training.fits_guard import check_hdus, refusal
from astrid_training.fits_headers import Keywords
from astrid_training.fits_images import Image, open_bytes, open_images
from astrid_training.fits_trouble import log_once, logged_warnings, refused_content
from astrid_training.pixels import Pixels, Scaled

__all__ = [
    "MAX_FILE_BYTES",
    "check_fits",
    "decode_pixels",
    "integers_of",
    "log_once",
    "logged_warnings",
    "pick_image",
    "read_image",
    "refuse_without_pixels",
    "refused_content",
]

MAX_FILE_BYTES = 1 << 30
"""A larger file is refused unread."""
CHECKED_ROWS = 64
ROWS_AT_ONCE = 8
FIRST_COLUMNS = 64
"""In the search for a pixel with a value."""


def check_fits(path: Path, *, verify_checksums: bool = True) -> None:
    """Return if the file at `path` is a FITS file that is safe to read.

    Headers come first: sizes and shapes must be sane, and the bytes they declare must be in the
    file. Then what the data must keep: checksums where the header has them, whole numbers that a
    float can hold, tiles within their heap, and a value in one image at least. A gzipped file is
    unpacked up to a fixed size.

    Args:
        path: of the file.
        verify_checksums: compare the data with the sums that the headers state.

    Raises:
        FitsRefusedError: with a reason code and the facts; reading again cannot help.
        FileNotFoundError: if there is no such file.
    """
    check_size(path.stat().st_size, path.name)
    stream = open_bytes(path).stream()
    hdus = check_hdus(stream, path.name)
    check_content(stream, hdus, path.name, verify_checksums=verify_checksums)


def check_size(size: int, name: str) -> None:
    """Return if a file of this size may be read.

    Raises:
        FitsRefusedError: `empty` or `too_large`.
    """
    if size == 0:
        raise refusal("empty", f"{name} has no bytes; fetch it again")
    if size > MAX_FILE_BYTES:
        raise refusal("too_large", f"{name} has {size} bytes, over {MAX_FILE_BYTES}")


def read_image(
    path: Path, hdu: int | str | Sequence[int | str] | None = None
) -> tuple[NDArray[np.float32], Keywords]:
    """Return one image of a file and its header.

    Args:
        path: a file that `check_fits` accepts; gzip is understood.
        hdu: as `pick_image` takes it.

    Returns:
        (height, width) float32 in native byte order with BSCALE and BZERO applied, NaN where BLANK;
        and the image's keywords with those of the primary header beneath.

    Raises:
        FitsRefusedError: if there is no such image, it is not 2-D, or it cannot be decoded.
    """
    with refused_content(path.name):
        chosen, header = pick_image(open_images(path), hdu, path.name)
    pixels = decode_pixels(chosen)
    height, width = pixels.shape
    with np.errstate(over="ignore"), refused_content(path.name):
        values = np.ascontiguousarray(pixels[0:height, 0:width], dtype=np.float32)
    return values, header


def pick_image(
    hdus: Any,  # noqa: ANN401 - astropy has no types
    hdu: int | str | Sequence[int | str] | None,
    name: str,
) -> tuple[Any, Any]:
    """Return the HDU that holds the image, and the primary header with the HDU's own over it.

    Args:
        hdus: an astropy HDUList, or what `open_images` returns.
        hdu: 0-based number, EXTNAME or `EXTNAME,EXTVER`; of several, the first that holds a 2-D
            image counts. None or none: the first 2-D image there is.
        name: of the file, for messages.

    Raises:
        FitsRefusedError: if there is no such image.
    """
    places = (hdu,) if isinstance(hdu, int | str) else hdu or ()
    flat = [(i, one) for i, one in enumerate(hdus) if one.is_image and _is_flat(one.shape)]
    if flat and not places:
        return flat[0][1], _merged(hdus[0].header, flat[0][1].header)
    for place in places:
        wanted = place.upper().replace(" ", "") if isinstance(place, str) else place
        for index, one in flat:
            if wanted in (index, one.name, f"{one.name},{one.ver}"):
                return one, _merged(hdus[0].header, one.header)
    asked = " or ".join(str(place) for place in places) or "at all"
    raise refusal("no_image", f"{name} has no 2-D image {asked}")


def decode_pixels(image: Image) -> Pixels:
    """Return the pixels of an image, of any float type and byte order.

    Nothing is read here but where integers have 64 bits: a caller pays for what it touches.

    Raises:
        FitsRefusedError: if the data cannot be decoded, or hold integers that no float can.
    """
    name, header = image.opened.path.name, image.header
    with refused_content(name):
        raw = image.data
        scale, zero = float(header.get("BSCALE", 1.0)), float(header.get("BZERO", 0.0))
        blank = header.get("BLANK") if raw.dtype.kind in "iu" else None
    if scale == 0 or not np.isfinite([scale, zero]).all():
        raise refusal("bad_scaling", f"{name}: BSCALE is {scale}, BZERO {zero}")
    if raw.dtype.kind == "f" and (scale, zero) == (1.0, 0.0):
        return raw
    blank = blank if isinstance(blank, int) else None
    if raw.dtype.itemsize == 8 and raw.dtype.kind in "iu":
        _refuse_inexact(raw, blank, name)
    return Scaled(raw, scale, zero, blank)


def integers_of(image: Image) -> tuple[Pixels | None, int]:
    """Return the integers of an image as stored, and what is added to them; None if it has others."""
    raw, header = image.data, image.header
    zero = float(header.get("BZERO", 0.0))
    if raw.dtype.kind not in "iu" or header.get("BSCALE", 1) != 1 or not zero.is_integer():
        return None, 0
    return raw, int(zero)


def refuse_without_pixels(pixels: Pixels, missing_above: float, name: str) -> None:
    """Return if some pixel has a value; good images cost one look at their first rows.

    Args:
        pixels: (height, width).
        missing_above: larger absolute values are sentinels.
        name: of the file, for messages.

    Raises:
        FitsRefusedError: `no_finite_pixels`.
    """
    height, width = pixels.shape
    for first in range(0, height, ROWS_AT_ONCE):
        rows = slice(first, min(first + ROWS_AT_ONCE, height))
        for columns in (slice(0, min(FIRST_COLUMNS, width)), slice(0, width)):
            if has_value(pixels[rows, columns], missing_above):
                return
    raise refusal("no_finite_pixels", f"{name}: no pixel of the image has a value")


def _refuse_inexact(raw: Pixels, blank: int | None, name: str) -> None:
    height, width = raw.shape
    for first in range(0, height, CHECKED_ROWS):
        some = raw[first : first + CHECKED_ROWS, 0:width]
        large = (some > EXACT_INTEGERS) | (some < -EXACT_INTEGERS)
        if (large & (some != blank) if blank is not None else large).any():
            raise refusal("inexact_integers", f"{name}: an integer pixel beyond 2^53")


def _is_flat(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and min(shape) > 0 and all(side == 1 for side in shape[:-2])


def _merged(primary: Any, own: Any) -> Any:  # noqa: ANN401 - astropy has no types
    if primary is own:
        return own
    if isinstance(own, Keywords):
        return own.over(primary)
    merged = primary.copy(strip=True)
    merged.update(own)
    return merged
