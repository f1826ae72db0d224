"""The collection on a real Prefect server, worker, database, store and MLflow."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import mlflow
import nbformat
import pytest
from nbclient import NotebookClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun
from sqlalchemy import Engine, text

from astrid_training.cards.stored import CARD, CROISSANT, card_key
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.provenance import Ends
from astrid_training.records import TrainingRun
from astrid_training.run_metrics import STEPS, WHOLE, read_run_metrics
from astrid_training.simulate import SkyPlan
from astrid_training.store import open_store
from astrid_training.training_params import TrainingParams
from astrid_training.trainings import training_runs
from astrid_training.version import PACKAGE
from deployments.bootstrap import bootstrap
from deployments.collect_command import parameters_from
from deployments.events import emit_batch_closed
from deployments.lineage_command import lookup
from deployments.runs import run_and_wait, wait_for
from deployments.simulated import simulate_sky
from flows.retrain import retrain_flow
from tasks.deployment_runs import COLLECTION
from tasks.events import DATASET_PUBLISHED, DATASET_REJECTED, TRAINING_COMPLETED

SKY = SkyPlan(
    survey="sim_small",
    fields=6,
    epochs=3,
    frame_size=(220, 260),
    stars=40,
    galaxies=10,
    artifacts=4,
)
LENIENT: dict[str, Any] = {
    "survey_ids": ["sim_small"],
    "quality_score_threshold": 0,
    "allow_sparse_splits": True,
    "batch_samples": 64,
    "training_steps": 2,
}
ROOT = Path(__file__).parents[2]
COLLECT = ROOT / "tests" / "collect_flow.py"


def quiet(_line: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def ready(stack: Any) -> Any:
    """The stack with blocks, deployments and a small simulated survey."""
    bootstrap(stack.settings)
    simulate_sky(stack.settings, SKY, quiet)
    return stack


@pytest.fixture
def engine(ready: Any) -> Engine:
    return open_database(ready.settings.database_url)


def outcome_of(ready: Any, flow_run_id: str) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(
        (ready.home / "store" / "runs" / f"{flow_run_id}.json").read_text()
    )
    return outcome


def collect(ready: Any, **parameters: Any) -> dict[str, Any]:
    run = run_and_wait(COLLECTION, {**LENIENT, **parameters}, quiet)
    assert run.completed, run.message
    return outcome_of(ready, run.id)


@pytest.fixture(scope="module")
def demo(ready: Any) -> dict[str, Any]:
    """The outcome of a run of the deployment, which made the dataset `demo` and trains on it."""
    return collect(ready, name="demo", requested_by="astrid-web")


def steps_of(client: SyncPrefectClient, flow_run_id: str) -> list[tuple[str, str]]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    runs = client.read_task_runs(flow_run_filter=of_run, limit=200)
    return sorted((run.task_key.rsplit("-", 1)[0], run.state_name or "") for run in runs)


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


def python(
    ready: Any, code: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, in the stack's home."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(ready.home), **environment},
        timeout=180,
    )


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


def in_a_process(
    ready: Any, parameters: dict[str, Any], fault: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the flow in a process of its own, as a worker does, with a fault where asked."""
    asked = {**LENIENT, "trigger_training": False, **parameters}
    return python(ready, COLLECT.read_text(), json.dumps(asked), ASTRID_FAULT=fault)


