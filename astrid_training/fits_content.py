"""What a FITS file's data must keep: checksums, whole numbers, tiles within their heap, a value."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrid_training.fits_guard import BLOCK, Hdu, refusal
from astrid_training.fits_tiles import check_tiles

__all__ = [
    "EXACT_INTEGERS",
    "PIXELS",
    "check_content",
    "check_promises",
    "has_value",
    "states_sums",
]

EXACT_INTEGERS = 1 << 53
"""Up to here each integer is a float64."""
CHUNK = 512 * BLOCK  # 1.4 MB
FIRST_LOOK = 16 * BLOCK
"""Bytes at a time in the search for a pixel with a value: good images have one in the first."""
ALL_ONES = 0xFFFFFFFF
MISSING_ABOVE = 1e30
PIXELS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def check_content(
    stream: BinaryIO, hdus: Sequence[Hdu], name: str, *, verify_checksums: bool = True
) -> None:
    """Return if the data of all HDUs keep what their headers promise.

    Only what must be is read: all bytes where there is a checksum (0.2 ms a MB) or where integers
    have 64 bits, else up to the first pixel that has a value.

    Args:
        stream: the uncompressed file.
        hdus: as `fits_guard.check_hdus` found them.
        name: of the file, for messages.
        verify_checksums: compare the data with the sums that the headers state.

    Raises:
        FitsRefusedError: with a reason code and the facts.
    """
    check_promises(stream, hdus, verify_checksums=verify_checksums)
    images = [hdu for hdu in hdus if hdu.is_image]
    if not any(hdu.is_compressed or _has_value(stream, hdu) for hdu in images):
        raise refusal("no_finite_pixels", f"{name}: no pixel of any image has a value")


def check_promises(stream: BinaryIO, hdus: Sequence[Hdu], *, verify_checksums: bool) -> None:
    """Return if checksums, whole numbers and tiles are as they must be; see `check_content`.

    Raises:
        FitsRefusedError: with a reason code and the facts.
    """
    for hdu in hdus:
        if verify_checksums:
            _check_sums(stream, hdu)
        if hdu.is_compressed:
            check_tiles(stream, hdu)
        elif hdu.is_image and hdu.bits == 64:
            _check_integers(stream, hdu)


def states_sums(hdu: Hdu) -> bool:
    """Tell whether a header promises a checksum."""
    return bool(hdu.cards.get("DATASUM", "").strip() or hdu.cards.get("CHECKSUM", "").strip())


def has_value(pixels: NDArray[Any], missing_above: float = MISSING_ABOVE) -> bool:
    """Return whether any pixel is finite and no sentinel."""
    with np.errstate(invalid="ignore"):
        return bool((np.abs(pixels) <= missing_above).any())


def _check_sums(stream: BinaryIO, hdu: Hdu) -> None:
    """Return if CHECKSUM and DATASUM are those of the bytes; blank ones promise nothing.

    Source: FITS standard 4.0, 4.4.2.7 and appendix J: ones' complement sums of 32-bit words.
    """
    stated, whole = hdu.cards.get("DATASUM", "").strip(), hdu.cards.get("CHECKSUM", "").strip()
    if not stated and not whole:
        return
    data = _sum_words(stream, hdu.data, hdu.end)
    if stated and stated != str(data):
        raise refusal("bad_checksum", f"{hdu.where}: the data are not those of DATASUM {stated}")
    if whole and _fold(data + _sum_words(stream, hdu.start, hdu.data)) != ALL_ONES:
        raise refusal("bad_checksum", f"{hdu.where}: the bytes are not those of CHECKSUM {whole}")


def _sum_words(stream: BinaryIO, start: int, end: int) -> int:
    """Return the ones' complement sum of 32-bit words."""
    total = 0
    for chunk in _chunks(stream, start, end, CHUNK):
        padded = chunk if len(chunk) % 4 == 0 else chunk + bytes(-len(chunk) % 4)
        total = _fold(total + int(np.frombuffer(padded, ">u4").sum(dtype=np.uint64)))
    return total


def _fold(total: int) -> int:
    while total > ALL_ONES:
        total = (total & ALL_ONES) + (total >> 32)
    return total


def _check_integers(stream: BinaryIO, hdu: Hdu) -> None:
    for pixels in _pixels(stream, hdu, CHUNK):
        if ((pixels > EXACT_INTEGERS) | (pixels < -EXACT_INTEGERS)).any():
            raise refusal("inexact_integers", f"{hdu.where}: an integer pixel beyond 2^53")


def _has_value(stream: BinaryIO, hdu: Hdu) -> bool:
    if hdu.bits < 0:
        return any(has_value(pixels) for pixels in _pixels(stream, hdu, FIRST_LOOK))
    if _blank(hdu) is None:
        return True
    return any(len(pixels) > 0 for pixels in _pixels(stream, hdu, FIRST_LOOK))


def _pixels(stream: BinaryIO, hdu: Hdu, step: int) -> Iterator[NDArray[Any]]:
    """Yield the pixels as stored, a chunk at a time, without those that are BLANK."""
    blank = _blank(hdu)
    for chunk in _chunks(stream, hdu.data, hdu.data + hdu.data_bytes, step):
        pixels = np.frombuffer(chunk, PIXELS[hdu.bits], count=len(chunk) * 8 // abs(hdu.bits))
        yield pixels if blank is None else pixels[pixels != blank]


def _blank(hdu: Hdu) -> int | None:
    try:
        return int(hdu.cards["BLANK"]) if hdu.bits > 0 else None
    except (KeyError, ValueError):
        return None


def _chunks(stream: BinaryIO, start: int, end: int, step: int) -> Iterator[bytes]:
    stream.seek(start)
    for position in range(start, end, step):
        chunk = stream.read(min(step, end - position))
        if not chunk:
            return
        yield chunk
