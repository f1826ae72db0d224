"""The collection on a real Prefect server, worker, database, store and MLflow."""

import json
import os
import re
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import mlflow
import nbformat
import pytest
from nbclient import NotebookClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
)
from sqlalchemy import Engine, text

from astrid_training.cards.stored import CARD, CROISSANT, card_key
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.provenance import Ends
from astrid_training.records import TrainingRun
from astrid_training.run_metrics import STEPS, WHOLE, read_run_metrics
from astrid_training.store import open_store
from astrid_training.training_params import TrainingParams
from astrid_training.trainings import training_runs
from astrid_training.version import PACKAGE
from deployments.lineage_command import lookup
from deployments.runs import run_and_wait, wait_for
from flows.retrain import retrain_flow
from tasks.deployment_runs import COLLECTION
from tasks.events import DATASET_PUBLISHED, DATASET_REJECTED, TRAINING_COMPLETED
from tests.deployments.small_survey import (
    LENIENT,
    ROOT,
    cli,
    collect,
    python,
    quiet,
    steps_of,
)


@pytest.fixture(scope="module")
def demo(ready: Any) -> dict[str, Any]:
    """The outcome of a run of the deployment, which made the dataset `demo` and trains on it."""
    return collect(ready, name="demo", requested_by="astrid-web")


def check_training(ready: Any, training: Any) -> None:
    """The row says all of how it was trained; MLflow has figures, pictures and a registered network."""
    assert training.training_params["steps"] == 2
    assert TrainingParams(**training.training_params).schedule == "cosine"
    tracked = mlflow.MlflowClient(ready.settings.mlflow_tracking_uri)
    run_id = training.mlflow_run_id
    assert {one.path for one in tracked.list_artifacts(run_id)} >= {
        "training.json",
        "plots",
        "model",
    }
    assert len(tracked.list_artifacts(run_id, "plots")) == 5
    metrics = tracked.get_run(run_id).data.metrics
    assert metrics["test_loss"] == training.performance_metrics["test_loss"]
    assert any(name.startswith("test/class/") for name in metrics)
    assert [one.step for one in tracked.get_metric_history(run_id, "loss_val")] == [2]
    (version,) = tracked.search_model_versions(f"run_id = '{run_id}'")
    assert version.name == "unet-demo"
    assert not [*(ready.home / "cache" / "trainings").glob("*/")]  # what a kill would leave


def test_a_deployment_run_makes_a_dataset_and_trains_on_it(
    ready: Any, engine: Engine, client: SyncPrefectClient, told_event: Any, demo: dict[str, Any]
) -> None:
    outcome = demo
    steps = steps_of(client, outcome["flow_run_id"])
    assert {name for name, _ in steps} >= {*STEPS} - {WHOLE}
    assert {state for _, state in steps} == {"Completed"}
    dataset = TrainingDatasetManager(engine).get_dataset(outcome["dataset_id"])
    assert dataset.total_samples == outcome["total_samples"] > 50
    assert dataset.created_by == "astrid-web"
    assert dataset.mlflow_run_id == outcome["mlflow_run_id"]
    store = open_store(ready.settings)
    assert dataset.version_id in store.get(card_key(dataset.id, CARD)).decode()
    assert store.head(card_key(dataset.id, CROISSANT))
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[outcome["flow_run_id"]])
        )
    )
    assert {artifact.key for artifact in artifacts} == {"batches", "funnel", "report", "steps"}
    tracked = mlflow.MlflowClient(ready.settings.mlflow_tracking_uri).get_run(
        outcome["mlflow_run_id"]
    )
    assert tracked.info.run_name == f"training_data_{outcome['dataset_id']}"
    assert tracked.data.metrics["total_samples"] == outcome["total_samples"]
    check_log(ready, outcome)
    check_metrics(engine, outcome, tracked.data.metrics, artifacts)
    assert client.read_flow_run(UUID(outcome["flow_run_id"])).name == (
        "collect demo: sim_small, up to 10000"
    )
    (training,) = training_runs(engine, outcome["dataset_id"])
    assert wait_for(str(training.flow_run_id), quiet).completed
    (training,) = training_runs(engine, outcome["dataset_id"])
    assert training.status == "completed"
    assert training.performance_metrics is not None
    assert training.performance_metrics["train_loss"] > 0
    check_training(ready, training)
    published = told_event(DATASET_PUBLISHED, f"astrid.dataset.{outcome['dataset_id']}")
    assert published["payload"]["content_digest"] == outcome["digests"]["content"]
    trained = told_event(TRAINING_COMPLETED, f"astrid.training.{training.id}")
    assert trained["payload"]["metrics"] == training.performance_metrics
    check_lineage(ready, outcome, training)


