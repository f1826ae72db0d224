"""FITS files: refuse the hostile and the broken before their data is read, then read images."""

import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrid_training.errors import FitsRefusedError
from astrid_training.fits_content import EXACT_INTEGERS, check_content, has_value
from astrid_training.fits_guard import GZIP_MAGIC, check_hdus, refusal, unpack

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = [
    "MAX_FILE_BYTES",
    "check_fits",
    "decode_pixels",
    "integers_of",
    "log_once",
    "logged_warnings",
    "open_fits",
    "pick_image",
    "read_image",
    "refuse_without_pixels",
    "refused_content",
]

MAX_FILE_BYTES = 1 << 30
"""A larger file is refused unread."""
DECODED_ROWS = 64
ROWS_AT_ONCE = 8
"""In the search for a pixel with a value."""

_log = logging.getLogger(__name__)
_recording = threading.Lock()  # Python's warning filters belong to the whole process


def check_fits(path: Path) -> None:
    """Return if the file at `path` is a FITS file that is safe to read.

    Headers come first: sizes and shapes must be sane, and the bytes they declare must be in the
    file. Then what the data must keep: checksums where the header has them, whole numbers that a
    float can hold, tiles within their heap, and a value in one image at least. A gzipped file is
    unpacked up to a fixed size.

    Raises:
        FitsRefusedError: with a reason code and the facts; reading again cannot help.
        FileNotFoundError: if there is no such file.
    """
    size = path.stat().st_size
    if size == 0:
        raise refusal("empty", f"{path.name} has no bytes; fetch it again")
    if size > MAX_FILE_BYTES:
        raise refusal("too_large", f"{path.name} has {size} bytes, over {MAX_FILE_BYTES}")
    with _stream(path) as stream:
        check_content(stream, check_hdus(stream, path.name), path.name)


def read_image(
    path: Path, hdu: int | str | Sequence[int | str] | None = None
) -> tuple[NDArray[np.float32], "Header"]:
    """Return one image of a file and its header.

    Args:
        path: a file that `check_fits` accepts; gzip is understood.
        hdu: as `pick_image` takes it.

    Returns:
        (height, width) float32 in native byte order with BSCALE and BZERO applied, NaN where BLANK;
        and the primary header with the image's own keywords over it.

    Raises:
        FitsRefusedError: if there is no such image, it is not 2-D, or it cannot be decoded.
    """
    with open_fits(path) as hdus:
        with logged_warnings(path), refused_content(path.name):
            chosen, header = pick_image(hdus, hdu, path.name)
        pixels = decode_pixels(chosen, path.name)
        return _as_float32(pixels), header


@contextmanager
def open_fits(path: Path) -> Iterator[Any]:
    """Open the file as an astropy HDUList that leaves pixel values unscaled.

    Raises:
        FitsRefusedError: if astropy finds no FITS structure in it.
        OSError: if this machine cannot read the file now.
    """
    from astropy.io import fits  # heavy; imported only where files are read

    with _stream(path) as stream:
        with logged_warnings(path), refused_content(path.name):
            packed = isinstance(stream, BytesIO)
            hdus = fits.open(
                stream if packed else path,
                memmap=not packed,
                do_not_scale_image_data=True,
            )
        with hdus:
            yield hdus


