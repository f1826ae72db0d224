"""Bring a database to this version's schema: numbered files, each in one transaction, each once."""

import re
from dataclasses import dataclass
from importlib.resources import files

from sqlalchemy import Connection, Engine

from astrid_training.database import check_database, query
from astrid_training.digests import digest_bytes

__all__ = ["Migration", "MigrationError", "migrate", "migrations"]

LOCK = 0x41535452  # one migrator at a time; the number only has to be ours
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

    Raises:
        DatabaseUnavailableError: if PostgreSQL does not answer.
        MigrationError: if an applied file has changed since, or the database is newer.
    """
    check_database(engine)
    steps = migrations()
    with engine.begin() as connection:
        _lock(connection)  # IF NOT EXISTS does not keep two creators of one table apart
        connection.execute(query("migrations_table"))
        _check_not_newer(connection, steps)
    return [(step.name, _apply(engine, step)) for step in steps]


def _lock(connection: Connection) -> None:
    connection.execute(query("migration_lock"), {"lock": LOCK})


def _check_not_newer(connection: Connection, steps: list[Migration]) -> None:
    known = {"known": [step.number for step in steps]}
    unknown = connection.execute(query("migration_unknown"), known).scalars().all()
    if unknown:
        raise MigrationError(
            f"the database is newer than this version, which does not know {', '.join(unknown)}; "
            "install the version of astrid-training that applied it"
        )


def _apply(engine: Engine, step: Migration) -> str:
    with engine.begin() as connection:
        _lock(connection)
        done = connection.execute(query("migration_done"), {"number": step.number}).one_or_none()
        if done is not None:
            _check_unchanged(step, done.digest)
            return "present"
        outcome = "applied" if _is_needed(connection, step.sql) else "not needed"
        if outcome == "applied":
            connection.exec_driver_sql(step.sql.replace("%", "%%"))
        connection.execute(
            query("migration_record"),
            {"number": step.number, "name": step.name, "digest": step.digest, "outcome": outcome},
        )
        return outcome


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
        found = connection.execute(query("migration_table_exists"), {"name": argument})
        return not found.scalar_one()
    created = connection.execute(query("migration_done"), {"number": int(argument)}).one()
    return bool(created.outcome == "applied")
