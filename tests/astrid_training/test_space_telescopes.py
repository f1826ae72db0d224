"""The request that the project was made for: a year of HST and JWST, here simulated ones."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.packs import PackCache
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import Store

pytestmark = pytest.mark.slow

REQUEST: dict[str, Any] = {
    "survey_ids": ["hst", "jwst"],
    "date_range": ("2024-01-01", "2024-12-31"),
    "confidence_threshold": 0.7,
    "anomaly_types": ["supernova", "asteroid", "variable_star"],
    "quality_score_threshold": 0.8,
    "max_samples": 5000,
    "name": "hst_jwst_2024_anomalies",
}
GATES = {"allow_one_class": False, "allow_sparse_splits": False, "batch_samples": 512}


@dataclass(frozen=True)
class Sky:
    """Two simulated surveys: rows in a database, files in a store."""

    engine: Engine
    home: Path

    @property
    def store(self) -> Store:
        return Store(f"file://{self.home}/store")

    @property
    def packs(self) -> PackCache:
        return PackCache(self.store, self.home / "cache")

    def truth(self) -> dict[str, dict[str, Any]]:
        lines = [
            json.loads(line)
            for name in REQUEST["survey_ids"]
            for line in (self.home / f"{name}.jsonl").read_text().splitlines()
        ]
        return {line["detection_id"]: line for line in lines if line["kind"] == "detection"}


@pytest.fixture
def sky(database: Engine, tmp_path: Path) -> Sky:
    """What `simulate --names hst,jwst` makes; `collect` collects from it."""
    made = Sky(database, tmp_path)
    store = made.store

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    for name in REQUEST["survey_ids"]:
        with database.begin() as connection:
            simulate(SkyPlan().named(name), connection, put, tmp_path / f"{name}.jsonl")
    return made


def test_a_year_of_hst_and_jwst_passes_all_gates(
    sky: Sky, collect: Callable[..., PublishedDataset]
) -> None:
    published = collect(**REQUEST, **GATES)

    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    rows = read_samples(sky.store, record.samples_key).to_pylist()
    assert published.quality_score >= 0.8
    assert 0.3 < published.anomaly_ratio < 0.7
    assert min(published.splits.values()) > 50
    for survey in REQUEST["survey_ids"]:
        mine = Counter(row["anomaly_type"] for row in rows if row["survey"] == survey)
        assert min(mine[name] for name in REQUEST["anomaly_types"]) >= 50

    truth = sky.truth()
    rows = [row for row in rows if row["label_source"] != "sky"]
    lines = [truth[row["detection_id"]] for row in rows]
    right = [row["is_anomaly"] == line["is_real"] for row, line in zip(rows, lines, strict=True)]
    assert np.mean(right) > 0.93
    away = [
        np.hypot(row["frame_x"] - line["x"], row["frame_y"] - line["y"])
        for row, line in zip(rows, lines, strict=True)
        if line["is_real"] and line["snr"] > 12
    ]
    assert np.median(away) < 0.2
