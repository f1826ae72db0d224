"""PostgreSQL through SQLAlchemy Core: one engine a URL, SQL in files."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

from psycopg.errors import UndefinedColumn, UndefinedTable
from sqlalchemy import Connection, Engine, TextClause, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from astrid_training.errors import DatabaseUnavailableError
from astrid_training.urls import mask_url

__all__ = ["check_database", "open_database", "query", "reading"]

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 300_000  # a statement that takes longer is lost, not slow


@cache
def open_database(url: str) -> Engine:
    """Return the engine of `url`; one pool per process and URL, sessions in UTC."""
    return create_engine(
        url,
        pool_pre_ping=True,  # a restarted server costs one lost connection, not a failed run
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
            "application_name": "astrid-training",
        },
    )


@cache
def query(name: str) -> TextClause:
    """Return the statement in `sql/queries/<name>.sql`, its parameters named `:like_this`."""
    return text(files("sql").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8"))


def check_database(engine: Engine) -> None:
    """Return if the database answers.

    Raises:
        DatabaseUnavailableError: with the cause, and where the URL can be set.
    """
    try:
        with engine.connect() as connection:
            connection.execute(query("database_ping"))
    except OperationalError as error:
        cause = str(error.orig).strip().splitlines()[0]
        where = _shown(engine)
        raise DatabaseUnavailableError(
            f"no database at {where}: {cause}; start it with `astrid-training up` "
            "or set ASTRID_DATABASE_URL"
        ) from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give the block a connection to a database that answers and has our tables.

    Raises:
        DatabaseUnavailableError: if it does not answer, or lacks what the block asks for.
    """
    check_database(engine)
    try:
        with engine.connect() as connection:
            yield connection
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable | UndefinedColumn):
            raise
        cause = str(error.orig).strip().splitlines()[0]
        raise DatabaseUnavailableError(
            f"the database at {_shown(engine)} lacks this version's tables: {cause}; "
            "run `astrid-training migrate`"
        ) from error


def _shown(engine: Engine) -> str:
    return mask_url(engine.url.render_as_string(hide_password=True))
