"""The API on a database and a store, without a Prefect server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from astrid_training.api_tokens import create_token
from astrid_training.database import open_database
from astrid_training.settings import Settings, resolve
from deployments.api import Limits, create_app

NOWHERE = "http://127.0.0.1:9/api"
"""Where no Prefect server answers."""
Connect = Callable[..., TestClient]


def settings_of(engine: Engine, home: Path, store_url: str | None = None) -> Settings:
    return resolve(
        home,
        database_url=engine.url.render_as_string(hide_password=False),
        store_url=store_url or f"file://{home}/store",
        prefect_api_url=NOWHERE,
    )


def authorized(app: Any, token: str) -> TestClient:
    """A client that shows the token, to an application that may fail."""
    headers = {"Authorization": f"Bearer {token}"}
    return TestClient(app, headers=headers, raise_server_exceptions=False)


def open_client(engine: Engine, home: Path, store_url: str | None = None) -> TestClient:
    """A client of an API of its own, with a token that reads and collects."""
    token = create_token(engine, "ada", ["read", "collect"], "tester")
    # test_limits.py is about limits; fuzzing asks more often than they let
    app = create_app(settings_of(engine, home, store_url), limits=Limits(0, 0))
    return authorized(app, token)


@pytest.fixture(scope="module")
def empty_database(databases: Any, _migrated: str) -> Iterator[Engine]:
    """A migrated database that the tests of a file share; a copy each would take longer than they."""
    engine = databases.make(_migrated)
    yield engine
    databases.drop(engine)


@pytest.fixture(scope="module")
def api(empty_database: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of an API on that database."""
    client = open_client(empty_database, tmp_path_factory.mktemp("api"))
    yield client
    forget(empty_database)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a function that makes a client of an API on a database and a store."""
    opened: list[Engine] = []

    def make(engine: Engine, home: Path, store_url: str) -> TestClient:
        opened.append(engine)
        return open_client(engine, home, store_url)

    yield make
    for engine in opened:
        forget(engine)


def forget(engine: Engine) -> None:
    """Close the connections that an API has to the database."""
    open_database(engine.url.render_as_string(hide_password=False)).dispose()
