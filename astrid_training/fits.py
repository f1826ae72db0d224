"""FITS files: refuse the hostile and the broken before their data is read, then read images."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrid_training.errors import FitsRefusedError
from astrid_training.fits_guard import GZIP_MAGIC, check_hdus, refusal, unpack

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = [
    "MAX_FILE_BYTES",
    "check_fits",
    "decode_pixels",
    "logged_warnings",
    "open_fits",
    "pick_image",
    "read_image",
    "refused_content",
]

MAX_FILE_BYTES = 1 << 30
"""A larger file is refused unread."""

_log = logging.getLogger(__name__)
_recording = threading.Lock()  # Python's warning filters belong to the whole process


def check_fits(path: Path) -> None:
    """Return if the file at `path` is a FITS file that is safe to read.

    Only headers are looked at: sizes and shapes must be sane, and the bytes they declare must be in
    the file. A gzipped file is unpacked up to a fixed size.

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
        check_hdus(stream, path.name)


def read_image(
    path: Path, hdu: int | str | list[str] | None = None
) -> tuple[NDArray[np.float32], "Header"]:
    """Return one image of a file and its header.

    Args:
        path: a file that `check_fits` accepts; gzip is understood.
        hdu: 0-based number or EXTNAME of the HDU; None: the first that holds a 2-D image.

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
        _log_once(str(path), "; ".join(messages))


@lru_cache(maxsize=4096)  # a reference is read once an exposure, and says the same each time
def _log_once(name: str, messages: str) -> None:
    _log.warning("%s: %s", name, messages)


def pick_image(hdus: Any, hdu: int | str | list[str] | None, name: str) -> tuple[Any, "Header"]:  # noqa: ANN401 - astropy has no types
    """Return the HDU that holds the image, and the primary header with the HDU's own over it.

    Args:
        hdus: an astropy HDUList.
        hdu: 0-based number or EXTNAME (the first 2-D one of that name); None: the first 2-D image.
        name: of the file, for messages.

    Raises:
        FitsRefusedError: if there is no such image.
    """
    names = [hdu] if isinstance(hdu, str) else hdu if isinstance(hdu, list) else []
    wanted = {name.upper() for name in names}
    for index, candidate in enumerate(hdus):
        if (
            (hdu is None or hdu == index or candidate.name in wanted)
            and candidate.is_image
            and _is_flat(candidate.shape)
        ):
            return candidate, _merged(hdus[0].header, candidate.header)
    raise refusal("no_image", f"{name} has no 2-D image {hdu if hdu is not None else 'at all'}")


def decode_pixels(hdu: Any, name: str) -> NDArray[np.floating]:  # noqa: ANN401 - astropy has no types
    """Return the pixels of an HDU: (height, width), any float type and byte order.

    Plain float images stay a view of the mapped file, so that a caller pays for what it touches.

    Raises:
        FitsRefusedError: if the data cannot be decoded.
    """
    with refused_content(name):
        raw = hdu.data
        raw = raw.reshape(raw.shape[-2:])
        scale, zero = float(hdu.header.get("BSCALE", 1.0)), float(hdu.header.get("BZERO", 0.0))
        blank = hdu.header.get("BLANK") if raw.dtype.kind in "iu" else None
    if raw.dtype.kind == "f" and (scale, zero) == (1.0, 0.0):
        mapped: NDArray[np.floating] = raw
        return mapped
    with np.errstate(over="ignore"):  # beyond float32 is inf, and inf is missing
        values: NDArray[np.float32] = (raw.astype(np.float64) * scale + zero).astype(np.float32)
    if isinstance(blank, int):
        values[raw == blank] = np.nan
    return values


@contextmanager
def _stream(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as stream:
        packed = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        yield BytesIO(unpack(stream, path.name)) if packed else stream


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
