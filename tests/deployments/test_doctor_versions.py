"""The doctor names versions that do not go together, each with its cure."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from packaging.version import Version
from sqlalchemy import Engine, text

from astrid_training import migrate as module
from astrid_training.migrate import migrate, migrations
from astrid_training.settings import resolve
from deployments.embedded import doctor
from deployments.embedded.doctor import Check, checks
from tests.upgrades.kept import fill

pytestmark = pytest.mark.trust
NOWHERE = "http://127.0.0.1:9"
OURS = {name: Version(version(name)) for name in ("prefect", "mlflow")}


@contextmanager
def server_of(told: dict[str, bytes]) -> Iterator[str]:
    """The address of a server that is healthy and tells these versions, by the end of the path."""

    class Teller(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/health": b"true", **told}
            found = [body for end, body in known.items() if self.path.endswith(end)]
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b"".join(found))

        def do_POST(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Teller) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def look(home: Path, engine: Engine | None = None, **urls: str) -> dict[str, Check]:
    values = {"prefect_api_url": f"{NOWHERE}/api", "mlflow_tracking_uri": NOWHERE, **urls}
    if engine is not None:
        values["database_url"] = engine.url.render_as_string(hide_password=False)
    return {check.name: check for check in checks(resolve(home, **values))}


def other(name: str, place: int, step: int) -> str:
    release = list(OURS[name].release[:3])
    release[place] += step
    return ".".join(map(str, release))


@pytest.mark.parametrize(
    ("told", "level"),
    [
        (json.dumps(str(OURS["prefect"])), "ok"),
        (json.dumps(other("prefect", 2, 1)), "WRONG"),
        (json.dumps(other("prefect", 1, -1)), "WRONG"),
        ("<!DOCTYPE html><title>somebody else's</title>", "WRONG"),
        ("", "WRONG"),
    ],
)
def test_another_prefect_server_is_named(tmp_path: Path, told: str, level: str) -> None:
    with server_of({"/admin/version": told.encode()}) as address:
        found = look(tmp_path, prefect_api_url=f"{address}/api")["Prefect server"]

    assert found.level == level
    assert f"client {OURS['prefect']}" in found.detail
    assert ("astrid-training down" in found.cure) == (level != "ok")
    assert "html" not in found.detail


@pytest.mark.parametrize(
    ("told", "level"),
    [
        (str(OURS["mlflow"]), "ok"),
        (other("mlflow", 1, 1), "ok"),
        (other("mlflow", 1, -1), "hint"),
        (other("mlflow", 0, -1), "WRONG"),
        (other("mlflow", 0, 1), "WRONG"),
        ("<html>", "WRONG"),
    ],
)
def test_another_mlflow_is_named(tmp_path: Path, told: str, level: str) -> None:
    with server_of({"/version": told.encode()}) as address:
        found = look(tmp_path, mlflow_tracking_uri=address)["MLflow"]

    assert found.level == level
    assert ("client's version" in found.cure) == (level != "ok")


def test_the_cure_for_a_server_elsewhere_is_said_where_it_runs() -> None:
    cure = doctor._cure_of_version("prefect", "3.8.8", "https://prefect.example.org/api")
    assert cure.endswith("install prefect==3.8.8 where the server runs")


@pytest.fixture
def behind(databases: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Engine]]:
    """Return what makes a database with the kept rows as of a migration."""
    made: list[Engine] = []
    every = migrations()

    def make(number: int) -> Engine:
        made.append(databases.make())
        with monkeypatch.context() as patch:
            patch.setattr(module, "migrations", lambda: [s for s in every if s.number <= number])
            migrate(made[-1])
        fill(made[-1])
        return made[-1]

    yield make
    for engine in made:
        databases.drop(engine)


def test_a_schema_that_is_behind_is_named_with_what_lacks(
    behind: Callable[[int], Engine], tmp_path: Path
) -> None:
    last = migrations()[-1]
    engine = behind(last.number - 1)
    found = look(tmp_path, engine)

    assert found["migrations"].detail == f"not applied: {last.name}"
    assert found["migrations"].cure == "run `astrid-training migrate`"
    assert "store format" not in found
    migrate(engine)
    assert look(tmp_path, engine)["store format"].level == "ok"


def test_datasets_of_a_later_format_are_named(
    behind: Callable[[int], Engine], tmp_path: Path
) -> None:
    engine = behind(migrations()[-1].number)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE training_datasets SET format_version = 7 WHERE status = 'active'")
        )
    found = look(tmp_path, engine)["store format"]

    assert found.level == "WRONG"
    assert found.detail == "this version reads up to 1; of the datasets are 1 of format 7"
    assert found.cure == "install the version that collected them"


def test_a_database_server_that_is_too_old_is_named(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(tmp_path, database)["database"].level == "ok"
    monkeypatch.setattr(doctor, "OLDEST_POSTGRES", 99)
    found = look(tmp_path, database)["database"]

    assert found.level == "WRONG"
    assert found.cure == "upgrade the server; 99 is the oldest that this version knows"
