"""Whatever dies in the middle of a collection, the next run publishes what an undisturbed one does.

A stack of their own serves all tests of this file: they kill its parts.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import Cancelling
from sqlalchemy import Engine, text

from astrid_training.database import open_database
from astrid_training.gc import find_garbage
from astrid_training.store import Store
from deployments.embedded.stack import status, up
from deployments.runs import wait_for
from tasks.deployment_runs import COLLECTION, start_deployment_run
from tasks.forwarding import forward_batch
from tests.deployments.small_survey import quiet
from tests.tally import Tally

pytestmark = pytest.mark.slow

Reconcile = Callable[..., list[tuple[str, str]]]
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
PACKS = ("images/", "flags/", "significance/", "masks/", "measures/")


@dataclass(frozen=True)
class Held:
    """A collection's run that stands still before a step's work."""

    number: int
    name: str
    batch_id: str
    run_id: UUID
    process: psutil.Process
    gate: Path
    """Removed, the run goes on."""


@pytest.fixture(scope="module")
def stack(lone_stack: Any) -> Any:
    with get_client(sync_client=True) as client:
        for one in client.read_deployments():
            client.pause_deployment(one.id)  # what a clock starts would come between
    return lone_stack


@pytest.fixture
def engine(stack: Any) -> Engine:
    return open_database(stack.settings.database_url)


def until(holds: Callable[[], Any], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def hold(
    stack: Any, client: SyncPrefectClient, request: pytest.FixtureRequest
) -> Callable[..., Held]:
    """Return a function that starts a batch's collection and returns when it stands still, before it draws masks unless told."""

    def begin(number: int, step: str = "make_masks", **environment: str) -> Held:
        name, batch_id = f"case {number}", f"batch-{uuid4()}"
        gate = stack.home / "run" / batch_id
        gate.touch()
        request.addfinalizer(lambda: gate.unlink(missing_ok=True))
        deployment = client.read_deployment_by_name(COLLECTION)
        asked = {
            "name": name,
            "survey_ids": ["sim_ztf"],
            "quality_score_threshold": 0,
            "allow_one_class": True,
            "allow_sparse_splits": True,
            "batch_samples": 64,
            "preprocess": pixels(number),
            "trigger_training": step == "trigger_training",
            "training_steps": 2,
        }
        fault = {"ASTRID_FAULT": f"{step}:before:wait={gate}"}
        client.update_deployment(
            deployment.id,
            DeploymentUpdate(parameters=asked, job_variables={"env": fault | environment}),
        )
        run = forward_batch(batch_id, datetime.now(UTC))
        until(lambda: gate.read_text().endswith("\n"))
        process = psutil.Process(int(gate.read_text().split()[0]))
        until(lambda: (step, "Running") in steps_of(client, run.id))
        return Held(number, name, batch_id, run.id, process, gate)

    return begin


def pixels(number: int) -> dict[str, float]:
    """Return how the pixels of a case are made: as nobody else's, so that nothing is built yet."""
    return {"softening": 7.0 + number / 8}


def state_of(client: SyncPrefectClient, run_id: UUID) -> str | None:
    return client.read_flow_run(run_id).state_name


def steps_of(client: SyncPrefectClient, run_id: UUID) -> set[tuple[str, str]]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    runs = client.read_task_runs(flow_run_filter=of_run, limit=200)
    return {(run.task_key.rsplit("-", 1)[0], run.state_name or "") for run in runs}


def states_of_steps(client: SyncPrefectClient, run_id: UUID) -> set[str]:
    return {state for _, state in steps_of(client, run_id)}


def kill(stack: Any, part: str, *, and_children: bool = False) -> None:
    pid = status(stack.home).parts[part].pid
    assert pid is not None
    process = psutil.Process(pid)
    for one in [process, *(process.children(recursive=True) if and_children else [])]:
        one.kill()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def kinds(found: list[tuple[str, str]], held: Held) -> set[str]:
    assert all(held.batch_id in what or what.startswith(f"{held.name} ") for _, what in found)
    return {kind for kind, _ in found}


