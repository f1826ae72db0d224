"""One dataset of two surveys: each sample comes with what a pixel of its own survey is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.dataset import Batch, splits_from
from astrid_training.params import NegativesRule
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import Store

SCALES = {"hst": 0.05, "jwst": 0.031}


@pytest.fixture
def two(database: Engine, make_sky: Any, tmp_path: Path) -> Any:
    """HST's sky beside JWST's."""
    store = Store(f"file://{tmp_path}/store")

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    for name in SCALES:
        plan = SkyPlan(fields=2, epochs=2, stars=40, galaxies=10).named(name)
        with database.begin() as connection:
            simulate(plan, connection, put, tmp_path / f"{name}.jsonl")
    return make_sky(database, tmp_path, tmp_path / "hst.jsonl", store)


def test_survey_scale_width_and_zero_point_reach_item_and_batch(
    two: Any, collect_from: Callable[[Any], Callable[..., PublishedDataset]]
) -> None:
    published = collect_from(two)(survey_ids=list(SCALES), negatives=NegativesRule(sky_per_real=0))
    record = TrainingDatasetManager(two.engine).get_dataset(published.dataset_id)
    rows = {
        row["sample_key"]: row for row in read_samples(two.store, record.samples_key).to_pylist()
    }
    train = splits_from(record, two.store, two.home / "cache").train

    batch = train.__getitems__(list(range(len(train)))).batch
    assert isinstance(batch, Batch)
    assert set(batch.context.survey) == set(SCALES)
    for place, key in enumerate(batch.key):
        one, row = train[place].context, rows[key]
        assert one.survey == batch.context.survey[place] == row["survey"]
        assert float(one.pixel_scale) == pytest.approx(SCALES[row["survey"]], rel=0.02)
        for name in ("pixel_scale", "fwhm_px", "zero_point"):
            told = np.float32(np.nan if row[name] is None else row[name])
            both = np.float32(getattr(one, name)), np.float32(getattr(batch.context, name)[place])
            np.testing.assert_array_equal(both, told)