def told(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    outcome: dict[str, Any] = json.loads(run.stdout.split("OUTCOME ")[1])
    return outcome


def stamps_since(engine: Engine, moment: datetime) -> dict[str, tuple[str, datetime]]:
    """Return what the catalogue learnt since then: sample -> its pack and when it was entered."""
    statement = text(
        "SELECT sample_key, image_pack, at FROM training_image_catalogue WHERE at > :at"
    )
    with engine.connect() as connection:
        rows = connection.execute(statement, {"at": moment}).all()
    return {row.sample_key: (row.image_pack, row.at) for row in rows}


@pytest.mark.slow  # kills are tested on the library in tests/faults
def test_a_kill_in_make_masks_costs_only_the_step_it_hit(
    ready: Any, engine: Engine, client: SyncPrefectClient
) -> None:
    asked = {"preprocess": {"softening": 4.0}}  # pixels that no other test has built
    with engine.connect() as connection:
        started = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    killed = in_a_process(ready, {"name": "killed", **asked}, "make_masks:before:kill")
    assert killed.returncode == -signal.SIGKILL
    with engine.connect() as connection:
        statement = text("SELECT count(*) FROM training_datasets WHERE name = 'killed'")
        assert connection.execute(statement).scalar_one() == 0

    finished = stamps_since(engine, started)
    assert finished

    outcome = told(in_a_process(ready, {"name": "killed", **asked}))

    assert stamps_since(engine, started).items() >= finished.items()  # none was built again
    again = [name for name, _ in steps_of(client, outcome["flow_run_id"])]
    rebuilt = sum(name.startswith("build") for name in again) - again.count("preprocess")
    assert rebuilt >= 1  # batches of finished stamps, without download and preprocessing
    assert again.count("download_fits") == again.count("preprocess")
    undisturbed = told(in_a_process(ready, {"name": "undisturbed", **asked, "batch_samples": 16}))
    assert undisturbed["digests"]["content"] == outcome["digests"]["content"]


@pytest.mark.slow  # so is the schedule's
def test_a_scheduled_run_collects(
    ready: Any, client: SyncPrefectClient, deploy: Any, wait_for_runs: Any
) -> None:
    scheduled = deploy(
        "every few seconds",
        "flows.collect:training_data_collection_flow",
        interval_s=20,
        parameters={**LENIENT, "name": "by schedule", "trigger_training": False},
    )

    (run, *_) = wait_for_runs(scheduled.id, 1)

    assert run.auto_scheduled
    assert run.state.is_completed(), run.state.message
    assert outcome_of(ready, str(run.id))["name"] == "by schedule"


@pytest.mark.slow  # the event's way is tested with a small flow in test_bootstrap.py
def test_each_closed_batch_gets_into_one_dataset_however_often_it_is_told(
    ready: Any, engine: Engine, client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = client.read_deployment_by_name(COLLECTION)
    first, second = (f"batch-{uuid4()}" for _ in range(2))
    client.update_deployment(
        deployment.id,
        DeploymentUpdate(parameters={**LENIENT, "name": "by event", "trigger_training": False}),
    )
    told_at = datetime.now(UTC)
    try:
        for batch_id in (first, first, second):
            emit_batch_closed(batch_id, told_at)
        runs = wait_until(
            client,
            lambda run: (run.parameters.get("batch") or {}).get("batch_id") in {first, second},
            3,
            timeout_s=180,
        )
    finally:
        client.update_deployment(deployment.id, DeploymentUpdate(parameters={}))

    assert all(run.state is not None and run.state.is_completed() for run in runs)
    of_first = [run for run in runs if run.parameters["batch"]["batch_id"] == first]
    messages = [str(run.state.message) for run in of_first if run.state is not None]
    assert len(messages) == 2
    assert any("Nothing to do" in message for message in messages)
    published = text(
        "SELECT batch_id, d.id, d.created_at FROM training_validation_batches b"
        " JOIN training_datasets d ON d.id = b.dataset_id WHERE batch_id = ANY(:batches)"
    )
    with engine.connect() as connection:
        rows = connection.execute(published, {"batches": [first, second]}).all()
    assert sorted(row.batch_id for row in rows) == sorted([first, second])
    took = min(row.created_at for row in rows) - told_at
    with capsys.disabled():
        sys.stdout.write(f"\nfrom event to published: {took.total_seconds():.1f} s\n")


def wait_until(
    client: SyncPrefectClient, wanted: Any, count: int, timeout_s: float = 120
) -> list[FlowRun]:
    """Return the runs that `wanted` picks, once so many of them have ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = [run for run in client.read_flow_runs(limit=200) if wanted(run)]
        ended = [run for run in found if run.state is not None and run.state.is_final()]
        if len(ended) >= count:
            return ended
        assert time.monotonic() < deadline, [(run.name, run.state_name) for run in found]
        time.sleep(0.5)


def cli(ready: Any, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("astrid-training")), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(ready.home), **environment},
        timeout=180,
    )


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


def test_the_command_line_collects_and_tells_all_as_json(ready: Any) -> None:
    got = cli(
        ready,
        *("collect", "--name", "by hand", "--survey-ids", "sim_small"),
        *("--quality-score-threshold", "0", "--allow-sparse-splits", "true"),
        *("--trigger-training", "false", "--json"),
    )

    assert got.returncode == 0, got.stderr
    outcome = json.loads(got.stdout)
    assert {
        *("dataset_id", "name", "version_id", "total_samples", "splits", "classes"),
        *("anomaly_ratio", "quality_score", "digests", "funnel", "flow_run_id", "mlflow_run_id"),
    } <= set(outcome)
    assert set(outcome["funnel"][0]) == {"step", "reason", "count"}
    listed = json.loads(cli(ready, "datasets", "--name", "by hand", "--json").stdout)
    assert [one["dataset_id"] for one in listed] == [outcome["dataset_id"]]
    shown = json.loads(cli(ready, "show", outcome["dataset_id"], "--json").stdout)
    assert shown["total_samples"] == outcome["total_samples"]
    page = ready.home / "report.html"
    assert cli(ready, "report", "by hand", "-o", str(page)).returncode == 0
    assert "by hand" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "sentence"),
    [
        pytest.param(
            ["--survey-ids", "hubble"],
            {},
            1,
            "no survey named hubble",
            marks=pytest.mark.slow,  # what a run refuses is tested below
        ),
        (["--date-range", "2025-01-01,2024-01-01"], {}, 2, "give the earlier one first"),
        (["--max-samples", "0"], {}, 2, "max_samples"),
        (["--max-samples", "many"], {}, 2, "max_samples"),
        (["--split", '{"train": 0.5, "val": 0.1, "test": 0.1}'], {}, 2, "sum to 1"),
        (["--split", "{"], {}, 2, "split"),
        pytest.param(
            ["--survey-ids", "sim_small", "--bands", "none"],
            {},
            1,
            "no sample in train",
            marks=pytest.mark.slow,  # what a gate refuses is tested below
        ),
        (
            [],
            {"ASTRID_DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none"},
            1,
            "no database at",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    ready: Any,
    engine: Engine,
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    got = cli(ready, "collect", "--name", "refused", *arguments, "--json", **environment)

    assert got.returncode == code, got.stderr
    assert sentence in json.loads(got.stdout)["error"]
    assert "Traceback" not in got.stderr
    with engine.connect() as connection:
        count = connection.execute(
            text("SELECT count(*) FROM training_datasets WHERE name = 'refused'")
        ).scalar_one()
    assert count == 0


def test_a_missing_server_is_named_with_its_cure(ready: Any) -> None:
    got = cli(ready, "collect", "--json", PREFECT_API_URL="http://127.0.0.1:1/api")

    assert got.returncode == 1
    assert "astrid-training up" in json.loads(got.stdout)["error"]


def test_parameters_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("name: from file\nmax_samples: 7\nsurvey_ids: [a, b]\n")

    params = parameters_from({"max_samples": "8", "bands": "g, r"}, file)

    assert (params.name, params.max_samples) == ("from file", 8)
    assert (params.survey_ids, params.bands) == (["a", "b"], ["g", "r"])
