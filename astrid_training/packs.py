"""Immutable arrays and tables in the store, each named by the digest of its bytes.

A pack is one `.npy` file, so that a reader maps it and pays for the rows it touches only.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.faults import fault_point
from astrid_training.files import write_atomically
from astrid_training.npy import as_array, map_array, npy_header
from astrid_training.store import Store

__all__ = [
    "FORMAT_VERSION",
    "PackCache",
    "PackWriter",
    "pack_key",
    "put_array",
    "put_table",
    "read_pack",
    "read_table",
    "table_bytes",
]

FORMAT_VERSION = 1
"""Of packs, tables and manifests together; readers refuse a newer one."""


def pack_key(kind: str, digest: str) -> str:
    """Return the object key of the pack `digest` among `images`, `flags`, `significance` or `masks`."""
    return f"{kind}/{digest}.npy"


class PackWriter:
    """A pack that is filled in place: header and rows are one buffer, stored without a copy."""

    def __init__(self, rows: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Make room for at most `rows` rows of `shape`; their values are undefined until written."""
        self._header = len(npy_header((rows, *shape), np.dtype(dtype)))
        one = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        self._buffer = np.empty(self._header + rows * one, np.uint8)
        self.rows: NDArray[Any] = self._buffer[self._header :].view(dtype).reshape(rows, *shape)
        """(rows, *shape) of dtype: write here, from row 0 on."""

    def store(self, store: Store, kind: str, rows: int | None = None) -> str:
        """Store the first `rows` rows (None: all) and return their digest, that of `put_array`.

        Args:
            store: gets the pack.
            kind: `images`, `flags`, `significance` or `masks`.
            rows: those that were written, at most as many as there is room for.
        """
        filled = self.rows[:rows]
        header = npy_header(filled.shape, filled.dtype)
        start = self._header - len(header)  # fewer rows never need a longer header
        self._buffer[start : self._header] = np.frombuffer(header, np.uint8)
        data = self._buffer[start : self._header + filled.nbytes]
        fault_point("store_pack", "before")
        digest = store.put_named_by_content(kind, ".npy", data.data)
        fault_point("store_pack", "after")
        return digest


def put_array(store: Store, kind: str, array: NDArray[Any]) -> str:
    """Store `array` under its digest and return it; storing the same array again changes nothing."""
    pack = PackWriter(len(array), array.shape[1:], array.dtype)
    pack.rows[:] = array
    return pack.store(store, kind)


def put_table(store: Store, kind: str, table: pa.Table) -> str:
    """Store `table` as Parquet under its digest and return it."""
    return store.put_named_by_content(kind, ".parquet", table_bytes(table))


def table_bytes(table: pa.Table) -> bytes:
    """Return `table` as Parquet."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read_table(
    store: Store, kind: str, digest: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the table after verifying its bytes; see `Store.get_verified` for errors.

    Args:
        store: where it lies.
        kind: its folder.
        digest: its name.
        columns: those to read, where they are there; None: all.
    """
    data = store.get_verified(kind, ".parquet", digest)
    # pq.read_table would import pyarrow's datasets: 40 MB and 0.2 s in each process
    return pq.ParquetFile(pa.BufferReader(data)).read(columns)


def read_pack(store: Store, kind: str, digest: str) -> NDArray[Any]:
    """Return the pack, read whole, after verifying its bytes; see `Store.get_verified` for errors."""
    npy = store.get_verified(kind, ".npy", digest)
    with _told_as_corrupt(pack_key(kind, digest)):
        return as_array(npy)


@contextmanager
def _told_as_corrupt(pack: str | Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise StoreCorruptError(
            f"{pack} is no readable pack ({error}); remove it and collect again"
        ) from error


class PackCache:
    """Packs as read-only memory maps: in place when the store is a folder, else fetched once."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._folder = folder

    def open(self, kind: str, digest: str) -> NDArray[Any]:
        """Return the pack as a read-only memory map.

        Raises:
            MissingObjectError: if the store has no such pack.
            StoreCorruptError: if the file is no array.
        """
        path = self.path(kind, digest)
        with _told_as_corrupt(path):
            return map_array(path)

    def path(self, kind: str, digest: str) -> Path:
        """Return a local file with the pack's bytes, fetching it when the store is remote."""
        key = pack_key(kind, digest)
        local = self.store.local_path(key)
        if local is not None:
            if not local.is_file():
                raise MissingObjectError(
                    f"no pack {key} in {self.store.url}; collect the dataset again to rebuild it"
                )
            return local
        cached = self._folder / key
        if not cached.is_file():
            write_atomically(cached, self.store.get_verified(kind, ".npy", digest))
        return cached

    def verify(self, kind: str, digest: str) -> None:
        """Return if the stored bytes are those the digest promises; see `get_verified`."""
        local = self.store.local_path(pack_key(kind, digest))
        if local is None:
            self.store.get_verified(kind, ".npy", digest)
            return
        got = digest_bytes(self.path(kind, digest).read_bytes())
        if got != digest:
            raise StoreCorruptError(
                f"{local} holds other bytes than its name promises; remove it and collect again"
            )
