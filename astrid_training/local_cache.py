"""Copies of datasets on this machine: one file of images, one of masks, as the loader reads them.

A copy is made once, whichever processes ask for it; one that was interrupted is continued. Copies
have a limit together: those that were used longest ago make room, those in use never do.
"""

import fcntl
import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from math import prod
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.errors import CacheFullError
from astrid_training.files import write_atomically
from astrid_training.npy import npy_header
from astrid_training.pack_parts import DTYPES, KINDS, Kind, PackReader, Part
from astrid_training.progress import progress

__all__ = ["CACHE_BYTES", "Lease", "LocalCache", "LocalCopy"]

CACHE_BYTES = 50_000_000_000
"""What all copies may take where nothing else is said."""
FETCHES_AT_ONCE = 4  # packs in memory, about 60 MB each
ASK_AGAIN_S = (0.02, 0.2)
FORMAT_VERSION = 1
COMPLETE, DONE = "complete", "done"


class Lease:
    """A lock on a copy: shared by those who read it, exclusive for who makes or removes it.

    It is given back when the object goes, or the process. Other processes get none by pickling.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")

    def __getstate__(self) -> dict[str, object]:
        return {}  # a lock does not travel: the process that loaded the dataset keeps it

    def share(self) -> None:
        """Wait until nobody makes or removes the copy."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def try_own(self) -> bool:
        """Return whether nobody else has it; then it is ours, else we have none at all."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give it back now."""
        self._file.close()


class LocalCopy(NamedTuple):
    """A finished copy."""

    images: Path
    """`.npy`, (sample, plane, y, x) float32, the planes that were asked for."""
    masks: Path
    """`.npy`, (sample, 1, y, x) uint8, folded to 0, 1 and 255."""
    image_row: NDArray[np.int32]
    """(sample,) where each sample of the table lies in `images`."""
    mask_row: NDArray[np.int32]
    """(sample,) the same in `masks`."""
    lease: Lease
    """As long as it lives, the copy stays."""


