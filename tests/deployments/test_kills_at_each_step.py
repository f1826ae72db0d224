"""A flow that is killed at any step, before or after its work, is finished by the next run as if nothing had been."""

import signal
from datetime import UTC, datetime
from typing import Any

import mlflow
import pytest
from sqlalchemy import Engine

from astrid_training.reconcile import half_published
from astrid_training.store import Store
from astrid_training.trainings import training_runs
from tests.deployments.small_survey import run_flow, told

STEPS = (
    "fetch_validated_detections",
    "download_fits",
    "preprocess",
    "make_masks",
    "score_quality",
    "persist_dataset",
    "log_lineage",
    "trigger_training",
)
CASES = [(step, moment) for step in STEPS for moment in ("before", "after")]


@pytest.fixture(scope="module")
def ready(lone_stack: Any) -> Any:
    return lone_stack


@pytest.mark.slow
@pytest.mark.parametrize(("step", "moment"), CASES)
def test_the_next_run_makes_the_dataset_of_an_undisturbed_one(
    ready: Any, engine: Engine, collect: Any, check_one_dataset: Any, step: str, moment: str
) -> None:
    pixels = {"softening": 2.0 + 0.125 * CASES.index((step, moment))}  # that nobody has built yet
    name = f"{step} {moment}"
    asked = {
        "name": name,
        "survey_ids": ["sim_ztf"],
        "quality_score_threshold": 0,
        "allow_one_class": True,
        "allow_sparse_splits": True,
        "batch_samples": 64,
        "preprocess": pixels,
        "trigger_training": step == "trigger_training",
        "training_steps": 2,
    }

    killed = run_flow(ready, asked, f"{step}:{moment}:kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    store = Store(ready.settings.store_url)
    with engine.connect() as connection:
        unlogged = half_published(connection, store, datetime.now(UTC))
    half_done = (step, moment) in {("persist_dataset", "after"), ("log_lineage", "before")}
    assert any(name in one.what for one in unlogged) is half_done

    outcome = told(run_flow(ready, asked))

    undisturbed = collect(preprocess=pixels)
    assert outcome["digests"]["content"] == undisturbed.digests["content"]
    check_one_dataset(engine, name, outcome)
    with engine.connect() as connection:
        left = half_published(connection, store, datetime.now(UTC))
    assert not any(name in one.what for one in left)
    client = mlflow.MlflowClient(ready.settings.mlflow_tracking_uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    logged = client.search_runs(
        experiments, f"attributes.run_name = 'training_data_{outcome['dataset_id']}'"
    )
    assert len(logged) == 1
    trainings = training_runs(engine, outcome["dataset_id"])
    assert len(trainings) == (1 if step == "trigger_training" else 0)
