"""10,000 reviewed detections with their votes out of a million, 1,500,000 reviews in all.

A selection's two statements over a range of dates that holds a hundredth of the observations, in
a database with the optional indexes of `astrid-training migrate --with-indexes`.
Beside them the physical limit: the same CSV copied out of tables that hold nothing else.
"""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from sqlalchemy import Connection, text

from astrid_training.optional_indexes import build_indexes
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.scope import Scope, fetch_scope
from benchmarks.database import database
from benchmarks.rows import Row, at_most
from benchmarks.timing import Timing, interleave

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2024, 6, 1, tzinfo=UTC)
RANGE = (START, START + timedelta(minutes=5 * 1000))
PARAMS = TrainingDataCollectionParams(survey_ids=["sim_ztf"], date_range=RANGE)
GOAL_S = 0.5


def fetch() -> tuple[Timing, Timing, Scope]:
    """Return what the statements take, what the bare copy takes, and what was fetched."""
    with database("events.sql") as engine:
        build_indexes(engine)
        with engine.connect() as connection:
            scope = fetch_scope(connection, PARAMS, AS_OF)
            _hold(connection, scope)
            times = interleave(
                {
                    "fetch": lambda: fetch_scope(connection, PARAMS, AS_OF),
                    "copy": lambda: _copy(connection),
                }
            )
    return times["fetch"], times["copy"], scope


def _hold(connection: Connection, scope: Scope) -> None:
    """Put the rows into temporary tables of plain columns."""
    for name, table in (("held_detections", scope.detections), ("held_reviews", scope.reviews)):
        columns = ", ".join(f"{column} text" for column in table.column_names)
        connection.execute(text(f"CREATE TEMPORARY TABLE {name} ({columns})"))
        rows = zip(*(column.cast(pa.string()).to_pylist() for column in table), strict=True)
        with (
            closing(connection.connection.cursor()) as cursor,
            cursor.copy(f"COPY {name} FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)


def _copy(connection: Connection) -> None:
    for name in ("held_detections", "held_reviews"):
        with (
            closing(connection.connection.cursor()) as cursor,
            cursor.copy(f"COPY {name} TO STDOUT (FORMAT csv, HEADER)") as copy,
        ):
            b"".join(copy)


def report() -> list[Row]:
    """Return the rows of the table of results."""
    ours, limit, scope = fetch()
    took = ours.wall_s
    return [
        Row(
            f"{scope.detections.num_rows:,} of 1,000,000 detections with {scope.reviews.num_rows:,} "
            "of 1,500,000 reviews, a statement each",
            f"{took:.2f} s of wall",
            f"the same rows out of tables of their own {limit.wall_s:.2f} s",
            took / limit.wall_s,
            at_most(took, GOAL_S, "s"),
        )
    ]
