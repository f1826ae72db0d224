"""A step is tried again when the world failed it, not when its input did."""

import errno
import os
import signal
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from prefect import flow, task
from prefect.logging import disable_run_logger
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from astrid_training import workers
from astrid_training.errors import (
    DatabaseRightsError,
    DatabaseUnavailableError,
    FitsRefusedError,
    StoreCorruptError,
    WorkerLostError,
    WorkerTimeoutError,
)
from astrid_training.store import StoreRefusedError, StoreUnavailableError
from astrid_training.tracking import TrackingUnavailableError
from tasks.deployment_runs import DeploymentMissingError, ServerUnavailableError
from tasks.retrying import RETRIES, kind_of, try_again


def lost(error: psycopg.Error) -> DBAPIError:
    """The error as SQLAlchemy raises it."""
    return DBAPIError.instance("SELECT 1", {}, error, psycopg.Error)  # type: ignore[return-value]


def not_migrated() -> DatabaseUnavailableError:
    error = DatabaseUnavailableError("lacks this version's tables")
    error.__cause__ = lost(psycopg.errors.UndefinedTable("no"))
    return error


def answer(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://server/api")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status))


AUTHENTICATION = 'connection failed: FATAL:  password authentication failed for user "astrid"'


@pytest.mark.parametrize(
    ("error", "retries"),
    [
        (StoreUnavailableError("the server answers 503"), 3),
        (StoreRefusedError("the server answers 403"), 0),
        (lost(psycopg.OperationalError("server closed the connection unexpectedly")), 3),
        (lost(psycopg.OperationalError("the server gave no answer in 330 s")), 3),
        (lost(psycopg.errors.ConnectionTimeout("timeout")), 3),
        (lost(psycopg.errors.DeadlockDetected("ring")), 3),
        (lost(psycopg.errors.SerializationFailure("again")), 3),
        (lost(psycopg.errors.QueryCanceled("statement timeout")), 3),
        (lost(psycopg.errors.AdminShutdown("restart")), 3),
        (lost(psycopg.errors.TooManyConnections("too many clients")), 3),
        (lost(psycopg.errors.IdleInTransactionSessionTimeout("idle")), 3),
        (PoolTimeoutError("QueuePool limit"), 3),
        (DatabaseUnavailableError("no database"), 3),
        (lost(psycopg.OperationalError(AUTHENTICATION)), 0),
        (lost(psycopg.OperationalError('FATAL:  database "x" does not exist')), 0),
        (lost(psycopg.errors.DiskFull("no space left")), None),
        (lost(psycopg.errors.UndefinedTable("no such table")), None),
        (lost(psycopg.errors.UniqueViolation("twice")), None),
        (not_migrated(), 0),
        (TrackingUnavailableError("refused"), 3),
        (ServerUnavailableError("does not answer"), 3),
        (DeploymentMissingError("run bootstrap"), 0),
        (httpx.ConnectError("refused"), 3),
        (httpx.ReadTimeout("slow"), 3),
        (httpx.RemoteProtocolError("closed"), 3),
        (answer(503), 3),
        (answer(429), 3),
        (answer(422), None),
        (WorkerLostError("killed"), 1),
        (WorkerTimeoutError("hung"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 0),
        (ConnectionResetError(), 3),
        (TimeoutError(), 3),
        (StoreCorruptError("digest"), None),
        (DatabaseRightsError("may not"), None),
        (FitsRefusedError("truncated", "ends early"), None),
        (httpx.InvalidURL("bad"), None),
        (KeyError("bug"), None),
    ],
)
def test_each_kind_of_failure_has_its_attempts(error: Exception, retries: int | None) -> None:
    kind = kind_of(error)

    assert (kind and kind.retries) == retries


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("error", "attempts"),
    [(ConnectionResetError(), 4), (WorkerLostError("killed"), 2), (KeyError("bug"), 1)],
)
def test_a_step_is_tried_as_often_as_its_failure_says(error: Exception, attempts: int) -> None:
    tried = []

    @task(**(RETRIES | {"retry_delay_seconds": 0}))
    def step() -> None:
        tried.append(1)
        raise error

    with pytest.raises(type(error)):
        step()

    assert len(tried) == attempts


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(ConnectionResetError(), 4), (WorkerLostError("killed"), 2), (KeyError("bug"), 1)],
)
def test_so_is_what_is_asked_between_steps(
    error: Exception, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    def ask(given: int) -> None:
        tried.append(given)
        raise error

    with pytest.raises(type(error)), disable_run_logger():
        try_again(ask, 7)

    assert tried == [7] * attempts
    assert waits == sorted(waits)
    assert len(waits) == attempts - 1


def test_what_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["", "there"])
    monkeypatch.setattr(time, "sleep", lambda _: None)

    def ask() -> str:
        if answer := next(answers):
            return answer
        raise ConnectionResetError

    with disable_run_logger():
        assert try_again(ask) == "there"


def test_attempts_come_later_and_later_and_not_all_at_once() -> None:
    assert RETRIES["retry_delay_seconds"] == sorted(RETRIES["retry_delay_seconds"])
    assert len(RETRIES["retry_delay_seconds"]) == RETRIES["retries"]
    assert RETRIES["retry_jitter_factor"] > 0


def _die_once(mark: str) -> int:
    """Be killed as a worker that took too much memory is, the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@pytest.mark.usefixtures("stack")
def test_a_step_whose_worker_is_killed_is_tried_again_in_another(tmp_path: Path) -> None:
    @task(**(RETRIES | {"retry_delay_seconds": 0}))
    def step() -> int:
        return workers.run(_die_once, str(tmp_path / "died"))

    @flow
    def collection() -> int:
        return step()

    assert collection() != os.getpid()
    assert (tmp_path / "died").exists()
