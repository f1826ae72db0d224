"""Tile-compressed images: each tile must lie in the heap and unpack to no more than a tile."""

import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import count
from math import prod
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrid_training.fits_guard import Hdu, refusal

__all__ = ["check_tiles", "has_packed_tiles", "table_bytes", "tile_extents"]

ALGORITHMS = {"RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"}
RICE_BLOCKS = {"16", "32"}
BYTES_A_PIXEL = {"1", "2", "4", "8"}
TFORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
WIDTHS = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16}
POINTERS = {"P": ">i4", "Q": ">i8"}
LARGEST_PIXEL = 8
HCOMPRESS_HEADER = 10  # magic number, then two sides of 4 bytes


def check_tiles(stream: BinaryIO, hdu: Hdu) -> None:
    """Return if the tiles of a compressed image can be unpacked without harm.

    astropy trusts the descriptors, and the sizes that a gzipped or H-compressed tile states.

    Args:
        stream: the uncompressed file.
        hdu: a compressed image whose header is sane.

    Raises:
        FitsRefusedError: `bad_tiles`.
    """
    algorithm = hdu.cards.get("ZCMPTYPE", "")
    if algorithm not in ALGORITHMS:
        raise refusal("bad_tiles", f"{hdu.where}: ZCMPTYPE is {algorithm!r}")
    _check_rice(hdu)
    heap = hdu.data + _number(hdu, "THEAP", table_bytes(hdu))
    if heap < hdu.data + table_bytes(hdu):
        raise refusal("bad_tiles", f"{hdu.where}: the heap begins at {heap - hdu.data}")
    pixels = _tile_pixels(hdu)
    for name, width, pointers in _pointers(stream, hdu):
        lengths, offsets = pointers[:, 0], pointers[:, 1]
        ends = offsets + lengths * width
        room = hdu.data + hdu.data_bytes - heap
        if (lengths < 0).any() or (offsets < 0).any() or (ends > room).any():
            raise refusal("bad_tiles", f"{hdu.where}: a tile of {name} lies outside the heap")
        gzipped = name == "GZIP_COMPRESSED_DATA" or algorithm.startswith("GZIP")
        for length, offset in zip((lengths * width).tolist(), offsets.tolist(), strict=True):
            stream.seek(heap + offset)
            if gzipped and length and name.endswith("COMPRESSED_DATA"):
                _check_gzipped(stream.read(length), pixels, hdu)
            elif algorithm == "HCOMPRESS_1" and length and name == "COMPRESSED_DATA":
                _check_sides(stream.read(HCOMPRESS_HEADER), pixels, hdu)


def has_packed_tiles(stream: BinaryIO, hdu: Hdu) -> bool:
    """Tell whether some tile must be unpacked before it is known to be harmless."""
    if hdu.cards.get("ZCMPTYPE", "").startswith(("GZIP", "HCOMPRESS")):
        return True
    return any(
        name == "GZIP_COMPRESSED_DATA" and pointers[:, 0].any()
        for name, _, pointers in _pointers(stream, hdu)
    )


