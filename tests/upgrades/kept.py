"""What an earlier version left: all rows of its database, and its store, as files of the repository.

`format_1/rows.json.gz` holds table -> rows as PostgreSQL writes them as JSON; `format_1/store` the
objects that they name, but for the survey's own files, which the simulator makes again;
`format_1/expected.json` what a loader must make of it.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from astrid_training.dataset import TrainingSplits
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import Store

__all__ = [
    "EXPECTED",
    "FOLDER",
    "PLAN",
    "ROWS",
    "dump_rows",
    "fill",
    "make_sources",
    "rows_of",
    "tensors_digest",
]

FOLDER = Path(__file__).with_name("format_1")
EXPECTED = FOLDER / "expected.json"
PLAN = SkyPlan(
    survey="sim_kept",
    seed=16,
    fields=2,
    epochs=3,
    frame_size=(160, 176),
    stars=20,
    galaxies=6,
    saturated_stars=1,
    transients=2,
    variables=2,
    asteroids=2,
    artifacts=2,
)
Rows = dict[str, list[dict[str, Any]]]

TABLES = """
SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1
"""
COLUMNS = """
SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped
AND attgenerated = '' ORDER BY attnum
"""
IDENTITY = """
SELECT setval(pg_get_serial_sequence(:name, attname), 1000000) FROM pg_attribute
WHERE attrelid = to_regclass(:name) AND attidentity <> ''
"""


def kept_rows() -> Rows:
    """Return the rows of each table as they were kept."""
    rows: Rows = json.loads(gzip.decompress((FOLDER / "rows.json.gz").read_bytes()))
    return rows


ROWS = kept_rows() if (FOLDER / "rows.json.gz").exists() else {}


def dump_rows(engine: Engine) -> Rows:
    """Return all rows of all tables but the list of migrations."""
    with engine.connect() as connection:
        names = [name for name in connection.execute(text(TABLES)).scalars() if _is_kept(name)]
        return {name: rows_of(connection, name) for name in names}


def _is_kept(name: str) -> bool:
    return name != "training_migrations"


def rows_of(
    connection: Connection, table: str, columns: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Return a table's rows, or of these columns alone, sorted."""
    named = ", ".join(f'"{column}"' for column in columns) or "*"
    found = connection.execute(
        text(f"SELECT to_jsonb(t) FROM (SELECT {named} FROM {table}) AS t")
    ).scalars()
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))


def fill(engine: Engine) -> dict[str, list[str]]:
    """Insert the kept rows into the tables that there are, and return the columns that they filled.

    What a later migration has added to a table is left out, as a version before it left it out.
    """
    filled = {}
    with engine.begin() as connection:
        # rows come as they lay there: in any order, and without what triggers would add
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        names = set(connection.execute(text(TABLES)).scalars())
        for table, rows in ROWS.items():
            if table not in names or not rows:
                continue
            there = connection.execute(text(COLUMNS), {"name": table}).scalars()
            columns = [column for column in there if column in rows[0]]
            named = ", ".join(f'"{column}"' for column in columns)
            connection.execute(
                text(
                    f"INSERT INTO {table} ({named}) OVERRIDING SYSTEM VALUE "
                    f"SELECT {named} FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb))"
                ),
                {"rows": json.dumps(rows)},
            )
            connection.execute(text(IDENTITY), {"name": table})
            filled[table] = columns
    return filled


def make_sources(engine: Engine, store: Store, truth: Path) -> None:
    """Make the survey's files again; the rows are made in a transaction that is given up."""

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    with engine.connect() as connection:
        simulate(PLAN, connection, put, truth)
        connection.rollback()


def tensors_digest(splits: TrainingSplits) -> dict[str, str]:
    """Return split -> digest of all that a training sees of it, in order."""
    return {
        name: _digest(split) for name, split in zip(("train", "val", "test"), splits, strict=True)
    }


def _digest(split: Any) -> str:
    total = hashlib.blake2b(digest_size=32)
    for index in range(len(split)):
        for tensor in split[index]:
            array = np.asarray(tensor)
            total.update(f"{array.dtype} {array.shape}".encode())
            total.update(array.tobytes())
    return total.hexdigest()
