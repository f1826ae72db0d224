"""Files of this machine, written so that a reader sees the whole of one or none."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

from astrid_training.faults import fault_point

__all__ = ["write_atomically"]


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write `data` at `path`, making its folder; what fails leaves nothing behind.

    Args:
        path: of the file; replaced if it is there.
        data: its bytes, in one or in several pieces.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as partial:
        written = Path(partial.name)
        try:
            partial.writelines([data] if isinstance(data, bytes) else data)
            partial.flush()
            fault_point("write_file", "before")
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)  # no longer there once it has become `path`
