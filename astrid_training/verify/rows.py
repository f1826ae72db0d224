"""The rows of training_samples and training_rejects against the table of samples and the funnel."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.records import TrainingDataset
from astrid_training.sample_rows import COLUMNS, sample_rows
from astrid_training.verify.findings import Finding, gathered

__all__ = ["check_rejects", "check_rows"]

ROWS_AT_ONCE = 4096
REWRITE = "`astrid-training verify --repair` writes them again from the table of samples"
FROM_BACKUP = "restore training_rejects from a backup of the database"
JSON, PATHS = ("labels", "metadata"), ("image_path", "mask_path")

Values = dict[str, Any]


def check_rows(
    connection: Connection, dataset: TrainingDataset, samples: pa.Table, where: str
) -> Iterator[Finding]:
    """Yield the rows of training_samples that are missing, are no sample's, or say something else."""
    missing, extra, edited = [], [], []
    for expected, found in _side_by_side(_expected(samples), _stored(connection, dataset)):
        if expected is None:
            extra.append((found and found["sample_key"]) or "a row without a key")
        elif found is None:
            missing.append(expected["sample_key"])
        elif changed := [name for name in COLUMNS if expected[name] != found[name]]:
            edited.append(f"{expected['sample_key']} ({', '.join(changed)})")
    for what, names in (("missing", missing), ("of no sample", extra), ("edited", edited)):
        yield from gathered(
            "sample_rows", where, f"rows of training_samples {what}", names, REWRITE
        )


def _expected(samples: pa.Table) -> Iterator[Values]:
    for row in sample_rows(samples.rename_columns({"image_row": "pack_row"}), ""):
        yield _comparable(dict(zip(COLUMNS, row, strict=True)))


def _stored(connection: Connection, dataset: TrainingDataset) -> Iterator[Values]:
    asked = connection.execution_options(yield_per=ROWS_AT_ONCE)
    for row in asked.execute(query("verify_samples"), {"dataset_id": dataset.id}).mappings():
        yield _comparable(dict(row))


def _comparable(row: Values) -> Values:
    """Return the row as it compares: numbers as the database writes them, paths without the store."""
    for name in JSON:
        row[name] = row[name] and json.loads(row[name], parse_int=float)
    for name in PATHS:
        row[name] = "/".join((row[name] or "").rsplit("/", 2)[-2:])
    return row


def _side_by_side(
    expected: Iterable[Values], found: Iterable[Values]
) -> Iterator[tuple[Values | None, Values | None]]:
    """Yield rows of the same key together, and alone those that the other side lacks.

    Args:
        expected: in the order of keys, each once.
        found: in the order of keys, those without a key last.
    """
    theirs = iter(found)
    other = next(theirs, None)
    for mine in expected:
        while other is not None and _before(other, mine):
            yield None, other
            other = next(theirs, None)
        if other is not None and other["sample_key"] == mine["sample_key"]:
            yield mine, other
            other = next(theirs, None)
        else:
            yield mine, None
    while other is not None:
        yield None, other
        other = next(theirs, None)


def _before(other: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    return other["sample_key"] is not None and bool(other["sample_key"] < mine["sample_key"])


def check_rejects(
    connection: Connection, dataset: TrainingDataset, where: str
) -> Iterator[Finding]:
    """Yield what of the funnel the samples and rejects do not add up to."""
    one = {"dataset_id": dataset.id}
    drops = Counter(
        {
            (row.step, row.reason): row.rejects
            for row in connection.execute(query("verify_rejects"), one)
        }
    )
    told = Counter({(one.step, one.reason): one.count for one in dataset.funnel[1:-1]})
    for step, reason in sorted(drops.keys() | told.keys()):
        here, there = drops[step, reason], told[step, reason]
        if here != there:
            problem = f"{reason} of {step}: {here} rejects in the database, {there} in its funnel"
            yield Finding("rejects", where, problem, FROM_BACKUP)
    selected, left = dataset.funnel[0].count, sum(told.values()) + dataset.funnel[-1].count
    if selected != left:
        problem = f"its funnel does not add up: {selected} selected, {left} dropped or kept"
        yield Finding("rejects", where, problem, "restore its row from a backup of the database")
    both = connection.execute(query("verify_kept_and_rejected"), one).scalars()
    yield from gathered("rejects", where, "samples that are kept and rejected", both, FROM_BACKUP)
