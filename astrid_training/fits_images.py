"""The images of a FITS file, opened without reading more than their headers."""

import mmap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from astrid_training.fits_content import PIXELS
from astrid_training.fits_guard import GZIP_MAGIC, Hdu, check_hdus, refusal, unpack
from astrid_training.fits_headers import Keywords
from astrid_training.fits_trouble import logged_warnings, refused_content
from astrid_training.parts import ByteStream, Part, absent, is_part
from astrid_training.pixels import Pixels, PresentRows
from astrid_training.tiles import Tiles

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["Image", "Opened", "forget_heads", "open_bytes", "open_images"]

REMEMBERED_HEADS = 512  # a reference is opened once an exposure


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The bytes of a file, unpacked where they were gzipped."""

    path: Path
    buffer: mmap.mmap | memoryview
    part: Part | None
    """What is here of it; None: everything."""

    def stream(self) -> BinaryIO:
        """Return the bytes as a stream, which fails where they are not here."""

        def read_at(start: int, stop: int) -> memoryview | bytes:
            if self.part is not None and not self.part.covers(start, stop):
                raise absent(self.path, start, stop)
            return self.buffer[start:stop]

        return cast("BinaryIO", ByteStream(len(self.buffer), read_at))


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One HDU, whether it is an image or not."""

    opened: Opened
    hdu: Hdu
    """Where its bytes are."""
    number: int
    """0-based, in the file."""
    header: Keywords
    shape: tuple[int, ...]
    """Slowest axis first; () without data."""
    is_image: bool
    notes: dict[object, Any]
    """What others made of this file's headers, kept as long as they are remembered."""
    tiles: Any = None
    """astropy's HDU of a tile-compressed image."""

    @property
    def name(self) -> str:
        """EXTNAME in capitals."""
        return str(self.header.get("EXTNAME", "" if self.number else "PRIMARY")).upper()

    @property
    def ver(self) -> object:
        """EXTVER."""
        return self.header.get("EXTVER", 1)

    @property
    def data(self) -> Pixels:
        """(height, width) of a 2-D image as stored, big-endian; a view of the file where it is plain."""
        if self.tiles is not None:
            return Tiles(self.tiles, self.opened.path.name)
        height, width = self.shape[-2:]
        values: NDArray[Any] = np.frombuffer(
            self.opened.buffer, PIXELS[self.hdu.bits], height * width, self.hdu.data
        ).reshape(height, width)
        if self.opened.part is None:
            return values
        row_bytes = width * values.itemsize
        there = np.zeros(height, np.bool_)
        for start, stop in self.opened.part.extents:
            first = -(-(start - self.hdu.data) // row_bytes)
            there[max(first, 0) : max((stop - self.hdu.data) // row_bytes, 0)] = True
        return PresentRows(values, there, self.opened.path.name)


@dataclass(frozen=True, slots=True, eq=False)
class _Heads:
    """What was parsed of a file's headers."""

    hdus: list[Hdu]
    keywords: list[Keywords]
    notes: dict[object, Any]


def open_images(path: Path) -> list[Image]:
    """Return every HDU of the file.

    Args:
        path: a file that `check_fits` accepts, or the part of one.

    Raises:
        FitsRefusedError: if its headers are not sane.
        AbsentBytesError: if they were not fetched.
        OSError: if this machine cannot read the file now.
    """
    opened = open_bytes(path)
    heads = _heads_of(opened)
    if any(hdu.is_compressed for hdu in heads.hdus):
        return _translated(opened, heads)
    return [
        Image(
            opened,
            hdu,
            number,
            header,
            _shape(hdu),
            hdu.cards.get("XTENSION", "IMAGE") == "IMAGE",
            heads.notes,
        )
        for number, (hdu, header) in enumerate(zip(heads.hdus, heads.keywords, strict=True))
    ]


def forget_heads() -> None:
    """Forget what was parsed, so that the next opening parses anew."""
    _remembered.cache_clear()


def _heads_of(opened: Opened) -> _Heads:
    if isinstance(opened.buffer, memoryview):
        return _parsed(opened)
    found = opened.path.stat()
    # what a part holds of its file may grow, but the file stays the one that its name stands for
    changed = 0 if opened.part else found.st_mtime_ns
    return _remembered(opened.path, changed, found.st_ino, found.st_size)


@lru_cache(maxsize=REMEMBERED_HEADS)
def _remembered(path: Path, _changed: int, _inode: int, _size: int) -> _Heads:
    return _parsed(open_bytes(path))


def _parsed(opened: Opened) -> _Heads:
    hdus = check_hdus(opened.stream(), opened.path.name)
    return _Heads(hdus, [Keywords(hdu.raw) for hdu in hdus], {})


def open_bytes(path: Path) -> Opened:
    """Return the bytes of a file, mapped, or unpacked where they are gzipped.

    Raises:
        FitsRefusedError: if it is gzipped and damaged, or too large unpacked.
        OSError: if this machine cannot read the file now.
    """
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if packed:
            return Opened(path, unpack(file, path.name).getbuffer(), None)
        if not path.stat().st_size:
            raise refusal("empty", f"{path.name} has no bytes; fetch it again")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Opened(path, mapped, Part(path) if is_part(path) else None)


def _translated(opened: Opened, heads: _Heads) -> list[Image]:
    """Return the HDUs of a file with compressed images, these under the keywords of the image."""
    from astropy.io import fits  # heavy; imported only where files are read

    with logged_warnings(opened.path), refused_content(opened.path.name):
        read = fits.open(opened.stream(), memmap=False, do_not_scale_image_data=True)
        return [
            Image(
                opened,
                hdu,
                number,
                _keywords(one.header),
                one.shape,
                one.is_image,
                heads.notes,
                one if hdu.is_compressed else None,
            )
            for number, (hdu, one) in enumerate(zip(heads.hdus, read, strict=True))
        ]


def _keywords(header: "Header") -> Keywords:
    return Keywords(header.tostring(endcard=False, padding=False).encode("ascii"))


def _shape(hdu: Hdu) -> tuple[int, ...]:
    return tuple(int(hdu.cards[f"NAXIS{axis}"]) for axis in range(int(hdu.cards["NAXIS"]), 0, -1))
