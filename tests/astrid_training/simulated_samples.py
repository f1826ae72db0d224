"""Samples tables of a sky that is drawn, not imaged: exposures share their seeing, objects their class."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from astrid_training.samples import SCHEMA

METRICS = (
    ("background_rms", pa.float64()),
    ("snr", pa.float64()),
    ("saturated_centre", pa.bool_()),
)
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
EACH = 8  # objects a field


def sky(seed: int, fields: int = 60, epochs: int = 4, each: int = EACH) -> pa.Table:
    """Draw a table: fields of ztf and of hst in turn, each seen `epochs` times, in g and r in turn."""
    rng = np.random.default_rng(seed)
    count = fields * epochs * each
    row = np.arange(count)
    exposure, field = row // each, row // (each * epochs)
    thing = field * each + row % each
    real = rng.random(fields * each) < 0.4
    kind = rng.choice(["supernova", "asteroid", "variable_star"], fields * each)
    split = rng.choice(["train", "val", "test"], fields * each, p=[0.8, 0.1, 0.1])
    confidence = rng.choice([0.74, 0.85, 0.9, 0.95], count, p=[0.1, 0.5, 0.3, 0.1])
    seeing = 2.4 * np.exp(0.15 * rng.normal(size=fields * epochs))
    noise = 10 * np.exp(0.2 * rng.normal(size=fields * epochs))
    place = rng.random((2, fields * each)) * 10
    columns: dict[str, Any] = {
        "sample_key": [f"{number:016x}{seed:016x}" for number in rng.permutation(count)],
        "split": split[thing],
        "is_anomaly": real[thing],
        "anomaly_type": np.where(real[thing], kind[thing], None),
        "label_source": np.repeat("human", count),
        "confidence": confidence,
        "tier": np.where(confidence >= 0.95, "gold", "silver"),
        "n_votes": rng.integers(1, 4, count),
        "group_key": [f"group {seed} {number}" for number in thing],
        "observation_id": [f"exposure {seed} {number}" for number in exposure],
        "survey": np.where(field % 2, "hst", "ztf"),
        "band": np.where(exposure % 2, "g", "r"),
        "observation_time": [EPOCH + timedelta(days=seed, hours=int(one)) for one in exposure],
        "ra_deg": 150 + 20 * seed + place[0, thing],
        "dec_deg": place[1, thing],
        "x": 36 + 0.3 * rng.normal(size=count),
        "y": 36 + 0.3 * rng.normal(size=count),
        "fwhm_px": seeing[exposure],
        "fwhm_source": np.repeat("header", count),
        "diff_sign": np.ones(count, np.int64),
        "source_kind": np.repeat("raw", count),
        "model_score": rng.beta(2, 2, count),
        "quality_score": np.where(rng.random(count) < 0.05, np.nan, rng.beta(8, 2, count)),
        "image_digest": [f"image {seed} {number}" for number in row],
        "mask_digest": [f"mask {seed} {number}" for number in row],
        "background_rms": noise[exposure] * np.exp(0.02 * rng.normal(size=count)),
        "snr": np.exp(2 + 0.5 * rng.normal(size=count)),
        "saturated_centre": rng.random(count) < 0.01,
    }
    schema = pa.schema([*SCHEMA, *METRICS])
    arrays = [
        pa.array(columns[one.name], one.type, from_pandas=True)
        if one.name in columns
        else pa.nulls(count, one.type)
        for one in schema
    ]
    return pa.table(arrays, schema).sort_by("sample_key")


def with_column(samples: pa.Table, name: str, values: Any) -> pa.Table:
    """Return the table with other values in a column."""
    place = samples.column_names.index(name)
    field = samples.schema.field(place)
    return samples.set_column(place, field, pa.array(values, field.type, from_pandas=True))


def again(samples: pa.Table, *names: str) -> pa.Table:
    """Return the table with texts that nothing else has in these columns."""
    for name in names:
        samples = with_column(samples, name, [f"2 {text}" for text in samples[name].to_pylist()])
    return samples
