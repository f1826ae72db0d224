"""Bring a database to this version's schema: numbered files, each in one transaction, each once."""

import re
from dataclasses import dataclass
from importlib.resources import files

from psycopg.errors import LockNotAvailable, UndefinedTable
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from astrid_training.database import check_database, query, unhurried
from astrid_training.digests import digest_bytes

__all__ = ["VERSIONS", "Migration", "MigrationError", "migrate", "migrations"]

LOCK = 0x41535452  # one migrator at a time; the number only has to be ours
LOCK_TIMEOUT = "10s"  # behind a migration that waits for a table, AstrID's own writers wait too
VERSIONS = "training_migrations"
DIRECTIVE = re.compile(r"^-- (only-if-absent|only-after-created): (\S+)")


class MigrationError(RuntimeError):
    """The database's schema and this version's migrations contradict each other."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """The blake2b-256 of the file's text."""
        return digest_bytes(self.sql.encode())


def migrations() -> list[Migration]:
    """Return all migrations in the order of their numbers."""
    folder = files("sql").joinpath("schema")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [
        Migration(
            int(name[:4]), name.removesuffix(".sql"), folder.joinpath(name).read_text("utf-8")
        )
        for name in names
    ]


def migrate(engine: Engine) -> list[tuple[str, str]]:
    """Apply what is missing and return (name, outcome) of each migration.

    Outcome: `applied`, `present` (done before) or `not needed` (the tables are AstrID's own).
    Running it again changes nothing.

    Where the tables are AstrID's own, none of them is altered; the three training tables that it
    may have already get columns and keep every row.

    Raises:
        DatabaseUnavailableError: if PostgreSQL does not answer.
        DatabaseRightsError: if the role may not make or extend tables.
        MigrationError: if an applied file has changed since, the database is newer, lacks tables of
            AstrID's, or is in use just now.
    """
    check_database(engine)
    steps = migrations()
    with engine.begin() as connection, unhurried(connection):
        _lock(connection)  # IF NOT EXISTS does not keep two creators of one table apart
        if not _exists(connection, VERSIONS):  # asking for it again would need the right to make it
            connection.execute(query("migrations_table"))
        _check_not_newer(connection, steps)
    return [(step.name, _apply(engine, step)) for step in steps]


def _lock(connection: Connection) -> None:
    connection.execute(query("migration_lock"), {"lock": LOCK})


def _exists(connection: Connection, table: str) -> bool:
    found = connection.execute(query("migration_table_exists"), {"name": table})
    return bool(found.scalar_one())


def _check_not_newer(connection: Connection, steps: list[Migration]) -> None:
    known = {"known": [step.number for step in steps]}
    unknown = connection.execute(query("migration_unknown"), known).scalars().all()
    if unknown:
        raise MigrationError(
            f"the database is newer than this version, which does not know {', '.join(unknown)}; "
            "install the version of astrid-training that applied it"
        )


def _apply(engine: Engine, step: Migration) -> str:
    with engine.begin() as connection, unhurried(connection):
        _lock(connection)
        done = connection.execute(query("migration_done"), {"number": step.number}).one_or_none()
        if done is not None:
            _check_unchanged(step, done.digest)
            return "present"
        outcome = "applied" if _is_needed(connection, step.sql) else "not needed"
        if outcome == "applied":
            _execute(connection, step)
        connection.execute(
            query("migration_record"),
            {"number": step.number, "name": step.name, "digest": step.digest, "outcome": outcome},
        )
        return outcome


def _execute(connection: Connection, step: Migration) -> None:
    connection.execute(query("migration_lock_timeout"), {"timeout": LOCK_TIMEOUT})
    try:
        connection.exec_driver_sql(step.sql.replace("%", "%%"))
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise MigrationError(
            f"{step.name} was not applied: another session has held a table for {LOCK_TIMEOUT}; "
            "run `astrid-training migrate` again when AstrID is at rest"
        ) from error
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable):
            raise
        cause = str(error.orig).strip().splitlines()[0]
        raise MigrationError(
            f"{step.name} was not applied, for AstrID's tables are not complete here: {cause}; "
            "bring them up to date with AstrID's own migrations, or name another database"
        ) from error


def _check_unchanged(step: Migration, digest: str) -> None:
    if digest != step.digest:
        raise MigrationError(
            f"migration {step.name} was applied with another text; "
            "install the version that applied it, or restore the database from a backup"
        )


def _is_needed(connection: Connection, sql: str) -> bool:
    directive = DIRECTIVE.match(sql)
    if directive is None:
        return True
    kind, argument = directive.groups()
    if kind == "only-if-absent":
        return not _exists(connection, argument)
    created = connection.execute(query("migration_done"), {"number": int(argument)}).one()
    return bool(created.outcome == "applied")