@pytest.fixture
def check_published(
    stack: Any, engine: Engine, collect: Any, check_one_dataset: Any, reconcile: Reconcile
) -> Callable[[Held, UUID], None]:
    """Return a function that checks that a run made the one dataset, whole, and that nothing is left beside it."""

    def check(held: Held, run_id: UUID) -> None:
        finished = wait_for(str(run_id), quiet)
        assert finished.completed, finished.message
        outcome = json.loads((stack.home / "store" / "runs" / f"{run_id}.json").read_text())
        undisturbed = collect(preprocess=pixels(held.number))
        assert outcome["digests"]["content"] == undisturbed.digests["content"]
        check_one_dataset(engine, held.name, outcome)
        batch = text(
            "SELECT CAST(dataset_id AS text) FROM training_validation_batches WHERE batch_id = :id"
        )
        with engine.connect() as connection:
            settled = connection.execute(batch, {"id": held.batch_id}).scalar_one()
        assert settled == outcome["dataset_id"]
        left = find_garbage(engine, Store(stack.settings.store_url), timedelta(0))
        assert [one.key for one in left if one.key.startswith(PACKS)] == []
        assert reconcile() == []

    return check


def test_a_flow_alone(
    stack: Any, client: SyncPrefectClient, hold: Any, check_published: Any, reconcile: Reconcile
) -> None:
    held = hold(1)

    held.process.kill()

    until(lambda: state_of(client, held.run_id) == "Crashed")
    assert states_of_steps(client, held.run_id) == {"Completed", "Running"}
    held.gate.unlink()
    assert kinds(reconcile(), held) == {"task run left running", "lost batch"}
    assert states_of_steps(client, held.run_id) == {"Completed", "Crashed"}
    check_published(held, forward_batch(held.batch_id, datetime.now(UTC)).id)


@pytest.mark.trust
def test_a_worker_and_its_flow(
    stack: Any,
    client: SyncPrefectClient,
    hold: Any,
    check_published: Any,
    reconcile: Reconcile,
    tally: Tally,
) -> None:
    held = hold(2)
    until(lambda: has_beaten(client, held.run_id))

    kill(stack, "worker")
    held.process.kill()

    up(stack.home)
    time.sleep(10)  # longer than what is taken for silence below
    state = client.read_flow_run(held.run_id).state
    assert state is not None
    assert state.name == "Running", state
    assert states_of_steps(client, held.run_id) == {"Completed", "Running"}
    held.gate.unlink()
    found = kinds(reconcile(silence_s=9), held)
    assert found == {"dead run", "task run left running", "lost batch"}
    assert state_of(client, held.run_id) == "Crashed"
    assert states_of_steps(client, held.run_id) == {"Completed", "Crashed"}
    check_published(held, forward_batch(held.batch_id, datetime.now(UTC)).id)
    tally("processes killed", 2)
    tally("recoveries", 1)


