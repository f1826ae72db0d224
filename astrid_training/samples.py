"""The table of a dataset's samples: one Parquet object, one row a sample, sorted by sample_key."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.errors import StoreCorruptError
from astrid_training.packs import read_table
from astrid_training.store import Store

__all__ = ["COLUMNS", "SCHEMA", "SPLITS", "Column", "class_names", "columns_page", "read_samples"]

SPLITS = ("train", "val", "test")
"""Those a model may see, in this order; `quarantine` rows stay in the table and out of the loader."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table and what stands in it."""

    name: str
    type: pa.DataType
    meaning: str


COLUMNS = (
    Column("sample_key", pa.string(), "lasting name of the sample, 32 hex digits"),
    Column("split", pa.string(), "train, val, test or quarantine"),
    Column("image_pack", pa.string(), "digest: stamps lie in `images/<digest>.npy`"),
    Column("flag_pack", pa.string(), "digest: pixel flags lie in `flags/<digest>.npy`"),
    Column("mask_pack", pa.string(), "digest: masks lie in `masks/<digest>.npy`"),
    Column(
        "significance_pack",
        pa.string(),
        "digest: how far pixels of the difference stand out, `significance/<digest>.npy`",
    ),
    Column("image_row", pa.int32(), "0-based row of the image, flag and significance packs"),
    Column("mask_row", pa.int32(), "0-based row of the mask pack"),
    Column("is_anomaly", pa.bool_(), "people decided that it is real"),
    Column(
        "anomaly_type", pa.string(), "class of a real, artifact class of a rejected; may be NULL"
    ),
    Column(
        "label_source",
        pa.string(),
        "who labelled it: human, machine where no person did, injected, or sky",
    ),
    Column("p_real", pa.float64(), "posterior probability of being real, from the reviews alone"),
    Column("confidence", pa.float64(), "max(p_real, 1 - p_real)"),
    Column("weight", pa.float64(), "2 x confidence - 1, the sample's weight in a loss"),
    Column("tier", pa.string(), "gold or silver; sky for places without a detection"),
    Column("n_votes", pa.int32(), "reviews that count"),
    Column("n_validators", pa.int32(), "people behind them"),
    Column("agreement", pa.float64(), "share of their pairs that agree; NULL with fewer than two"),
    Column("votes", pa.string(), "the reviews, a JSON list, each with what became of it"),
    Column(
        "selected_for",
        pa.string(),
        "why it is in: queue or random_audit where its reviews say so; else score_cut where "
        "min_model_score chose, stratified where max_samples did, all where neither",
    ),
    Column("program_id", pa.string(), "whose data they are; 1 or NULL is anybody's"),
    Column("proprietary_until", pa.string(), "when they become public; NULL where nothing is told"),
    Column("group_key", pa.string(), "sky group; all its samples share one split"),
    Column("detection_id", pa.string(), "earliest detection of the subject, UUID; NULL for sky"),
    Column("observation_id", pa.string(), "its observation, UUID"),
    Column("survey", pa.string(), "as in AstrID's surveys table"),
    Column("band", pa.string(), "filter, the survey's own name"),
    Column("observation_time", pa.timestamp("us", "UTC"), "start of the observation"),
    Column("ra_deg", pa.float64(), "right ascension, degrees"),
    Column("dec_deg", pa.float64(), "declination, degrees"),
    Column("x", pa.float64(), "column of the target in the stored stamp, 0-based pixels"),
    Column("y", pa.float64(), "row of the target in the stored stamp, 0-based pixels"),
    Column("fwhm_px", pa.float64(), "full width at half maximum of the PSF, pixels"),
    Column("fwhm_source", pa.string(), "where that width comes from"),
    Column(
        "mask_flags",
        pa.string(),
        "what to know of the mask: no_wcs, wcs_pixel_mismatch, few_stars, science_mask",
    ),
    Column("pixel_scale", pa.float64(), "arcseconds per pixel"),
    Column("zero_point", pa.float64(), "magnitude of one count; NULL where unknown"),
    Column("diff_sign", pa.int64(), "+1, or -1 where the survey stored reference minus science"),
    Column(
        "source_kind",
        pa.string(),
        "what the pixels were cut from: raw image, processed image or stamp",
    ),
    Column(
        "model_score", pa.float64(), "the model's score, never a label; NULL where there is none"
    ),
    Column(
        "quality_score", pa.float64(), "desirability of the observation, 0 to 1; NULL if unknown"
    ),
    Column("image_digest", pa.string(), "of the sample's stamp"),
    Column("mask_digest", pa.string(), "of the sample's mask"),
    Column("science_path", pa.string(), "source file of the science image"),
    Column("reference_path", pa.string(), "source file of the reference image; may be NULL"),
    Column("difference_path", pa.string(), "source file of the difference image; may be NULL"),
)
"""Columns every table has. Quality metrics follow them, one double column each."""

SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS])

_PAGE = """# Columns of the samples table

A published dataset names one Parquet object, `samples/<digest>.parquet`. It holds one row per
sample, sorted by `sample_key`. Stamps and masks lie in packs beside it; the table says which row
of which pack is whose. After these columns come the quality metrics of the collection, one `double`
column each, NULL where a metric is not known.

| column | type | meaning |
| --- | --- | --- |
{rows}
"""


def columns_page() -> str:
    """Return the Markdown reference page of the table."""
    rows = "\n".join(f"| `{c.name}` | {c.type} | {c.meaning} |" for c in COLUMNS)
    return _PAGE.format(rows=rows)


def read_samples(store: Store, samples_key: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the samples table at `<folder>/<digest>.parquet` after verifying its bytes.

    Args:
        store: where it lies.
        samples_key: its key.
        columns: those to read; metrics among them only where the table has them. None: all.

    Raises:
        MissingObjectError: if the store has no such object.
        StoreCorruptError: if its bytes are not those its name promises, or a column is missing.
    """
    path = PurePosixPath(samples_key)
    table = read_table(store, str(path.parent), path.stem, columns)
    wanted = SCHEMA.names if columns is None else [name for name in SCHEMA.names if name in columns]
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise StoreCorruptError(
            f"{samples_key} has no column {', '.join(missing)}; another version of this package "
            "wrote it: collect the dataset again"
        )
    return table


def class_names(samples: pa.Table) -> list[str]:
    """Return each sample's class: its anomaly_type, else `unknown` (real) or `artifact` (bogus)."""
    fallback = pc.if_else(samples["is_anomaly"], "unknown", "artifact")
    names: list[str] = pc.coalesce(samples["anomaly_type"], fallback).to_pylist()
    return names
