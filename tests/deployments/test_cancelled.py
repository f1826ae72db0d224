"""A run that a person cancels ends, leaves nothing half made, and the next run makes what it would have made."""

import json
import time
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling
from sqlalchemy import Engine, text

from astrid_training.digests import digest_bytes
from astrid_training.gc import FOLDERS
from astrid_training.run_metrics import read_run_metrics
from astrid_training.store import Store, open_store
from deployments.runs import run_and_wait, start_run
from tasks.deployment_runs import COLLECTION
from tests.deployments.small_survey import quiet

PIXELS = {"softening": 7.0}  # that no other test has built
ASKED: dict[str, Any] = {
    "survey_ids": ["sim_ztf"],
    "quality_score_threshold": 0,
    "allow_one_class": True,
    "allow_sparse_splits": True,
    "trigger_training": False,
    "batch_samples": 16,
}
NAMED_BY_CONTENT = set(FOLDERS) - {"reports", "refusals", "runs"}


@pytest.fixture(scope="module")
def stack(lone_stack: Any) -> Any:
    return lone_stack


@pytest.fixture(scope="module")
def ready(lone_stack: Any) -> Any:
    return lone_stack


@pytest.mark.slow
def test_the_run_after_a_cancelled_one_takes_its_batch_and_makes_its_dataset(
    ready: Any, engine: Engine, client: SyncPrefectClient, collect: Any
) -> None:
    before = computing(ready)
    batches = [f"batch-{uuid4()}" for _ in range(2)]

    cancelled = start_run(COLLECTION, of_batch(batches[0], "cancelled"), quiet)
    wait_until_packs_are_there(engine)
    assert len(computing(ready) - before) >= 2  # the flow's own, and one that computes
    client.set_flow_run_state(UUID(cancelled), Cancelling())
    state = wait_until_final(client, cancelled).state

    assert state is not None
    assert state.is_cancelled()
    check_nothing_is_half_made(engine, open_store(ready.settings), "cancelled")
    wait_until_gone(computing(ready) - before)
    assert unfinished_steps(client, cancelled) == []
    assert read_run_metrics(engine, cancelled)[0].step == "fetch_validated_detections"

    finished = run_and_wait(COLLECTION, of_batch(batches[1], "after"), quiet)
    assert finished.completed, finished.message
    outcome = outcome_of(ready, finished.id)
    assert datasets_of(engine, batches) == [outcome["dataset_id"]]
    undisturbed = collect(preprocess=PIXELS)
    assert outcome["digests"]["content"] == undisturbed.digests["content"]


def of_batch(batch_id: str, name: str) -> dict[str, Any]:
    batch = {"batch_id": batch_id, "closed_at": datetime.now(UTC).isoformat()}
    return {**ASKED, "name": name, "preprocess": PIXELS, "trigger": "batch", "batch": batch}


def wait_until_packs_are_there(engine: Engine) -> None:
    """Return when two batches have come into the catalogue, of the many that the run has."""
    deadline = time.monotonic() + 120
    statement = text("SELECT count(DISTINCT image_pack) FROM training_image_catalogue")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        known = connection.execute(statement).scalar_one()
        while connection.execute(statement).scalar_one() < known + 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def wait_until_final(client: SyncPrefectClient, flow_run_id: str) -> FlowRun:
    deadline = time.monotonic() + 90  # the worker waits 30 s before it kills
    while True:
        run = client.read_flow_run(UUID(flow_run_id))
        if run.state is not None and run.state.is_final():
            return run
        assert time.monotonic() < deadline, run.state
        time.sleep(0.2)


def check_nothing_is_half_made(engine: Engine, store: Store, name: str) -> None:
    with engine.connect() as connection:
        made = text("SELECT count(*) FROM training_datasets WHERE name = :name")
        assert connection.execute(made, {"name": name}).scalar_one() == 0
        orphans = text(
            "SELECT count(*) FROM training_samples s WHERE dataset_id NOT IN (SELECT id FROM training_datasets)"
        )
        assert connection.execute(orphans).scalar_one() == 0
    for folder in NAMED_BY_CONTENT:
        for key in store.keys(folder):
            assert digest_bytes(store.get(key)) == PurePosixPath(key).stem


def computing(ready: Any) -> set[int]:
    """Return the processes of this stack's flows and those that compute for them."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        try:
            is_one = "workers import serve" in line or "prefect.engine" in line
            if (
                is_one
                and process.environ().get("PREFECT_API_URL") == ready.settings.prefect_api_url
            ):
                found.add(process.pid)
        except psutil.Error:  # it has ended, or is another user's
            continue
    return found


def wait_until_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(one) for one in processes):
        assert time.monotonic() < deadline, processes
        time.sleep(0.2)


def unfinished_steps(client: SyncPrefectClient, flow_run_id: str) -> list[str]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    runs = client.read_task_runs(flow_run_filter=of_run, limit=200)
    assert runs
    return [f"{run.name}: {run.state_name}" for run in runs if not run.state.is_final()]  # type: ignore[union-attr]


def outcome_of(ready: Any, flow_run_id: str) -> dict[str, Any]:
    path = ready.home / "store" / "runs" / f"{flow_run_id}.json"
    outcome: dict[str, Any] = json.loads(path.read_text())
    return outcome


def datasets_of(engine: Engine, batches: list[str]) -> list[str]:
    statement = text(
        "SELECT DISTINCT dataset_id::text FROM training_validation_batches"
        " WHERE batch_id = ANY(:batches)"
    )
    with engine.connect() as connection:
        return list(connection.execute(statement, {"batches": batches}).scalars())
