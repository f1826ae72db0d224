"""Samples into training_samples: our COPY, and the same rows through SQLAlchemy's ORM.

Needs a PostgreSQL; one is started for the time of the benchmark.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
from sqlalchemy import Engine, MetaData, Table, text
from sqlalchemy.orm import Session, registry

from astrid_training.digests import sample_key
from astrid_training.sample_rows import LABELS, METADATA, insert_samples
from benchmarks.database import database
from benchmarks.rows import Row, at_least
from benchmarks.timing import interleave

SAMPLES = 20_000
URL = "file:///store"


def make_samples() -> pa.Table:
    vote = {"event_id": str(UUID(int=5)), "validator": "ada", "is_valid": True, "state": "counts"}
    row: dict[str, Any] = dict.fromkeys(
        ("anomaly_type", "tier", "label_source", "survey", "band", "fwhm_source", "source_kind")
    )
    numbers = ("confidence", "p_real", "ra_deg", "dec_deg", "x", "y", "fwhm_px", "quality_score")
    row |= dict.fromkeys(numbers, 0.5)
    row |= dict.fromkeys(("n_votes", "n_validators", "diff_sign", "pack_row", "mask_row"), 1)
    row |= {f"{role}_path": f"raw/{role}.fits" for role in ("science", "reference", "difference")}
    row |= {"is_anomaly": True, "model_score": None, "votes": json.dumps([vote] * 3)}
    row |= {"observation_id": None, "detection_id": None, "split": "train", "weight": 1.0}
    row |= {"observation_time": datetime(2024, 1, 1, tzinfo=UTC), "group_key": "10.00000+20.00000"}
    row |= dict.fromkeys({*LABELS, *METADATA} - row.keys())
    row |= {"image_pack": "a" * 64, "mask_pack": "b" * 64}
    rows = [row | {"sample_key": sample_key("det", str(number))} for number in range(SAMPLES)]
    return pa.Table.from_pylist(rows)


def report() -> list[Row]:
    """Return the rows of the table of results."""
    samples = make_samples()
    with database() as engine:
        dataset = add_dataset(engine)
        table = Table("training_samples", MetaData(), autoload_with=engine)

        class Sample:
            pass

        registry().map_imperatively(Sample, table)

        def copy() -> None:
            with engine.connect() as connection, connection.begin() as transaction:
                insert_samples(connection, samples, dataset, URL)
                transaction.rollback()  # each round finds the table empty

        def orm() -> None:
            with engine.connect() as connection, connection.begin() as transaction:
                session = Session(connection)
                session.add_all(_objects(Sample, samples, dataset))
                session.flush()
                transaction.rollback()

        times = interleave({"copy": copy, "orm": orm})
    ours, peer = (SAMPLES / times[side].wall_s for side in ("copy", "orm"))
    return [
        Row(
            f"{SAMPLES:,} samples into PostgreSQL, idempotent, JSON made on the way",
            f"{ours:,.0f} rows/s of wall",
            f"SQLAlchemy's ORM {peer:,.0f}",
            ours / peer,
            at_least(ours / peer, 4),
        )
    ]


def add_dataset(engine: Engine) -> UUID:
    """Add a row to training_datasets and return its id."""
    dataset = uuid4()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO training_datasets (id, name, collection_params, total_samples, "
                "anomaly_ratio, quality_score, created_by) VALUES (:id, 'd', '{}', 0, 0, 0, '')"
            ),
            {"id": dataset},
        )
    return dataset


def _objects(kind: type, samples: pa.Table, dataset: UUID) -> Iterator[Any]:
    for row in samples.to_pylist():
        one = kind()
        one.id, one.dataset_id = uuid4(), dataset
        one.image_path = f"{URL}/images/{row['image_pack']}.npy#{row['pack_row']}"
        one.mask_path = f"{URL}/masks/{row['mask_pack']}.npy#{row['mask_row']}"
        votes = json.loads(row["votes"])
        one.labels = {name: row[name] for name in LABELS} | {"votes": votes}
        one.metadata = {name: row[name] for name in METADATA if name != "observation_time"}
        for name in ("sample_key", "split", "weight", "group_key"):
            setattr(one, name, row[name])
        yield one