def check_lineage(ready: Any, outcome: dict[str, Any], training: TrainingRun) -> None:
    """Check that the digest leads to everything, and the model back to the same."""
    assert training.model_id is not None
    model = f"{training.registered_name}/{training.registered_version}"
    for wanted in (outcome["digests"]["content"][:12], model, str(training.model_id)):
        found = lookup(ready.settings, wanted, Ends())
        assert found.dataset["id"] == outcome["dataset_id"]
        assert found.unknown == []
        assert found.parameters["survey_ids"] == ["sim_small"]
        assert found.labels["events"] > 50
        assert found.sources["bytes"] > 1e6
        assert found.sources["missing"] == 0
        assert set(found.packs) == {
            "samples",
            "images",
            "flags",
            "masks",
            "measures",
            "significance",
        }
        assert found.flow_run["id"] == outcome["flow_run_id"]
        assert str(found.code_version).startswith(version(PACKAGE))
        assert found.mlflow["url"].endswith(f"/runs/{outcome['mlflow_run_id']}")
        (told,) = found.trainings
        assert told["registered"] == [model]
        assert told["mlflow"]["run_id"] == training.mlflow_run_id
        assert told["metrics"] == training.performance_metrics


def check_metrics(
    engine: Engine, outcome: dict[str, Any], tracked: dict[str, float], artifacts: list[Any]
) -> None:
    """Check what the steps took: told alike everywhere, and adding up."""
    *steps, whole = metrics = read_run_metrics(engine, outcome["flow_run_id"])
    assert [one.step for one in metrics] == list(STEPS)
    assert all(one.samples_in == one.samples_out + one.rejects for one in metrics)
    for before, after in pairwise(steps):
        assert after.samples_in == before.samples_out
    assert steps[0].samples_in == outcome["funnel"][0]["count"]
    assert whole.samples_in == whole.samples_out + sum(one.rejects for one in steps)
    assert whole.samples_out == outcome["total_samples"]
    assert 0 < sum(one.cpu_s for one in steps) < whole.cpu_s
    named = {one.step: one for one in metrics}
    assert named["preprocess"].worker_cpu_s > named["preprocess"].cpu_s
    assert named["preprocess"].written_bytes > 1e6
    assert named["preprocess"].runs > 1
    for one in steps:
        assert tracked[f"collection.{one.step}.wall_s"] == one.wall_s > 0
    (shown,) = (json.loads(one.data) for one in artifacts if one.key == "steps")
    assert [row["step"] for row in shown] == list(STEPS)
    (progress,) = (one for one in artifacts if one.key == "batches")
    assert progress.data == 100


def check_log(ready: Any, outcome: dict[str, Any]) -> None:
    """Check that the machine's log names run, step, batch and dataset."""
    lines = (ready.home / "logs" / "flows.log").read_text().splitlines()
    ours = [line for line in lines if "run='collect demo: sim_small, up to 10000'" in line]
    cut = [line for line in ours if "step='cut stamps from" in line]
    assert any(re.search(r"batch=[0-9a-f]{8} \| \d+ stamps", line) for line in cut)
    assert all("batch=" in line for line in cut)
    assert any(f"dataset={outcome['dataset_id']}" in line for line in ours if "MLflow run" in line)


@pytest.mark.slow  # what its cells call is tested elsewhere
def test_the_notebook_runs_from_parameters_to_a_trained_model(ready: Any, tmp_path: Path) -> None:
    notebook: Any = nbformat.read(  # type: ignore[no-untyped-call]
        ROOT / "notebooks/training/real_data_loading.ipynb", as_version=4
    )
    (place,) = (
        place
        for place, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", ())
    )
    asked = {**LENIENT, "name": "in a notebook", "preprocess": {"softening": 3.0}}
    ours: Any = nbformat.v4.new_code_cell(  # type: ignore[no-untyped-call]
        f"collection_params = {asked!r}\nsteps = 10"
    )
    notebook.cells.insert(place + 1, ours)

    home = {"ASTRID_TRAINING_HOME": str(ready.home)}
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env={**os.environ, **home})

    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    text_of = "".join(one.get("text", "") for one in outputs)
    assert "in a notebook" in text_of
    assert "10 steps" in text_of
    assert "survey sim_small" in text_of
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    assert len(pictures) == 8
    assert not [one for one in outputs if one.output_type == "error"]
    outcome = json.loads(cli(ready, "datasets", "--name", "in a notebook", "--json").stdout)
    assert [one["name"] for one in outcome] == ["in a notebook"]


