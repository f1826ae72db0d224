"""One real stack for the whole session; a fresh migrated database for every test that asks."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from astrid_training.migrate import migrate

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The address of a PostgreSQL in which databases may be made."""
    return os.environ.get(
        "ASTRID_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:54999/postgres"
    )


@pytest.fixture(scope="session")
def _template(postgres_url: str) -> Iterator[tuple[Engine, str]]:
    """A migrated database that others are copied from, which is faster than migrating each."""
    name = f"template_{os.getpid()}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(make_url(postgres_url).set(database=name))
    migrate(engine)
    engine.dispose()
    yield admin, name
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def database(_template: tuple[Engine, str]) -> Iterator[Engine]:
    """An engine on a fresh, migrated, empty database."""
    admin, template = _template
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine = create_engine(admin.url.set(database=name))
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
