"""Who accepts and never answers is left in good time, with a message that says whom to look at."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from astrid_training import database as module
from astrid_training.answers import AnsweringConnection
from astrid_training.database import check_database, open_database, unhurried
from astrid_training.errors import DatabaseUnavailableError, WorkerTimeoutError
from astrid_training.patience import Patience
from astrid_training.store import Credentials, Store, StoreUnavailableError
from astrid_training.tracking import TrackingUnavailableError, tracking
from astrid_training.web import Web
from astrid_training.workers import Workers

HASTY = Patience(retries=1, retry_s=2, first_wait_s=0.01, longest_wait_s=0.02, silence_s=0.3)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """`127.0.0.1:port` of a server that takes connections, and what is sent, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def test_a_database_that_only_accepts_is_named(black_hole: str) -> None:
    silent = f"postgresql+psycopg://user@{black_hole}/astrid?connect_timeout=2"

    with within(4), pytest.raises(DatabaseUnavailableError, match=f"no database at .*{black_hole}"):
        check_database(open_database(silent))


CALLS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("x"),
    "put": lambda store: store.put("x", b"1"),
    "head": lambda store: store.head("x"),
    "list": lambda store: store.keys("x"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_store_that_only_accepts_is_named(black_hole: str, name: str) -> None:
    store = Store("s3://bucket", Credentials(f"http://{black_hole}", "key", "secret"), HASTY)

    with within(3), pytest.raises(StoreUnavailableError, match=f"{black_hole} gives no answer"):
        CALLS[name](store)


def test_a_web_server_that_only_accepts_is_named(black_hole: str) -> None:
    with within(3), pytest.raises(StoreUnavailableError, match=f"cannot read .*{black_hole}"):
        Web([black_hole], HASTY).head(f"http://{black_hole}/a.fits")


def test_an_mlflow_that_only_accepts_is_named(
    black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with (
        within(20),  # importing MLflow takes most of it
        pytest.raises(TrackingUnavailableError, match=f"MLflow at http://{black_hole} does not"),
        tracking(f"http://{black_hole}") as client,
    ):
        client.get_experiment_by_name("training")


@pytest.fixture
def hasty(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose answers are waited for one second."""
    monkeypatch.setattr(module, "ANSWER_S", 1.0)
    engine = open_database.__wrapped__(database.url.render_as_string(hide_password=False))
    yield engine
    engine.dispose()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Keep a server's process from running, as a machine that swaps or a paused container does."""
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


PID = text("SELECT pg_backend_pid()")


@pytest.mark.parametrize("call", ["execute", "commit"])
def test_a_session_that_falls_silent_is_left_and_the_next_one_works(
    hasty: Engine, call: str
) -> None:
    with hasty.connect() as connection:
        pid = connection.execute(PID).scalar_one()
        calls: dict[str, Callable[[], object]] = {
            "execute": lambda: connection.execute(PID),
            "commit": connection.commit,
        }
        with (
            frozen(pid),
            within(4),
            pytest.raises(OperationalError, match="gave no answer in 1 s; look whether PostgreSQL"),
        ):
            calls[call]()

    with hasty.connect() as connection:
        assert connection.execute(PID).scalar_one() != pid


def test_a_statement_out_of_time_is_ended_by_the_server(database: Engine) -> None:
    url = database.url.update_query_dict({"options": "-c statement_timeout=200"})
    engine = open_database.__wrapped__(url.render_as_string(hide_password=False))

    with (
        within(3),
        pytest.raises(OperationalError, match="statement timeout"),
        engine.connect() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(60)"))
    engine.dispose()


@pytest.mark.parametrize(
    ("options", "waited_s"),
    [("", 330), ("-c statement_timeout=600000", 630), ("-c statement_timeout=0", None)],
)
def test_an_answer_is_waited_for_longer_than_a_statement_may_run(
    database: Engine, options: str, waited_s: float | None
) -> None:
    url = database.url.update_query_dict({"options": options} if options else {})
    engine = open_database.__wrapped__(url.render_as_string(hide_password=False))

    with engine.connect() as connection:
        session = connection.connection.dbapi_connection
        assert isinstance(session, AnsweringConnection)
        assert session.answer_s == waited_s
    engine.dispose()


def test_a_migration_has_the_time_that_it_takes(hasty: Engine) -> None:
    with hasty.begin() as connection, unhurried(connection):
        connection.execute(text("SELECT pg_sleep(1.3)"))
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "0"

    with hasty.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "5min"
        with pytest.raises(OperationalError, match="gave no answer in 1 s"):
            connection.execute(text("SELECT pg_sleep(60)"))


def test_a_worker_that_hangs_is_killed_in_its_time_and_the_next_call_has_another() -> None:
    pool = Workers(1)
    before = pool.run(os.getpid)
    pool._longest_s = 0.5  # from now on: its start took longer

    with within(3), pytest.raises(WorkerTimeoutError, match=r"no answer in 0.5 s during sleep"):
        pool.run(time.sleep, 60)

    assert not psutil.pid_exists(before)
    pool._longest_s = 60
    assert pool.run(os.getpid) != before
    pool.close()


def test_calls_that_answer_in_time_leave_no_limit_behind() -> None:
    pool = Workers(1)
    before = pool.run(os.getpid)
    pool._longest_s = 0.5

    assert pool.run(max, 1, 2) == 2
    time.sleep(0.7)

    assert pool.run(os.getpid) == before
    pool.close()