@dataclass(frozen=True)
class LocalCache:
    """The folder of copies and how much may lie there."""

    folder: Path
    limit_bytes: int = CACHE_BYTES

    def copy_of(self, reader: PackReader, table: pa.Table) -> LocalCopy:
        """Return the copy of a dataset's samples, made now where there is none.

        Args:
            reader: reads its packs and says which channels are wanted.
            table: (samples) rows of the samples table.

        Raises:
            CacheFullError: if it does not fit under the limit, or on the disk.
            MissingObjectError: if the store lacks a pack.
            StoreCorruptError: if a pack is not what its name promises.
        """
        parts = {kind: reader.parts(kind, table) for kind in KINDS}
        job = _Job(self.folder / _name(reader, parts), reader, parts, table.num_rows)
        lease = Lease(job.folder.with_suffix(".lock"))
        try:
            self._keep(job, lease)
        except BaseException:
            lease.close()  # a traceback that somebody keeps must not keep others waiting
            raise
        os.utime(job.folder / COMPLETE)
        image_row, mask_row = (_places(parts[kind], table.num_rows) for kind in KINDS)
        return LocalCopy(job.path("images"), job.path("masks"), image_row, mask_row, lease)

    def _keep(self, job: "_Job", lease: Lease) -> None:
        """Return once there is a copy that the lease keeps."""
        while True:  # between making and sharing it, another process might remove it
            lease.share()
            if (job.folder / COMPLETE).is_file():
                return
            if not lease.try_own():  # by waiting for all others we would wait for their readers
                time.sleep(random.uniform(*ASK_AGAIN_S))  # noqa: S311 - so that two do not meet again
            elif not (job.folder / COMPLETE).is_file():
                self._make_room(job)
                job.run()

    def fits(self, reader: PackReader, samples: int) -> bool:
        """Tell whether a copy of so many samples may be made at all, others removed."""
        return _bytes(reader, samples) <= self.limit_bytes

    def _make_room(self, job: "_Job") -> None:
        """Remove the copies used longest ago until the job's fits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = _bytes(job.reader, job.samples)
        others = [path for path in self.folder.iterdir() if path.is_dir() and path != job.folder]
        sizes = {path: _size(path) for path in sorted(others, key=_last_used)}
        for path in list(sizes):
            if needed + sum(sizes.values()) <= self.limit_bytes:
                break
            if _remove(path):
                del sizes[path]
        taken, free = sum(sizes.values()), shutil.disk_usage(self.folder).free
        if needed + taken > self.limit_bytes:
            raise CacheFullError(
                f"a copy of {job.samples} samples takes {needed / 1e9:.1f} GB, but of the "
                f"{self.limit_bytes / 1e9:.1f} GB for copies in {self.folder} others in use take "
                f"{taken / 1e9:.1f}; raise ASTRID_LOADER_CACHE_GB, ask for fewer channels, or use "
                "stream_training_dataset, which keeps nothing on disk"
            )
        if needed > free + _size(job.folder):
            raise CacheFullError(
                f"a copy of {job.samples} samples takes {needed / 1e9:.1f} GB, but {self.folder} "
                f"has {free / 1e9:.1f} GB left; free some, or use stream_training_dataset"
            )


@dataclass(frozen=True)
class _Job:
    """A copy that is being made."""

    folder: Path
    reader: PackReader
    parts: dict[Kind, list[Part]]
    samples: int

    def path(self, kind: Kind) -> Path:
        return self.folder / f"{kind}.npy"

    def run(self) -> None:
        """Write what is not yet written, several packs at once, and mark the copy complete."""
        offsets = {kind: self._allocate(kind) for kind in KINDS}
        finished = self._finished()
        todo = [
            (kind, number, offset)
            for kind in KINDS
            for number, offset in enumerate(offsets[kind])
            if f"{kind} {number}" not in finished
        ]
        lock = Lock()
        with (
            progress(len(todo), "packs to this machine") as step,
            ThreadPoolExecutor(FETCHES_AT_ONCE) as pool,
        ):

            def write(item: tuple[Kind, int, int]) -> None:
                kind, number, offset = item
                self._write(kind, number, offset)
                with lock, (self.folder / DONE).open("a", encoding="utf-8") as done:
                    done.write(f"{kind} {number}\n")
                step()

            futures = [pool.submit(write, item) for item in todo]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        write_atomically(self.folder / COMPLETE, b"")

    def _allocate(self, kind: Kind) -> list[int]:
        """Write the header of the file of `kind`; return where each part's bytes begin."""
        self.folder.mkdir(exist_ok=True)
        path, shape = self.path(kind), (self.samples, *self.reader.shape(kind))
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.write(npy_header(shape, DTYPES[kind]))
            start, row = file.tell(), prod(shape[1:]) * DTYPES[kind].itemsize
            file.truncate(start + self.samples * row)
        before = accumulate((len(part.rows) for part in self.parts[kind]), initial=0)
        return [start + count * row for count in before][:-1]

    def _finished(self) -> set[str]:
        """Return the packs that an interrupted run wrote; a line without its end does not count."""
        path = self.folder / DONE
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        write_atomically(path, whole.encode())
        return set(whole.splitlines())

    def _write(self, kind: Kind, number: int, offset: int) -> None:
        """Put one pack's samples at their place, on the disk before it is said to be there."""
        pixels = self.reader.read(kind, self.parts[kind][number])
        with self.path(kind).open("r+b") as file:
            file.seek(offset)
            file.write(np.ascontiguousarray(pixels).data)
            file.flush()
            os.fsync(file.fileno())


def _name(reader: PackReader, parts: dict[Kind, list[Part]]) -> str:
    """Return a name that follows from what the copy holds."""
    total = blake2b(digest_size=16)
    total.update(f"{FORMAT_VERSION} {reader.spec.padded_size} {reader.channels}".encode())
    for kind in KINDS:
        for part in parts[kind]:
            total.update(f"|{kind} {part.digests}".encode())
            total.update(part.rows.tobytes())
    return total.hexdigest()


def _places(parts: list[Part], samples: int) -> NDArray[np.int32]:
    places = np.empty(samples, np.int32)
    if parts:
        places[np.concatenate([part.samples for part in parts])] = np.arange(samples)
    return places


def _bytes(reader: PackReader, samples: int) -> int:
    return samples * sum(prod(reader.shape(kind)) * DTYPES[kind].itemsize for kind in KINDS)


def _size(folder: Path) -> int:
    """Return what a folder takes on the disk, bytes; 0 if it is not there."""
    return sum(512 * path.stat().st_blocks for path in folder.glob("*"))


def _last_used(folder: Path) -> float:
    complete = folder / COMPLETE
    return (complete if complete.exists() else folder).stat().st_mtime


def _remove(folder: Path) -> bool:
    """Remove a copy unless somebody uses it; tell whether it is gone."""
    lease = Lease(folder.with_suffix(".lock"))
    try:
        if lease.try_own():
            (folder / COMPLETE).unlink(missing_ok=True)  # first: the rest is no copy any more
            shutil.rmtree(folder)
            return True
    finally:
        lease.close()
    return False
