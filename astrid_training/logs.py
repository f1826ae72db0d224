"""The log of what flows do on this machine: one file, written by all their processes, rotated by whoever fills it."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import MappingProxyType

__all__ = ["SharedLog", "keep_log", "naming"]

FORMAT = "%(asctime)s %(levelname)s %(process)d %(about)s | %(message)s"
LIMIT_BYTES = 10_000_000
KEPT = 3
"""Former parts, `.1` the youngest."""
_about: ContextVar[MappingProxyType[str, str]] = ContextVar("about", default=MappingProxyType({}))


class SharedLog(WatchedFileHandler):
    """A file that several processes append to and that none of them lets grow without end.

    Each line is one write to the file's end, so that lines never mix. Who finds it too long renames it under
    a lock; the others notice at their next line that the name leads to another file.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES, kept: int = KEPT) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", delay=True)
        self._path = path
        self._limit_bytes = limit_bytes
        self._kept = kept
        self.setFormatter(logging.Formatter(FORMAT))
        self.addFilter(_name)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and begin the file anew if it is long enough."""
        super().emit(record)
        try:
            if self._is_full():
                self._rotate()
        except OSError:  # a full disk: a flow does not fail for its log
            self.handleError(record)

    def _rotate(self) -> None:
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._is_full():  # another process was first
                return
            for number in range(self._kept, 1, -1):
                older = self._former(number - 1)
                if older.exists():
                    older.replace(self._former(number))
            self._path.replace(self._former(1))

    def _is_full(self) -> bool:
        try:
            return self._path.stat().st_size >= self._limit_bytes
        except FileNotFoundError:  # another process has just put it aside
            return False

    def _former(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def keep_log(path: Path, loggers: tuple[str, ...]) -> None:
    """Write what these loggers say to the file at `path` too, from now on; asked again, nothing changes."""
    for name in loggers:
        logger = logging.getLogger(name)
        if not any(isinstance(one, SharedLog) for one in logger.handlers):
            logger.addHandler(SharedLog(path))


@contextmanager
def naming(**names: str) -> Iterator[None]:
    """Let each line of the block, in this thread, name these: `batch=1a2b3c4d`."""
    token = _about.set(MappingProxyType({**_about.get(), **names}))
    try:
        yield
    finally:
        _about.reset(token)


def _name(record: logging.LogRecord) -> bool:
    told = {
        "run": getattr(record, "flow_run_name", None),
        "step": getattr(record, "task_run_name", None),
        **_about.get(),
    }
    record.about = " ".join(
        f"{key}={value!r}" if " " in str(value) else f"{key}={value}"
        for key, value in told.items()
        if value
    )
    return True
