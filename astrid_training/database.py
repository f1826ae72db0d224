"""PostgreSQL through SQLAlchemy Core: one engine a URL, SQL in files."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pcsv
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
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from astrid_training.answers import ANSWER_S, AnsweringConnection, connect
from astrid_training.errors import DatabaseRightsError, DatabaseUnavailableError
from astrid_training.urls import mask_url

__all__ = [
    "check_database",
    "failing_as_execute",
    "fetch_table",
    "open_database",
    "query",
    "reading",
    "unhurried",
]

STATEMENT_TIMEOUT_MS = 300_000  # a statement that takes longer is lost, not slow
IDLE_TIMEOUT_MS = 900_000  # a store is waited for within a transaction, for minutes
SESSION = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
    f"-c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}",  # it would hold its locks for ever
    "-c jit=off",  # compiling took 0.65 s of the 1.7 s in which all reviews were fetched
)
STATEMENT_LIMIT = re.compile(r"statement_timeout=(\d+)([a-z]*)")
SOCKET = {
    "connect_timeout": 10,
    "keepalives_idle": 30,  # a machine that has gone is noticed in a minute, not in two hours
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # ms: so long what was sent may stay without a sign of arrival
}
POOL = {
    "pool_size": 5,
    "max_overflow": 3,  # eight a process: a dozen of processes fit into PostgreSQL's usual hundred
    "pool_timeout": 60,
}


@cache
def open_database(url: str) -> Engine:
    """Return the engine of `url`; one pool per process and URL, sessions in UTC.

    The URL's own options, such as a search_path or a connect_timeout, hold beside ours and win over
    them. What the role may not do raises `DatabaseRightsError`.
    """
    theirs = make_url(url).query
    given = theirs.get("options", ())
    options = [*SESSION, *([given] if isinstance(given, str) else given), "-c timezone=UTC"]
    ours = {name: value for name, value in SOCKET.items() if name not in theirs}
    named = {"application_name": "astrid-training", "options": " ".join(options)}
    engine = create_engine(url, connect_args=ours | named, pool_pre_ping=True, **POOL)
    answer_s = _answer_s(options)
    event.listen(engine, "do_connect", lambda *given: connect(answer_s, *given[2], **given[3]))
    event.listen(engine, "handle_error", _explain_refusal)
    return engine


def _answer_s(options: list[str]) -> float | None:
    """Return how long an answer is waited for: longer than the server lets a statement run."""
    *_, (limit, unit) = STATEMENT_LIMIT.findall(" ".join(options))
    if limit == "0" or unit not in {"", "ms"}:  # its owner knows how long
        return None
    return ANSWER_S + (int(limit) - STATEMENT_TIMEOUT_MS) / 1000


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """Let the statements of the block's transaction take as long as they take.

    For migrations and indexes, whose time is the tables'. Outside a transaction: those of the session.
    """
    session = connection.connection.dbapi_connection
    in_transaction = connection.get_isolation_level() != "AUTOCOMMIT"
    connection.execute(query("statement_no_timeout"), {"in_transaction": in_transaction})
    before = getattr(session, "answer_s", None)
    if isinstance(session, AnsweringConnection):
        session.answer_s = None
    try:
        yield
    finally:
        if isinstance(session, AnsweringConnection):
            session.answer_s = before


def _explain_refusal(context: ExceptionContext) -> None:
    """Say who may do what was refused, whatever statement it was.

    Raises:
        DatabaseRightsError: if the server refused for lack of rights.
    """
    error = context.original_exception
    if context.engine is not None and isinstance(error, InsufficientPrivilege):
        raise _refusal(context.engine, error) from error


def _refusal(engine: Engine, error: InsufficientPrivilege) -> DatabaseRightsError:
    cause = str(error).strip().splitlines()[0]
    return DatabaseRightsError(
        f"the role {engine.url.username} may not do this in the database at "
        f"{_shown(engine)}: {cause}; let the owner of AstrID's tables do it; "
        "sql/roles/astrid_training.sql gives a role what collecting needs"
    )


@cache
def query(name: str) -> TextClause:
    """Return the statement in `sql/queries/<name>.sql`, its parameters named `:like_this`."""
    return text(files("sql").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8"))


@contextmanager
def failing_as_execute(connection: Connection, statement: str) -> Iterator[None]:
    """Let what fails in the block, by the driver alone, fail as `connection.execute` would.

    By these errors steps know what is worth another attempt.

    Raises:
        DatabaseRightsError: if the role may not do it.
        DBAPIError: for all else that the driver raises.
    """
    try:
        yield
    except InsufficientPrivilege as error:
        raise _refusal(connection.engine, error) from error
    except psycopg.Error as error:
        is_lost = bool(getattr(connection.connection.dbapi_connection, "closed", False))
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, connection_invalidated=is_lost
        ) from error


def fetch_table(
    connection: Connection, name: str, values: Mapping[str, Any], schema: pa.Schema
) -> pa.Table:
    """Return what the statement `name` copies out as CSV with a header, in the columns of `schema`.

    Ten times as fast as row objects, which is what makes it worth having beside `execute`.

    Args:
        connection: whose transaction the statement is part of.
        name: of a file in `sql/queries` of the form COPY (...) TO STDOUT (FORMAT csv, HEADER).
        values: its parameters.
        schema: names and types of the columns that are wanted.

    Raises:
        DatabaseRightsError: if the role may not read a table.
    """
    statement = str(query(name).compile(dialect=connection.dialect))
    with (
        failing_as_execute(connection, statement),
        closing(connection.connection.cursor()) as cursor,
        cursor.copy(statement, dict(values)) as copy,
    ):
        data = b"".join(copy)
    return pcsv.read_csv(
        pa.BufferReader(data),
        read_options=pcsv.ReadOptions(use_threads=False),
        parse_options=pcsv.ParseOptions(newlines_in_values=True),
        convert_options=pcsv.ConvertOptions(
            column_types=schema,
            include_columns=schema.names,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # an empty text is no NULL
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
        ),
    )


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