def tile_extents(
    stream: BinaryIO, hdu: Hdu, windows: Iterable[tuple[slice, slice]]
) -> list[tuple[int, int]]:
    """Return where the tiles under some windows lie in the file: first byte, byte after the last.

    Args:
        stream: the uncompressed file, of which headers and table must be there.
        hdu: a compressed image of two axes; further ones have a length of 1.
        windows: rows and columns, 0-based, not empty, within the image.
    """
    width, height = (_number(hdu, f"ZNAXIS{axis}", 1) for axis in (1, 2))
    across, down = _number(hdu, "ZTILE1", width), _number(hdu, "ZTILE2", 1)
    wanted = np.zeros((-(-height // down), -(-width // across)), np.bool_)
    for rows, columns in windows:
        wanted[
            rows.start // down : -(-rows.stop // down),
            columns.start // across : -(-columns.stop // across),
        ] = True
    heap = hdu.data + _number(hdu, "THEAP", table_bytes(hdu))
    extents: list[tuple[int, int]] = []
    for _, width_bytes, pointers in _pointers(stream, hdu):
        lengths, offsets = pointers[wanted.ravel()].T
        extents += zip(
            (heap + offsets).tolist(),
            (heap + offsets + lengths * width_bytes).tolist(),
            strict=True,
        )
    return extents


def table_bytes(hdu: Hdu) -> int:
    """Return the size of the table that says where the tiles are."""
    return _number(hdu, "NAXIS1", 0) * _number(hdu, "NAXIS2", 0)


def _tile_pixels(hdu: Hdu) -> int:
    sides = [_number(hdu, f"ZNAXIS{i + 1}", 1) for i in range(_number(hdu, "ZNAXIS", 0))]
    return prod(
        _number(hdu, f"ZTILE{i + 1}", side if i == 0 else 1) for i, side in enumerate(sides)
    )


def _check_rice(hdu: Hdu) -> None:
    """Return if the parameters of the compression are those that the algorithm knows."""
    allowed = {"BLOCKSIZE": RICE_BLOCKS, "BYTEPIX": BYTES_A_PIXEL}
    for number in count(1):
        name = hdu.cards.get(f"ZNAME{number}")
        if name is None:
            return
        value = hdu.cards.get(f"ZVAL{number}", "")
        if value not in allowed.get(name, {value}):
            raise refusal("bad_tiles", f"{hdu.where}: {name} is {value!r}")


def _pointers(stream: BinaryIO, hdu: Hdu) -> Iterator[tuple[str, int, NDArray[np.int64]]]:
    """Yield name, bytes an element, and (rows, 2) length and offset of each variable column."""
    row_bytes, rows = _number(hdu, "NAXIS1", 0), _number(hdu, "NAXIS2", 0)
    if row_bytes * rows > hdu.data_bytes:  # as with a GCOUNT of 0
        raise refusal("bad_tiles", f"{hdu.where}: a table of {row_bytes * rows} bytes")
    stream.seek(hdu.data)
    table = np.frombuffer(stream.read(row_bytes * rows), np.uint8).reshape(rows, row_bytes)
    position = 0
    for number in range(1, _number(hdu, "TFIELDS", 0) + 1):
        form = hdu.cards.get(f"TFORM{number}", "")
        match = TFORM.match(form)
        if match is None:
            raise refusal("bad_header", f"{hdu.where}: TFORM{number} is {form!r}")
        repeat, kind = int(match[1] or 1), match[2]
        if kind not in POINTERS:
            position += -(-repeat // 8) if kind == "X" else repeat * WIDTHS[kind]
            continue
        size = 2 * np.dtype(POINTERS[kind]).itemsize * min(repeat, 1)
        column = table[:, position : position + size]
        if column.shape[1] != size or not match[3] or match[3] == "X":
            raise refusal("bad_header", f"{hdu.where}: no room for TFORM{number} {form!r}")
        position += size
        if size:
            pointers = np.ascontiguousarray(column).view(POINTERS[kind]).astype(np.int64)
            name = hdu.cards.get(f"TTYPE{number}", "").upper()
            yield name, WIDTHS[match[3]], np.clip(pointers, -1, 1 << 40)


def _check_gzipped(tile: bytes, pixels: int, hdu: Hdu) -> None:
    most = pixels * LARGEST_PIXEL
    try:
        unpacked = len(zlib.decompressobj(wbits=47).decompress(tile, most + 1))
    except zlib.error as error:
        raise refusal("bad_tiles", f"{hdu.where}: a gzipped tile is damaged: {error}") from error
    if unpacked > most:
        raise refusal("bad_tiles", f"{hdu.where}: a gzipped tile unpacks to over {most} bytes")


def _check_sides(header: bytes, pixels: int, hdu: Hdu) -> None:
    rows, columns = np.frombuffer(header[2:].ljust(8, b"\0"), ">i4").tolist()
    if min(rows, columns) < 1 or rows * columns > pixels:
        raise refusal("bad_tiles", f"{hdu.where}: an H-compressed tile says {rows}x{columns}")


def _number(hdu: Hdu, keyword: str, default: int) -> int:
    try:
        return int(hdu.cards.get(keyword, default))
    except ValueError:
        raise refusal("bad_header", f"{hdu.where}: {keyword} is {hdu.cards[keyword]!r}") from None
