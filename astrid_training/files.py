"""Files of this machine, written so that a reader sees the whole of one or none."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from astrid_training.faults import fault_point

__all__ = ["DISK_FULL", "telling_what_is_full", "write_atomically"]

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What stays until somebody makes room."""


@contextmanager
def telling_what_is_full(path: Path) -> Iterator[None]:
    """Say which disk is full, where the block finds that it is; the system says only that one is.

    Raises:
        OSError: of the same number, with the file and the cure.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        cure = f"{error.strerror}; make room on the disk of this file and run it again"
        raise OSError(error.errno, cure, str(path)) from error


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write `data` at `path`, making its folder; what fails leaves nothing behind.

    Args:
        path: of the file; replaced if it is there.
        data: its bytes, in one or in several pieces.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    with telling_what_is_full(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, [data] if isinstance(data, bytes) else data)


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with NamedTemporaryFile(dir=path.parent, delete=False) as partial:
        written = Path(partial.name)
        try:
            partial.writelines(pieces)
            partial.flush()
            fault_point("write_file", "before")
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)  # no longer there once it has become `path`
