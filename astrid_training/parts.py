"""Files of which only some bytes are here: each at its true offset, and a note of which they are.

Beside the file, which has its full size and holes, lies a log of the extents that were written. An
extent is entered in one write after its bytes have reached the disk, so what is cut short costs
another fetch and nothing else; two processes that write the same file write the same bytes.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from astrid_training.files import telling_what_is_full

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from typing_extensions import Buffer

__all__ = [
    "SUFFIX",
    "AbsentBytesError",
    "ByteStream",
    "Extent",
    "Part",
    "absent",
    "is_part",
    "joined",
]

SUFFIX = ".part"
LOG = ".extents"
ENTRY = re.compile(rb"(\d+)-(\d+);")

Extent = tuple[int, int]
"""First byte, and the byte after the last."""


class AbsentBytesError(LookupError):
    """Bytes of a file were asked for that have not been fetched."""


def is_part(path: Path) -> bool:
    """Tell whether a file holds some bytes of another one only."""
    return path.suffix == SUFFIX


def joined(extents: Iterable[Extent], gap: int = 0) -> list[Extent]:
    """Return the extents in order, those that touch or lie at most `gap` bytes apart made one."""
    merged: list[Extent] = []
    for start, stop in sorted(extents):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1] + gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged


class Part:
    """The bytes of a file that are on this machine.

    Args:
        path: of the file with holes.
        size: of the whole file, bytes; None: as large as the file that is there.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self.path = path
        self.size = path.stat().st_size if size is None else size
        self._log = path.with_name(path.name + LOG)
        self.extents = self._read_log()

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether all bytes from `start` to before `stop` are here."""
        at = bisect_right(self.extents, (start, self.size + 1)) - 1
        return start >= stop or (at >= 0 and stop <= self.extents[at][1])

    def absent(self, wanted: Iterable[Extent]) -> list[Extent]:
        """Return those of the wanted bytes that are not here."""
        gaps: list[Extent] = []
        for start, stop in joined(wanted):
            at = start
            for have, end in self.extents:
                if end > at and have < stop:
                    gaps.append((at, min(have, stop)))
                    at = end
            gaps.append((at, stop))
        return [(start, stop) for start, stop in gaps if start < stop]

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes that are here.

        Raises:
            AbsentBytesError: if some are not.
        """
        if not self.covers(start, stop):
            raise absent(self.path, start, stop)
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def add(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        """Write bytes, each piece at its offset, then note that they are here.

        Raises:
            OSError: if the disk is full or the folder cannot be written.
        """
        with telling_what_is_full(self.path):
            self._write(pieces)
        self.extents = joined([*self.extents, *((s, s + len(data)) for s, data in pieces)])

    def _write(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, self.size)
            for start, data in pieces:
                _write_all(handle, data, start)
            os.fsync(handle)  # a power cut must not leave a note of bytes that are not there
        finally:
            os.close(handle)
        entries = b"".join(b"\n%d-%d;" % (start, start + len(data)) for start, data in pieces)
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(log, entries)
        finally:
            os.close(log)

    def _read_log(self) -> list[Extent]:
        """Return the extents of all whole entries, none where the file itself is not there."""
        try:
            entries = self._log.read_bytes().split(b"\n")
            if self.path.stat().st_size != self.size:
                return []
        except FileNotFoundError:
            return []
        found = [(int(m[1]), int(m[2])) for m in map(ENTRY.fullmatch, entries) if m]
        return joined((start, stop) for start, stop in found if stop <= self.size)


class ByteStream(RawIOBase):
    """Bytes that are somewhere as a stream to read.

    Args:
        size: of the whole, bytes.
        read_at: returns the bytes of an extent within it.
    """

    def __init__(self, size: int, read_at: Callable[[int, int], "Buffer"]) -> None:
        self._size, self._read_at = size, read_at
        self._at = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it has places."""
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to a place and return it; see `io.IOBase.seek`."""
        base = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer from here on and return how many bytes there were.

        Raises:
            AbsentBytesError: if they are not on this machine and cannot be fetched.
        """
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self._size)
        if stop <= self._at:
            return 0
        count = stop - self._at
        view[:count] = self._read_at(self._at, stop)
        self._at = stop
        return count


def absent(path: Path, start: int, stop: int) -> AbsentBytesError:
    """Return the error for bytes that were never fetched."""
    return AbsentBytesError(
        f"bytes {start} to {stop} of {path.name} were not fetched; remove it from the cache and "
        "collect again"
    )


def _write_all(handle: int, data: bytes, start: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, start)
        view, start = view[written:], start + written
