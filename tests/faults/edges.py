"""The library's edges, where a schedule's faults come in: object store, database, local disk, clock, threads.

Nothing behind an edge is simulated: statements go to PostgreSQL, objects to a folder. A bucket is a
folder whose client fails with the words of the real client of buckets.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import Any, NoReturn, TypeVar

import obstore
import psycopg
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import LocalStore
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine

from astrid_training import database
from astrid_training.answers import AnsweringConnection
from tests.faults.schedule import Injector

__all__ = ["edges", "open_engine"]

T = TypeVar("T")
RV = TypeVar("RV")

TRIED = "in 9.1s, after 2 retries, max_retries: 2, retry_timeout: 180s  - "
ANSWERS = {
    "500": "Server returned non-2xx status code: 500 Internal Server Error: <Error><Code>InternalError</Code></Error>",
    "429": "Server returned non-2xx status code: 429 Too Many Requests: <Error><Code>SlowDown</Code></Error>",
    "timeout": "HTTP error: error sending request",
    "reset": "HTTP error: error sending request",
    "lost": "HTTP error: error sending request",
}
"""What the client of buckets says at last, after its own further questions."""
FORBIDDEN = (
    "Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code></Error>"
)
OF_FOLDER = {
    "full": "Unable to copy data to file: No space left on device (os error 28)",
    "denied": "Unable to open file: Permission denied (os error 13)",
    "fails": "Unable to copy data to file: Input/output error (os error 5)",
}
SQLSTATES = {
    "serialization": ("40001", "could not serialize access due to concurrent update"),
    "deadlock": ("40P01", "deadlock detected"),
    "lock timeout": ("55P03", "canceling statement due to lock timeout"),
    "statement timeout": ("57014", "canceling statement due to statement timeout"),
}
LOST = "server closed the connection unexpectedly"
SLOW_S = 100.0


@dataclass(frozen=True)
class Client:
    """The functions of obstore that a `Store` calls, on a folder."""

    injector: Injector
    folder: Path

    def put(self, _store: object, key: str, data: bytes | memoryview, **_options: object) -> object:
        def write() -> object:
            return obstore.put(self._objects, key, bytes(data))

        def half() -> None:
            path = self.folder / f"{key}#1"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(data)[: len(data) // 2])

        return self._ask("PUT", key, write, half)

    def get(self, _store: object, key: str, options: Any = None) -> object:
        return self._ask("GET", key, lambda: obstore.get(self._objects, key, options=options))

    def head(self, _store: object, key: str) -> object:
        return self._ask("HEAD", key, lambda: obstore.head(self._objects, key))

    def list(self, _store: object, prefix: str) -> object:
        return self._ask("GET", prefix, lambda: list(obstore.list(self._objects, prefix)))

    def delete(self, _store: object, key: str) -> object:
        return self._ask("DELETE", key, lambda: obstore.delete(self._objects, key))

    @property
    def _objects(self) -> LocalStore:
        return LocalStore(self.folder, mkdir=True)

    def _ask(
        self, verb: str, key: str, call: Callable[[], T], half: Callable[[], None] | None = None
    ) -> T | "_Truncated":
        what = self.injector.befalls("store")
        if what == "killed within" and half:
            half()
        if what in {"killed", "killed within"}:
            raise self.injector.killed()
        if what is None or (what == "full" and half is None):
            return call()
        if what in {"killed after", "lost", "slow", "truncated"}:
            return self._late(what, verb, key, call())
        raise self._failure(what, verb, key)

    def _late(self, what: str, verb: str, key: str, found: T) -> T | "_Truncated":
        """Return what a call that took effect gives, if anything."""
        if what == "killed after":
            raise self.injector.killed()
        if what == "lost":
            raise self._failure("lost", verb, key)
        if what == "slow":
            self.injector.waited_s += SLOW_S
        if what == "truncated" and hasattr(found, "bytes"):
            return _Truncated(found)
        return found

    def _failure(self, what: str, verb: str, key: str) -> Exception:
        if self.injector.schedule.kind == "folder":
            return GenericError(f"Generic LocalFileSystem error: {OF_FOLDER[what]}")
        asked = f"Error performing {verb} http://127.0.0.1:9000/bucket/{key} "
        if what == "denied":
            lacks = f"The operation lacked the necessary privileges to complete for path {key}: "
            return PermissionDeniedError(f"{lacks}{asked}in 9ms - {FORBIDDEN}")
        return GenericError(f"Generic S3 error: {asked}{TRIED}{ANSWERS[what]}")


@dataclass(frozen=True)
class _Truncated:
    """An answer whose body ends in the middle, however often it is taken up."""

    whole: Any

    @property
    def meta(self) -> Any:
        return self.whole.meta

    def stream(self, **_options: object) -> Iterator[bytes]:
        data = bytes(self.whole.bytes())
        yield data[: len(data) // 2]
        raise _cut()

    def bytes(self) -> NoReturn:
        raise _cut()


def _cut() -> GenericError:
    return GenericError("Generic S3 error: HTTP error: request or response body error")


class Connection(AnsweringConnection):
    """A session in which whatever goes to the server and back is a call."""

    injector: Injector
    _of_commit: str | None = None

    def commit(self) -> None:
        self._of_commit = self.injector.befalls("commit")
        try:
            super().commit()
        finally:
            self._of_commit = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        what = self._of_commit or self.injector.befalls("database")
        if what == "killed":
            raise self.injector.killed()
        if what in SQLSTATES and self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            self._refuse(*SQLSTATES[what])
        if what not in {None, "killed after", "lost after"}:
            self.pgconn.finish()
            raise psycopg.OperationalError(LOST)
        answer = super().wait(gen, interval, timeout)
        if what == "killed after":
            raise self.injector.killed()
        if what == "lost after":
            self.pgconn.finish()
            raise psycopg.OperationalError(LOST)
        return answer

    def _refuse(self, code: str, message: str) -> None:
        """Let the server fail as it would fail the statement, so that its transaction is as it would be."""
        body = f"RAISE EXCEPTION '{message}' USING ERRCODE = '{code}'"
        self.pgconn.exec_(f"DO $$ BEGIN {body}; END $$".encode())
        if self._of_commit:  # a commit that fails ends its transaction
            self.pgconn.exec_(b"ROLLBACK")
        raise psycopg.errors.lookup(code)(message)


def _connector(injector: Injector) -> Callable[..., Connection]:
    """Return what opens sessions under the schedule."""

    def connect(answer_s: float | None, *given: Any, **options: Any) -> Connection:
        if injector.befalls("database") == "refused":
            raise psycopg.OperationalError("connection failed: Connection refused")
        session = Connection.connect(*given, **options)
        session.answer_s, session.injector = answer_s, injector
        injector.at_end(session.pgconn.finish)
        return session

    return connect


def open_engine(url: str, injector: Injector) -> Engine:
    """Return the engine that the library opens for `url`, for one process: it ends with it."""
    engine = database.open_database.__wrapped__(url)
    injector.at_end(engine.dispose)
    return engine


@contextmanager
def edges(injector: Injector, folder: Path) -> Iterator[None]:
    """Put the edges of the library under the schedule for the time of a block."""
    ahead = _clock(injector)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astrid_training.store.obstore", Client(injector, folder))
        patch.setattr("astrid_training.database.connect", _connector(injector))
        patch.setattr("astrid_training.files.NamedTemporaryFile", _partial_files(injector))
        patch.setattr("astrid_training.parts.os", _system(injector))
        for module in ("presence", "gc", "catalogue"):
            patch.setattr(f"astrid_training.{module}.datetime", ahead)
        patch.setattr(
            "astrid_training.patience.time",
            SimpleNamespace(monotonic=lambda: injector.waited_s, sleep=_passes(injector)),
        )
        for module in ("meter", "plan", "gc"):  # one thread, so that a seed tells everything
            patch.setattr(f"astrid_training.{module}.ThreadPoolExecutor", _InTurn)
        if injector.schedule.in_parts:
            patch.setattr("astrid_training.source_cache.SMALL_BYTES", 0)
            patch.setattr("astrid_training.source_cache.HEAD_BYTES", 2880)
            patch.setattr("astrid_training.source_cache.GAP_BYTES", 0)
        yield


def _passes(injector: Injector) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        injector.waited_s += seconds

    return sleep


def _clock(injector: Injector) -> type[datetime]:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp((datetime.now(tz) + injector.clock).timestamp(), tz)

    return Ahead


class _InTurn(Executor):
    """Does what it is given at once, in the thread of whoever gives it."""

    def __init__(
        self, *_threads: object, initializer: object = None, initargs: object = ()
    ) -> None:
        """Need no threads."""

    def submit(self, call: Callable[..., T], /, *given: Any, **named: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(call(*given, **named))
        except Exception as error:  # noqa: BLE001 - a future keeps any
            done.set_exception(error)
        return done


def _no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _partial_files(injector: Injector) -> Callable[..., Any]:
    """Return what opens files that are not yet whole."""

    @contextmanager
    def opened(**options: Any) -> Iterator[Any]:
        with NamedTemporaryFile(**options) as file:
            yield SimpleNamespace(
                name=file.name, flush=file.flush, writelines=lambda data: write(file, data)
            )

    def write(file: Any, data: Iterable[bytes]) -> None:
        what = injector.befalls("disk")
        if what is None:
            file.writelines(data)
            return
        whole = b"".join(data)
        file.write(whole[: len(whole) // 2])
        if what == "full":
            raise _no_space()
        file.flush()
        shutil.copy(file.name, f"{file.name}-left")  # else it would be tidied up on the way out
        raise injector.killed()

    return opened


def _system(injector: Injector) -> SimpleNamespace:
    """Return what of `os` writes the parts of files."""

    def cut(write: Callable[..., int]) -> Callable[..., int]:
        def written(handle: int, data: bytes, *at: int) -> int:
            what = injector.befalls("disk")
            if what is None:
                return write(handle, data, *at)
            with suppress(OSError):
                write(handle, data[: len(data) // 2], *at)
            if what == "full":
                raise _no_space()
            raise injector.killed()

        return written

    names = ("open", "ftruncate", "fsync", "close", "O_RDWR", "O_CREAT", "O_WRONLY", "O_APPEND")
    real = {name: getattr(os, name) for name in names}
    return SimpleNamespace(**real, pwrite=cut(os.pwrite), write=cut(os.write))
