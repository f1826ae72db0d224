"""Samples reach training_samples by COPY: all of them, once, with what a reader needs."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from astrid_training import sample_rows
from astrid_training.sample_rows import LABELS, METADATA, insert_samples

DATASET = uuid4()


def add_dataset(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO training_datasets (id, name, collection_params, total_samples, "
                "anomaly_ratio, quality_score, created_by) VALUES (:id, 'd', '{}', 0, 0, 0, 'me')"
            ),
            {"id": DATASET},
        )


def table(count: int, samples: Any) -> pa.Table:
    """Return the samples of a published dataset as publishing has them, sky ones among them."""
    part = samples.slice(0, count).rename_columns({"image_row": "pack_row"})
    nothing = pa.nulls(count, pa.string())
    for name in ("detection_id", "observation_id"):
        part = part.set_column(part.column_names.index(name), name, nothing)
    for name in {*LABELS, *METADATA} - set(part.column_names):
        part = part.append_column(name, nothing)
    return part


@pytest.mark.parametrize("at_once", [7, 4096])
def test_every_row_arrives_once_however_often_it_is_sent(
    database: Engine, published: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("astrid_training.sample_rows.ROWS_AT_ONCE", at_once)
    add_dataset(database)
    samples = table(100, published.samples)

    for part in (samples.slice(0, 60), samples):
        with database.begin() as connection:
            insert_samples(connection, part, DATASET, "file:///store")

    with database.connect() as connection:
        rows = connection.execute(text("SELECT * FROM training_samples ORDER BY sample_key")).all()
    assert [row.sample_key for row in rows] == samples["sample_key"].to_pylist()
    first = samples.slice(0, 1).to_pylist()[0]
    assert (
        rows[0].image_path == f"file:///store/images/{first['image_pack']}.npy#{first['pack_row']}"
    )
    assert rows[0].labels["votes"] == json.loads(first["votes"])
    assert rows[0].metadata["observation_time"] == first["observation_time"].isoformat()
    assert (rows[0].split, rows[0].weight) == (first["split"], first["weight"])


def test_two_datasets_in_one_transaction_do_not_mix(database: Engine, published: Any) -> None:
    add_dataset(database)
    samples = table(10, published.samples)
    with database.begin() as connection:
        for start in (0, 5):
            insert_samples(connection, samples.slice(start, 5), DATASET, "file:///store")

    with database.connect() as connection:
        count = connection.execute(text("SELECT count(*) FROM training_samples")).scalar_one()
    assert count == 10


def test_a_transaction_that_is_rolled_back_leaves_no_row(database: Engine, published: Any) -> None:
    add_dataset(database)
    with database.connect() as connection, connection.begin() as transaction:
        insert_samples(connection, table(10, published.samples), DATASET, "file:///store")
        transaction.rollback()

    with database.connect() as connection:
        assert not connection.execute(text("SELECT count(*) FROM training_samples")).scalar_one()


def test_a_session_that_is_lost_in_the_middle_is_told_as_any_other_statement_would(
    database: Engine, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_dataset(database)
    samples = table(10, published.samples)
    rows = sample_rows.sample_rows(samples, "file:///store")

    with database.connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

        def lost(*_: object) -> Iterator[tuple[Any, ...]]:
            yield next(rows)
            with database.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
            yield from rows

        monkeypatch.setattr("astrid_training.sample_rows.sample_rows", lost)
        with pytest.raises(OperationalError):
            insert_samples(connection, samples, DATASET, "file:///store")
