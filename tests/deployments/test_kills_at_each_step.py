"""A flow that is killed at any step, before or after its work, is finished by the next run as if nothing had been."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import mlflow
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from sqlalchemy import Engine, text

from astrid_training.reconcile import half_published
from astrid_training.store import Store
from astrid_training.trainings import training_runs
from tests.deployments.small_survey import run_flow, steps_of, told
from tests.small_disk import on_small_disk
from tests.tally import Tally

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
TRUSTED = {("preprocess", "after"), ("persist_dataset", "after")}
"""Those that `make trust` has time for."""


@pytest.fixture(scope="module")
def stack(lone_stack: Any) -> Any:
    return lone_stack


@pytest.fixture(scope="module")
def ready(stack: Any) -> Any:
    return stack


def asking(name: str, pixels: dict[str, float], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "survey_ids": ["sim_ztf"],
        "quality_score_threshold": 0,
        "allow_one_class": True,
        "allow_sparse_splits": True,
        "batch_samples": 64,
        "preprocess": pixels,
        "trigger_training": False,
        "training_steps": 2,
        **more,
    }


def pixels_of(number: int) -> dict[str, float]:
    """Return how the pixels of a case are made, so that nobody has built them yet."""
    return {"softening": 2.0 + 0.125 * number}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "moment"),
    [pytest.param(*one, marks=[pytest.mark.trust] * (one in TRUSTED)) for one in CASES],
)
def test_the_next_run_makes_the_dataset_of_an_undisturbed_one(
    ready: Any,
    engine: Engine,
    collect: Any,
    check_one_dataset: Any,
    tally: Tally,
    step: str,
    moment: str,
) -> None:
    name, pixels = f"{step} {moment}", pixels_of(CASES.index((step, moment)))
    asked = asking(name, pixels, trigger_training=step == "trigger_training")

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
    tally("processes killed", 1)
    tally("recoveries", 1)


@pytest.mark.slow
@pytest.mark.trust
@pytest.mark.parametrize(
    ("number", "folder", "step"), [(30, "images", "preprocess"), (31, "samples", "persist_dataset")]
)
def test_a_store_whose_disk_is_full_ends_the_run_with_the_cure(
    ready: Any,
    engine: Engine,
    client: SyncPrefectClient,
    collect: Any,
    check_one_dataset: Any,
    tally: Tally,
    number: int,
    folder: str,
    step: str,
) -> None:
    name, pixels = f"full {folder}", pixels_of(number)
    full = ready.home / "store" / folder
    full.mkdir(exist_ok=True)

    failed = run_flow(ready, asking(name, pixels), within=on_small_disk(full))

    assert failed.returncode == 1
    cure = f"StoreRefusedError: cannot write {folder}/.*No space left on device .*; check that the folder can be written"
    assert re.search(cure, failed.stderr)
    ended = run_of(client, name)
    assert ended.state_name == "Failed"
    assert (step, "Failed") in steps_of(client, str(ended.id))
    outcome = told(run_flow(ready, asking(name, pixels)))
    assert outcome["digests"]["content"] == collect(preprocess=pixels).digests["content"]
    check_one_dataset(engine, name, outcome)
    tally("faults injected", 1)
    tally("recoveries", 1)


def run_of(client: SyncPrefectClient, name: str) -> FlowRun:
    """Return the only run that collects a dataset of this name."""
    (run,) = (run for run in client.read_flow_runs(limit=200) if f" {name}:" in run.name)
    return run


@pytest.mark.slow
@pytest.mark.trust
def test_collections_of_one_batch_at_once_make_one_dataset(
    ready: Any, engine: Engine, collect: Any, check_one_dataset: Any, tally: Tally
) -> None:
    name, pixels = "at once", pixels_of(32)
    told_batch = {"batch_id": f"batch-{uuid4()}", "closed_at": datetime.now(UTC).isoformat()}
    of_batch = asking(name, pixels, trigger="batch", batch=told_batch)

    with ThreadPoolExecutor(3) as pool:
        by = [of_batch, of_batch, asking(name, pixels)]
        outcomes = [told(one) for one in pool.map(partial(run_flow, ready), by)]

    made = [one for one in outcomes if one is not None]
    assert len(made) == 2  # who came second has nothing to do: the first answers for the batch
    assert outcomes[2] in made
    assert len({one["dataset_id"] for one in made}) == 1
    assert made[0]["digests"]["content"] == collect(preprocess=pixels).digests["content"]
    check_one_dataset(engine, name, made[0])
    settled = text("SELECT dataset_id::text FROM training_validation_batches WHERE batch_id = :id")
    with engine.connect() as connection:
        ((dataset,),) = connection.execute(settled, {"id": told_batch["batch_id"]}).all()
    assert dataset == made[0]["dataset_id"]
    tally("faults injected", 1)
