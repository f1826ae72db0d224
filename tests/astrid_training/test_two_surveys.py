"""One dataset of two surveys: each sample comes with what a pixel of its own survey is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.dataset import Batch, splits_from
from astrid_training.networks import load_network
from astrid_training.params import NegativesRule
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import Store
from astrid_training.training import TrainingParams, train_unet

SCALES = {"hst": 0.05, "jwst": 0.031}


@pytest.fixture
def two(database: Engine, make_sky: Any, tmp_path: Path) -> Any:
    """HST's sky beside JWST's."""
    return _simulated(database, make_sky, tmp_path, fields=2, epochs=2)


def _simulated(database: Engine, make_sky: Any, folder: Path, *, fields: int, epochs: int) -> Any:
    store = Store(f"file://{folder}/store")

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    for name in SCALES:
        plan = SkyPlan(fields=fields, epochs=epochs, stars=40, galaxies=10).named(name)
        with database.begin() as connection:
            simulate(plan, connection, put, folder / f"{name}.jsonl")
    return make_sky(database, folder, folder / "hst.jsonl", store)


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


@pytest.fixture
def many(database: Engine, make_sky: Any, tmp_path: Path) -> Any:
    """Enough of HST's and JWST's sky that each has detections in test."""
    return _simulated(database, make_sky, tmp_path, fields=10, epochs=3)


@pytest.mark.slow
def test_a_network_of_two_surveys_is_measured_on_each(
    many: Any, collect_from: Callable[[Any], Callable[..., PublishedDataset]], tmp_path: Path
) -> None:
    published = collect_from(many)(survey_ids=list(SCALES))
    record = TrainingDatasetManager(many.engine).get_dataset(published.dataset_id)
    splits = splits_from(record, many.store, many.home / "cache")

    result = train_unet(splits, TrainingParams(steps=120, seed=1), tmp_path / "model")

    assert result.report.test is not None
    of_survey = {name: part.objects for name, part in result.report.test.surveys.items()}
    assert set(of_survey) == set(SCALES)
    for kind in ("tp", "fp", "fn", "tn"):
        together = sum(scores.counts()[kind] for scores in of_survey.values())
        assert together == result.report.test.parts["all"].objects.counts()[kind]
    for name in SCALES:
        assert result.metrics[f"test/survey/{name}/roc_auc"] > 0.7
    assert load_network(tmp_path / "model").surveys == ("hst", "jwst")