@pytest.mark.usefixtures("demo")
def test_loading_by_id_brings_neither_prefect_nor_mlflow(ready: Any) -> None:
    code = (
        "import sys\nfrom flows import load_real_training_data\n"
        "load_real_training_data('demo')[0][0]\n"
        "print([name for name in ('prefect', 'mlflow') if name in sys.modules])"
    )

    ran = python(ready, code)

    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.slow  # reuse is tested on the library in test_collection.py
def test_the_same_again_builds_nothing_and_trains_nothing(
    ready: Any, engine: Engine, client: SyncPrefectClient
) -> None:
    first = collect(ready, name="twice")

    again = collect(ready, name="twice")

    assert again["reused"]
    assert again["dataset_id"] == first["dataset_id"]
    assert again["training_run_id"] == first["training_run_id"]
    assert len(training_runs(engine, first["dataset_id"])) == 1


@pytest.mark.slow  # what is reason enough is tested on the library in test_retraining.py
def test_training_again_is_told_of_and_then_done(ready: Any, demo: dict[str, Any]) -> None:
    assert wait_for_training(ready, demo["training_run_id"]) == "completed"
    assert retrain()["decision"] == "nothing_new"
    newer = collect(ready, name="demo", max_samples=100, trigger_training=False)
    eager = {"gold_labels": 1, "gold_share": 1e-9, "class_groups": 1, "cooldown_hours": 0}

    told_of = retrain(**eager)
    done = retrain(**eager, dry_run=False)

    for verdict in (told_of, done):
        assert (verdict["decision"], verdict["dataset_id"]) == ("train", newer["dataset_id"])
    assert told_of["training_run_id"] is None
    assert wait_for_training(ready, done["training_run_id"]) == "completed"
    assert retrain(**eager)["decision"] == "nothing_new"


def retrain(**params: Any) -> dict[str, Any]:
    verdict: Any = retrain_flow(name="demo", **params)
    return dict(verdict)


def wait_for_training(ready: Any, training_run_id: str) -> str:
    statement = text("SELECT status, flow_run_id FROM training_runs WHERE id = CAST(:id AS uuid)")
    engine = open_database(ready.settings.database_url)
    with engine.connect() as connection:
        row = connection.execute(statement, {"id": training_run_id}).one()
    assert wait_for(row.flow_run_id, quiet).completed
    with engine.connect() as connection:
        return str(connection.execute(statement, {"id": training_run_id}).one().status)


def test_a_refused_collection_fails_with_its_reasons_and_keeps_the_report(
    ready: Any, engine: Engine, told_event: Any
) -> None:
    asked = {**LENIENT, "name": "below", "quality_score_threshold": 1, "allow_sparse_splits": False}

    run = run_and_wait(COLLECTION, asked, quiet)

    assert run.state == "Failed"
    *steps, whole = read_run_metrics(engine, run.id)  # as far as it came
    assert [one.step for one in steps][-2:] == ["check_leaks", "persist_dataset"]
    assert steps[-1].wall_s > 0
    assert whole.samples_out == 0
    folder = ready.home / "store" / "refusals"
    kept = json.loads((folder / f"{run.id}.json").read_text())
    assert any("is below 1: improve" in reason for reason in kept["reasons"])
    assert all(reason in run.message for reason in kept["reasons"])
    rejected = told_event(DATASET_REJECTED, f"astrid.collection.{run.id}")
    assert rejected["payload"]["reasons"] == kept["reasons"]
    selected, *drops, stayed = [row["count"] for row in kept["funnel"]]
    assert selected == stayed + sum(drops) > 0
    report = kept["quality_report"]
    assert report["issues"][: len(kept["reasons"])] == kept["reasons"]
    assert report["reviews"]["votes"]["counts"] > 0
    assert report["observing"]["registration"]["known"] > 0
    assert kept["collection_params"]["quality_score_threshold"] == 1
    assert "below was refused" in (folder / f"{run.id}.html").read_text()
    with engine.connect() as connection:
        made = text("SELECT count(*) FROM training_datasets WHERE name = 'below'")
        assert connection.execute(made).scalar_one() == 0
