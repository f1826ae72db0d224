"""Indexes on AstrID's own tables that make a collection faster: offered, never made unasked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from astrid_training.database import query, unhurried
from astrid_training.migrate import MigrationError

__all__ = [
    "IndexState",
    "OptionalIndex",
    "build_indexes",
    "index_states",
    "index_warnings",
    "optional_indexes",
]

LOCK = 0x41535453  # one builder at a time; the number only has to be ours
LARGE_ROWS = 100_000
"""Of a table that is no longer read from end to end without anybody noticing."""
PLACE = re.compile(r"\bON (\w+) \((\w+)\)")


@dataclass(frozen=True, slots=True)
class OptionalIndex:
    """One file of `sql/optional_indexes`, and the file that removes what a failed build left."""

    name: str
    table: str
    column: str
    purpose: str
    create: str
    """The statement that makes it, without locking out AstrID's writers."""
    drop: str


@dataclass(frozen=True, slots=True)
class IndexState:
    """Whether the database has an index that serves."""

    index: OptionalIndex
    state: str
    """present (under whatever name), building, broken (a build failed) or absent."""

    @property
    def cure(self) -> str:
        """The SQL that makes it, for the owner of the table."""
        statements = (
            [self.index.drop, self.index.create] if self.state == "broken" else [self.index.create]
        )
        return " ".join(f"{statement};" for statement in statements)


def optional_indexes() -> list[OptionalIndex]:
    """Return all optional indexes by name."""
    folder = files("sql").joinpath("optional_indexes")
    names = {entry.name.partition(".")[0] for entry in folder.iterdir() if ".sql" in entry.name}
    return [_read(name) for name in sorted(names)]


def _read(name: str) -> OptionalIndex:
    folder = files("sql").joinpath("optional_indexes")
    (purpose, create), (_, drop) = (
        folder.joinpath(f"{name}{suffix}").read_text("utf-8").removeprefix("-- ").split("\n", 1)
        for suffix in (".sql", ".drop.sql")
    )
    place = PLACE.search(create)
    if place is None:
        raise ValueError(f"{name}.sql makes no index ON table (column); correct it")
    return OptionalIndex(name, place[1], place[2], purpose, create.strip(), drop.strip())


def index_states(connection: Connection) -> list[IndexState]:
    """Return each optional index and whether it is there; any whole index on its column counts."""
    return [IndexState(index, _state(connection, index)) for index in optional_indexes()]


def index_warnings(connection: Connection, least_rows: int = LARGE_ROWS) -> list[str]:
    """Return a sentence for each large table that each collection reads whole for want of an index."""
    lacking = [one.index for one in index_states(connection) if one.state in {"absent", "broken"}]
    rows = {one.table: _rows(connection, one.table) for one in lacking}
    return [
        f"{one.table} has about {rows[one.table]:,} rows and no index on {one.column}, so each "
        "collection reads all of it; let its owner run `astrid-training migrate --with-indexes`"
        for one in lacking
        if rows[one.table] >= least_rows
    ]


def _rows(connection: Connection, table: str) -> int:
    return int(connection.execute(query("table_rows"), {"table": table}).scalar_one())


def _state(connection: Connection, index: OptionalIndex) -> str:
    place = {"table": index.table, "column": index.column}
    found = connection.execute(query("optional_index_state"), place).one_or_none()
    if found is None or (found.state == "broken" and found.name != index.name):
        return "absent"  # what is broken under another name is not ours to remove
    return str(found.state)


def build_indexes(engine: Engine) -> list[tuple[str, str]]:
    """Make the optional indexes that are missing and return (name, outcome) of each.

    Outcome: `built`, `present`, or `building` (another session is at it). AstrID goes on reading
    and writing meanwhile. What a failed build left is removed first.

    Raises:
        DatabaseRightsError: if the role does not own the tables.
        MigrationError: if a build fails, or another process builds them.
    """
    with _builder(engine) as connection:
        return [(one.index.name, _build(connection, one)) for one in index_states(connection)]


@contextmanager
def _builder(engine: Engine) -> Iterator[Connection]:
    """Give the block a session of its own, outside transactions and without a time limit."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # so that lock and settings end with it
        # not waiting: a session that waits holds up the very build that it waits for
        if not connection.execute(query("optional_index_lock"), {"lock": LOCK}).scalar_one():
            raise MigrationError("another process builds the indexes; wait until it has ended")
        with unhurried(connection):
            yield connection


def _build(connection: Connection, one: IndexState) -> str:
    if one.state in {"present", "building"}:
        return one.state
    try:
        if one.state == "broken":
            connection.execute(text(one.index.drop))
        connection.execute(text(one.index.create))
    except DBAPIError as error:
        raise MigrationError(_failure(one, str(error.orig).strip().splitlines()[0])) from error
    if _state(connection, one.index) != "present":
        raise MigrationError(_failure(one, "an index of this name lies on other columns"))
    return "built"


def _failure(one: IndexState, cause: str) -> str:
    return (
        f"index {one.index.name} was not built: {cause}; "
        "mend that and run `astrid-training migrate --with-indexes` again"
    )
