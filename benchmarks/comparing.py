"""Two datasets of a million samples compared: differences, then drift in every column.

Beside it the physical limit: one look at each number of both.
"""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from astrid_training.compare import compare
from astrid_training.samples import SCHEMA
from benchmarks.rows import Row, at_most
from benchmarks.timing import interleave

SAMPLES, ADDED = 1_000_000, 100_000
PER_EXPOSURE, PER_GROUP = 20, 5
METRICS = 25  # as many columns of numbers as a collection measures


def make_samples(count: int) -> pa.Table:
    """Return a table of `count` samples, the first ones the same however many there are."""
    row = np.arange(count)
    exposure, group = (
        row // PER_EXPOSURE,
        row // PER_EXPOSURE // PER_GROUP * PER_EXPOSURE + row % 20,
    )
    numbers = np.random.default_rng(1).standard_normal(SAMPLES + ADDED)
    columns = {
        "sample_key": pa.array([f"{number:032x}" for number in row]),
        "split": np.array(["train", "val", "test"])[group % 10 // 8],
        "is_anomaly": group % 3 == 0,
        "anomaly_type": pa.array(np.array(["supernova", "asteroid"])[group % 2]),
        "confidence": np.array([0.74, 0.85, 0.95])[row % 3],
        "group_key": pa.array([f"group {number}" for number in group]),
        "observation_id": pa.array([f"exposure {number}" for number in exposure]),
        "survey": np.array(["ztf", "hst"])[exposure % 2],
        "band": np.array(["g", "r"])[exposure // 2 % 2],
        "observation_time": pa.array(np.full(count, datetime(2024, 1, 1, tzinfo=UTC))),
        "ra_deg": numbers[:count] * 10 + 180,
        "dec_deg": np.roll(numbers, 7)[:count] * 10,
        "image_digest": pa.array([f"image {number}" for number in row]),
        "mask_digest": pa.array([f"mask {number}" for number in row]),
    }
    columns |= {f"metric_{n}": np.roll(numbers, n)[:count] for n in range(METRICS)}
    fields = [*SCHEMA, *(pa.field(f"metric_{n}", pa.float64()) for n in range(METRICS))]
    return pa.table(
        {
            field.name: pa.array(columns[field.name]).cast(field.type)
            if field.name in columns
            else pa.nulls(count, field.type)
            for field in fields
        }
    )


def report() -> list[Row]:
    """Return the row of the table of results."""
    before, after = make_samples(SAMPLES), make_samples(SAMPLES + ADDED)
    names = [field.name for field in before.schema if pa.types.is_floating(field.type)]

    def look() -> None:
        for side in (before, after):
            for name in names:
                side[name].combine_chunks().fill_null(0).to_numpy().max()

    times = interleave({"compare": lambda: compare(before, after), "look": look}, rounds=3)
    ours, limit = times["compare"].cpu_s, times["look"].cpu_s
    return [
        Row(
            f"{SAMPLES:,} samples with {SAMPLES + ADDED:,}, {METRICS} metrics",
            f"{ours:.1f} CPU-s",
            f"one look at the numbers {limit:.2f} CPU-s",
            ours / limit,
            at_most(ours, 20, "CPU-s"),
        )
    ]