def test_a_server_that_was_away_for_longer_than_a_run_may_be_silent(
    stack: Any, client: SyncPrefectClient, hold: Any, reconcile: Any, check_published: Any
) -> None:
    silence_s = 70.0
    held = hold(8, PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30")  # the most often that there is
    until(lambda: has_beaten(client, held.run_id))

    kill(stack, "prefect_server")
    time.sleep(silence_s)
    up(stack.home)

    assert kinds(reconcile(silence_s), held) == set()
    assert state_of(client, held.run_id) == "Running"

    kill(stack, "worker")
    held.process.kill()
    up(stack.home)
    held.gate.unlink()
    time.sleep(silence_s)
    assert "dead run" in kinds(reconcile(silence_s), held)
    assert state_of(client, held.run_id) == "Crashed"
    check_published(held, forward_batch(held.batch_id, datetime.now(UTC)).id)


def has_beaten(client: SyncPrefectClient, run_id: UUID) -> bool:
    asked = {"filter": {"resource": {"id": [f"prefect.flow-run.{run_id}"]}}, "limit": 50}
    events = client.request("POST", "/events/filter", json=asked).json()["events"]
    return any(one["event"] == "prefect.flow-run.heartbeat" for one in events)


@pytest.mark.parametrize(
    ("number", "part"),
    [
        pytest.param(3, "prefect_server", marks=pytest.mark.trust),
        pytest.param(4, "postgres", marks=pytest.mark.trust),
        (5, "worker"),
    ],
)
def test_a_server_or_a_worker_that_comes_back(
    stack: Any,
    client: SyncPrefectClient,
    hold: Any,
    check_published: Any,
    tally: Tally,
    number: int,
    part: str,
) -> None:
    held = hold(number)

    kill(stack, part)

    held.gate.unlink()  # the run goes on without it
    time.sleep(1)
    assert held.process.is_running()
    up(stack.home)
    check_published(held, held.run_id)
    assert states_of_steps(client, held.run_id) == {"Completed"}
    check_published(held, start_deployment_run(COLLECTION, {}).id)  # the next finds the same
    tally("processes killed", 1)
    tally("recoveries", 1)


def test_a_database_that_stays_away(
    stack: Any, client: SyncPrefectClient, hold: Any, check_published: Any, reconcile: Reconcile
) -> None:
    held = hold(6)

    kill(stack, "postgres")

    held.gate.unlink()
    until(lambda: state_of(client, held.run_id) == "Failed")
    assert states_of_steps(client, held.run_id) == {"Completed", "Failed"}
    up(stack.home)
    assert kinds(reconcile(), held) == {"refused batch"}
    following = start_deployment_run(COLLECTION, {"trigger": "batch"})
    check_published(held, following.id)


@pytest.mark.trust
def test_mlflow_that_stays_away_and_a_dataset_that_is_logged_later(
    stack: Any,
    client: SyncPrefectClient,
    hold: Any,
    check_published: Any,
    reconcile: Reconcile,
    tally: Tally,
) -> None:
    held = hold(9, "log_lineage", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")

    kill(stack, "mlflow", and_children=True)  # it is they who answer

    held.gate.unlink()
    until(lambda: state_of(client, held.run_id) == "Failed")
    state = client.read_flow_run(held.run_id).state
    assert state is not None
    assert state.message is not None
    assert "TrackingUnavailableError: MLflow at http://" in state.message
    assert "start it with `astrid-training up` or correct MLFLOW_TRACKING_URI" in state.message
    up(stack.home)
    ((kind, what),) = reconcile()
    assert kind == "dataset without lineage"
    assert held.name in what
    check_published(held, start_deployment_run(COLLECTION, {}).id)
    tally("processes killed", 1)
    tally("recoveries", 1)


@pytest.mark.parametrize(
    ("number", "step"),
    [
        pytest.param(number, step, marks=[pytest.mark.trust] * (step == "persist_dataset"))
        for number, step in enumerate(STEPS, 20)
    ],
)
def test_a_run_that_a_person_cancels_at_any_step(
    client: SyncPrefectClient,
    hold: Any,
    check_published: Any,
    reconcile: Reconcile,
    tally: Tally,
    number: int,
    step: str,
) -> None:
    held = hold(number, step)

    client.set_flow_run_state(held.run_id, Cancelling())

    until(lambda: state_of(client, held.run_id) == "Cancelled")
    until(lambda: not held.process.is_running())
    held.gate.unlink()
    unlogged = {"dataset without lineage"} if step == "log_lineage" else set()
    named = kinds(reconcile(), held)
    assert unlogged <= named <= {"task run left running", "refused batch", *unlogged}
    assert "Running" not in states_of_steps(client, held.run_id)
    is_published = step in {"log_lineage", "trigger_training"}
    following = start_deployment_run(COLLECTION, {} if is_published else {"trigger": "batch"})
    check_published(held, following.id)
    tally("recoveries", 1)