@contextmanager
def refused_content(name: str) -> Iterator[None]:
    """Turn what astropy says of a file's content into a refusal.

    Args:
        name: of the file, for messages.

    Raises:
        FitsRefusedError: `bad_header` for cards that cannot be parsed, else `unreadable`.
        OSError: if not the content failed but this machine, which may pass.
    """
    from astropy.io.fits import VerifyError  # heavy; imported only where files are read

    try:
        yield
    except (FitsRefusedError, MemoryError):
        raise
    except VerifyError as error:
        raise refusal("bad_header", f"{name}: {error}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise refusal("unreadable", f"{name}: {error}") from error


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """Log the warnings that arise inside, once for the file at `path`."""
    with _recording, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = sorted({" ".join(f"{w.category.__name__}: {w.message}".split()) for w in caught})
    if messages:
        log_once(str(path), "; ".join(messages))


@lru_cache(maxsize=4096)  # a reference is read once an exposure, and says the same each time
def log_once(name: str, message: str) -> None:
    """Log what is odd about the file of this name, unless that was said before."""
    _log.warning("%s: %s", name, message)


def pick_image(
    hdus: Any,  # noqa: ANN401 - astropy has no types
    hdu: int | str | Sequence[int | str] | None,
    name: str,
) -> tuple[Any, "Header"]:
    """Return the HDU that holds the image, and the primary header with the HDU's own over it.

    Args:
        hdus: an astropy HDUList.
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


def decode_pixels(hdu: Any, name: str) -> NDArray[np.floating]:  # noqa: ANN401 - astropy has no types
    """Return the pixels of an HDU: (height, width), any float type and byte order.

    Plain float images stay a view of the mapped file, so that a caller pays for what it touches.

    Raises:
        FitsRefusedError: if the data cannot be decoded, or hold integers that no float can.
    """
    with refused_content(name):
        raw = hdu.data
        raw = raw.reshape(raw.shape[-2:])
        scale, zero = float(hdu.header.get("BSCALE", 1.0)), float(hdu.header.get("BZERO", 0.0))
        blank = hdu.header.get("BLANK") if raw.dtype.kind in "iu" else None
    if scale == 0 or not np.isfinite([scale, zero]).all():
        raise refusal("bad_scaling", f"{name}: BSCALE is {scale}, BZERO {zero}")
    if raw.dtype.kind == "f" and (scale, zero) == (1.0, 0.0):
        mapped: NDArray[np.floating] = raw
        return mapped
    missing = raw == blank if isinstance(blank, int) else None
    if raw.dtype.itemsize == 8 and raw.dtype.kind in "iu":
        _refuse_inexact(raw, missing, name)
    values = np.empty(raw.shape, np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is inf, and inf is missing
        for first in range(0, len(raw), DECODED_ROWS):  # float64 of a whole frame may be gigabytes
            rows = slice(first, first + DECODED_ROWS)
            values[rows] = raw[rows].astype(np.float64) * scale + zero
    if missing is not None:
        values[missing] = np.nan
    return values


def integers_of(hdu: Any) -> tuple[NDArray[np.integer] | None, int]:  # noqa: ANN401 - astropy has no types
    """Return the integers of an HDU as stored, and what is added to them; None if it has others.

    The first is (height, width), any byte order, a view of the mapped file where that is plain.
    """
    raw = hdu.data
    zero = float(hdu.header.get("BZERO", 0.0))
    if raw.dtype.kind not in "iu" or hdu.header.get("BSCALE", 1) != 1 or not zero.is_integer():
        return None, 0
    return raw.reshape(raw.shape[-2:]), int(zero)


def refuse_without_pixels(pixels: NDArray[np.floating], missing_above: float, name: str) -> None:
    """Return if some pixel has a value; good images cost one look at their first rows.

    Args:
        pixels: (height, width).
        missing_above: larger absolute values are sentinels.
        name: of the file, for messages.

    Raises:
        FitsRefusedError: `no_finite_pixels`.
    """
    for first in range(0, pixels.shape[0], ROWS_AT_ONCE):
        if has_value(pixels[first : first + ROWS_AT_ONCE], missing_above):
            return
    raise refusal("no_finite_pixels", f"{name}: no pixel of the image has a value")


def _refuse_inexact(raw: NDArray[np.integer], missing: NDArray[np.bool_] | None, name: str) -> None:
    large = (raw > EXACT_INTEGERS) | (raw < -EXACT_INTEGERS)
    if missing is not None:
        large &= ~missing
    if large.any():
        raise refusal("inexact_integers", f"{name}: an integer pixel beyond 2^53")


@contextmanager
def _stream(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as stream:
        packed = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        yield unpack(stream, path.name) if packed else stream


def _is_flat(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and min(shape) > 0 and all(side == 1 for side in shape[:-2])


def _merged(primary: "Header", own: "Header") -> "Header":
    if primary is own:
        return own
    merged = primary.copy(strip=True)
    merged.update(own)
    return merged


def _as_float32(pixels: NDArray[np.floating]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(pixels, dtype=np.float32)
