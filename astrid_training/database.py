"""PostgreSQL through SQLAlchemy Core: one engine a URL, SQL in files."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    TextClause,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import OperationalError, ProgrammingError

from astrid_training.errors import DatabaseRightsError, DatabaseUnavailableError
from astrid_training.urls import mask_url

__all__ = ["check_database", "open_database", "query", "reading"]

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_MS = 300_000  # a statement that takes longer is lost, not slow
SESSION = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
    "-c jit=off",  # compiling took 0.65 s of the 1.7 s in which all reviews were fetched
)


@cache
def open_database(url: str) -> Engine:
    """Return the engine of `url`; one pool per process and URL, sessions in UTC.

    The URL's own `options`, such as a search_path, hold beside ours and win over them. What the
    role may not do raises `DatabaseRightsError`.
    """
    theirs = make_url(url).query.get("options", ())
    options = [*SESSION, *([theirs] if isinstance(theirs, str) else theirs), "-c timezone=UTC"]
    engine = create_engine(
        url,
        pool_pre_ping=True,  # a restarted server costs one lost connection, not a failed run
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": " ".join(options),
            "application_name": "astrid-training",
        },
    )
    event.listen(engine, "handle_error", _explain_refusal)
    return engine


def _explain_refusal(context: ExceptionContext) -> None:
    """Say who may do what was refused, whatever statement it was.

    Raises:
        DatabaseRightsError: if the server refused for lack of rights.
    """
    error = context.original_exception
    if context.engine is None or not isinstance(error, InsufficientPrivilege):
        return
    cause = str(error).strip().splitlines()[0]
    raise DatabaseRightsError(
        f"the role {context.engine.url.username} may not do this in the database at "
        f"{_shown(context.engine)}: {cause}; let the owner of AstrID's tables do it; "
        "sql/roles/astrid_training.sql gives a role what collecting needs"
    ) from error


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
