"""PostgreSQL through SQLAlchemy Core: one engine a URL, SQL in files."""

from functools import cache
from importlib.resources import files

from sqlalchemy import Engine, TextClause, create_engine, text
from sqlalchemy.exc import OperationalError

from astrid_training.errors import DatabaseUnavailableError

__all__ = ["check_database", "open_database", "query"]

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
            connection.execute(text("SELECT 1"))
    except OperationalError as error:
        cause = str(error.orig).strip().splitlines()[0]
        where = engine.url.render_as_string(hide_password=True)
        raise DatabaseUnavailableError(
            f"no database at {where}: {cause}; start it with `astrid-training up` "
            "or set ASTRID_DATABASE_URL"
        ) from error
