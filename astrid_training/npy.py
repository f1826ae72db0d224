"""Heads of `.npy` files, written as `np.save` does and read without Python's parser.

NumPy reads them with `ast.literal_eval`, which fails at random where several threads do so at once
and the garbage collector runs (python/cpython#106905, Python 3.11): packs are read by many threads.
"""

import io
import os
import re
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_array", "map_array", "npy_header"]

MAGIC = b"\x93NUMPY\x01\x00"
DESCRIBED = re.compile(
    rb"\{'descr': '([<>|](?:b1|[iu][1248]|f[248]|c8|c16))', 'fortran_order': False, "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the head of a `.npy` file of version 1 and C order, as `np.save` writes it."""
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def as_array(npy: bytes) -> NDArray[Any]:
    """Return the array in the bytes of a `.npy` file, without a copy of them.

    Raises:
        ValueError: if they are none, or fewer than the head promises.
    """
    shape, dtype, start = _read_header(io.BytesIO(npy), len(npy))
    return np.ndarray(shape, dtype, npy, start)


def map_array(path: Path) -> NDArray[Any]:
    """Return the array of a `.npy` file as a read-only memory map.

    Raises:
        ValueError: if it is none, or shorter than its head promises.
        OSError: if it cannot be opened.
    """
    with path.open("rb") as file:
        shape, dtype, start = _read_header(file, os.fstat(file.fileno()).st_size)
    return np.memmap(path, dtype, "r", start, shape)


def _read_header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, dtype and where the values begin in a file of so many bytes."""
    magic, length = file.read(len(MAGIC)), file.read(2)
    found = DESCRIBED.fullmatch(file.read(int.from_bytes(length, "little")))
    if magic != MAGIC or found is None:
        raise ValueError("it does not begin as a .npy file of version 1 and C order does")
    shape = tuple(int(one) for one in found[2].replace(b",", b" ").split())
    dtype, start = np.dtype(found[1].decode()), file.tell()
    if size < start + prod(shape) * dtype.itemsize:
        raise ValueError("the .npy file is shorter than its head promises")
    return shape, dtype, start
