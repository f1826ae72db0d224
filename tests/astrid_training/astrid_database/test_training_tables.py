"""A collection appends to the training tables that AstrID has, and leaves its rows alone."""

from collections.abc import Callable
from typing import Any

import pytest

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.errors import DatasetNotFoundError
from astrid_training.records import PublishedDataset
from astrid_training.trainings import close_training_run, open_training_run, training_runs

Collect = Callable[..., PublishedDataset]
ASTRIDS_DATASET = "a0000000-0000-4000-8000-000000000001"


def in_astrids_tables(db: Any) -> list[list[tuple[Any, ...]]]:
    """Return AstrID's own rows of the three training tables, in the columns that it knows."""
    return [
        db.rows(
            "SELECT id, name, collection_params::text, total_samples, anomaly_ratio, quality_score, "
            "created_at, created_by, status FROM training_datasets WHERE version_id IS NULL ORDER BY id",
        ),
        db.rows(
            "SELECT id, dataset_id, image_path, mask_path, labels::text, metadata, created_at "
            "FROM training_samples WHERE sample_key IS NULL ORDER BY id",
        ),
        db.rows(
            "SELECT id, dataset_id, training_params::text, status, started_at FROM training_runs "
            "WHERE idempotency_key IS NULL ORDER BY id",
        ),
    ]


def test_a_collection_appends_to_astrids_training_tables(
    sky: Any, db: Any, collect: Collect
) -> None:
    before = in_astrids_tables(db)

    first = collect(name="validated-detections")
    again = collect(name="validated-detections")
    db.execute(
        "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, confidence_level) "
        "SELECT gen_random_uuid(), detection_id, 'new-' || n, false, 'EXPERT' "
        "FROM (SELECT detection_id FROM training_samples WHERE labels ->> 'is_anomaly' = 'true' LIMIT 1) s, "
        "generate_series(1, 3) n",
    )
    second = collect(name="validated-detections")

    assert again.reused
    assert second.version_id != first.version_id
    assert in_astrids_tables(db) == before
    assert [len(rows) for rows in before] == [2, 2, 1]
    manager = TrainingDatasetManager(sky.engine)
    listed = manager.list_datasets()
    assert [str(one.id) for one in listed] == [second.dataset_id, first.dataset_id]
    record = listed[0]
    assert record.quality_score == pytest.approx(second.quality_score, abs=6e-5)  # numeric(5,4)
    assert record.anomaly_ratio == pytest.approx(second.anomaly_ratio, abs=5e-5)
    assert str(record.parent_id) == first.dataset_id
    assert len(manager.samples(record)) == second.total_samples


def test_what_the_ticket_asks_of_the_tables_holds_in_astrids_shape(
    sky: Any, db: Any, collect: Collect
) -> None:
    published = collect()

    nothing = db.rows(
        "SELECT count(*) FROM training_samples WHERE sample_key IS NOT NULL AND (id IS NULL OR "
        "dataset_id IS NULL OR observation_id IS NULL OR image_path IS NULL OR mask_path IS NULL OR "
        "labels ->> 'anomaly_type' IS NULL OR metadata ->> 'survey' IS NULL OR created_at IS NULL)",
    )
    opened = open_training_run(sky.engine, published.dataset_id, {"steps": 1}, "key")
    close_training_run(sky.engine, opened.id, error="out of memory")
    assert nothing == [(0,)]
    assert [run.status for run in training_runs(sky.engine, published.dataset_id)] == ["failed"]


def test_astrids_own_datasets_are_no_versions_of_ours(sky: Any, db: Any) -> None:
    manager = TrainingDatasetManager(sky.engine)

    assert manager.list_datasets() == []
    for wanted in (ASTRIDS_DATASET, "validated-detections"):
        with pytest.raises(DatasetNotFoundError):
            manager.get_dataset(wanted)
    with pytest.raises(DatasetNotFoundError):
        manager.update_dataset_metrics(ASTRIDS_DATASET, {"note": "ours"})
    manager.set_mlflow_run(ASTRIDS_DATASET, "run")
    assert db.rows(
        "SELECT count(*) FROM training_datasets WHERE mlflow_run_id IS NOT NULL "
        "OR quality_report IS NOT NULL",
    ) == [(0,)]
    assert [run.status for run in training_runs(sky.engine, ASTRIDS_DATASET)] == ["running"]
