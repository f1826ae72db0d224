"""A dataset's samples as rows of training_samples, by COPY: a row a sample, however many there are."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pyarrow as pa
from psycopg import Connection as Psycopg
from sqlalchemy import Connection

from astrid_training.database import failing_as_execute, query
from astrid_training.digests import canonical_json

__all__ = ["COLUMNS", "LABELS", "METADATA", "insert_samples", "sample_rows", "stage_samples"]

ROWS_AT_ONCE = 4096  # as Python objects
COLUMNS = (
    "observation_id",
    "detection_id",
    "image_path",
    "mask_path",
    "labels",
    "metadata",
    "sample_key",
    "split",
    "weight",
    "group_key",
)
"""Of training_samples, in the order of samples_copy.sql."""
# what stands in the JSON columns of the same names, beside the votes
LABELS = (
    "anomaly_type",
    "is_anomaly",
    "confidence",
    "p_real",
    "tier",
    "label_source",
    "n_votes",
    "n_validators",
    "agreement",
    "selected_for",
)
METADATA = (
    "survey",
    "band",
    "observation_time",
    "ra_deg",
    "dec_deg",
    "x",
    "y",
    "fwhm_px",
    "fwhm_source",
    "mask_flags",
    "quality_score",
    "source_kind",
    "science_kind",
    "reference_kind",
    "difference_kind",
    "diff_sign",
    "model_score",
    "science_path",
    "reference_path",
    "difference_path",
)

Row = Mapping[str, Any]


def insert_samples(
    connection: Connection, samples: pa.Table, dataset_id: UUID, store_url: str
) -> None:
    """Add the samples of a dataset; those that are there already stay as they are.

    They are copied into a temporary table and inserted from there, so that neither this process nor
    one statement holds them all.

    Args:
        connection: of the publishing transaction.
        samples: one row a sample.
        dataset_id: whose they are.
        store_url: where packs lie.
    """
    stage_samples(connection, samples, store_url)
    connection.execute(query("samples_add"), {"dataset_id": dataset_id})
    connection.execute(query("samples_unstage"))


def stage_samples(connection: Connection, samples: pa.Table, store_url: str) -> None:
    """Copy the samples into the temporary table training_samples_staged of this transaction."""
    connection.execute(query("samples_stage"))
    raw = connection.connection.driver_connection
    if not isinstance(raw, Psycopg):
        raise TypeError(
            f"COPY needs psycopg, not {type(raw).__name__}; use a postgresql+psycopg URL"
        )
    statement = query("samples_copy").text
    with failing_as_execute(connection, statement), raw.cursor().copy(statement) as copy:
        for values in sample_rows(samples, store_url):
            copy.write_row(values)


def sample_rows(samples: pa.Table, store_url: str) -> Iterator[tuple[Any, ...]]:
    """Yield the `COLUMNS` of each sample, JSON as text."""
    for batch in samples.to_batches(max_chunksize=ROWS_AT_ONCE):
        for row in batch.to_pylist():
            labels = _json(row, LABELS, subject=row["sample_key"])
            yield (
                row["observation_id"],
                row["detection_id"],
                f"{store_url}/images/{row['image_pack']}.npy#{row['pack_row']}",
                f"{store_url}/masks/{row['mask_pack']}.npy#{row['mask_row']}",
                f'{labels[:-1]},"votes":{row["votes"]}}}',  # they are JSON already
                _json(row, METADATA),
                row["sample_key"],
                row["split"],
                row["weight"],
                row["group_key"],
            )


def _json(row: Row, columns: tuple[str, ...], **more: object) -> str:
    values = {name: row[name] for name in columns} | more
    if "observation_time" in values:
        values["observation_time"] = values["observation_time"].isoformat()
    return canonical_json(values).decode()
