"""What kills leave open on a real server and database is closed, or named; what lives is left alone."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.client.schemas.sorting import ArtifactSort
from prefect.events import Event, Resource
from prefect.states import Crashed, Failed
from sqlalchemy import Engine, text

from astrid_training.claims import claim_batches, receive_batch
from astrid_training.database import open_database
from astrid_training.reconcile import Finding, ReconcileParams
from deployments.bootstrap import save_blocks
from flows.reconcile import reconcile_flow
from flows.train import train_model_flow
from tasks.events import send_event
from tasks.reconcile import (
    close_lost_trainings,
    crash_dead_runs,
    crash_left_task_runs,
    forward_lost_batches,
)
from tasks.train_model import train_model

LONG_AGO = datetime.now(UTC) - timedelta(hours=2)
SILENCE_S = 1.3  # longer than what `reconcile` below takes for silence


@pytest.fixture(scope="module")
def ready(stack: Any) -> Any:
    save_blocks(stack.settings)
    return stack


@pytest.fixture
def engine(ready: Any) -> Iterator[Engine]:
    engine = open_database(ready.settings.database_url)
    yield engine
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM training_validation_batches"))


@pytest.fixture
def run_in(ready: Any, client: SyncPrefectClient) -> Iterator[Any]:
    """Return a function that makes a run of the training flow that is in a state."""
    assert ready
    made: list[UUID] = []

    def make(type_: StateType) -> FlowRun:
        run = client.create_flow_run(train_model_flow, state=State(type=type_))
        made.append(run.id)
        return client.read_flow_run(run.id)

    yield make
    for run_id in made:
        client.delete_flow_run(run_id)


def beat(run: FlowRun) -> None:
    """Send a heartbeat as the run's process does."""
    resource = Resource({"prefect.resource.id": f"prefect.flow-run.{run.id}"})
    send_event(Event(event="prefect.flow-run.heartbeat", resource=resource))


def patience(silence_s: float) -> ReconcileParams:
    """Return limits that nobody should set."""
    return ReconcileParams.model_construct(
        grace_minutes=1e-4, silence_minutes=silence_s / 60, history_days=7
    )


def reconcile() -> list[Finding]:
    """Look for what was lost, with patience of a second."""
    soon = patience(silence_s=1.2)
    return [
        *crash_dead_runs(soon),
        *crash_left_task_runs(soon),
        *forward_lost_batches(soon),
        *close_lost_trainings(soon),
    ]


def about(found: list[Finding], what: object) -> list[tuple[str, str]]:
    """Return kind and deed of what was found about a run, batch or row."""
    return [(one.kind, one.done) for one in found if str(what) in one.what]


def until_kept(client: SyncPrefectClient, run: FlowRun) -> None:
    """Wait until the server has written the run's heartbeat down."""
    asked = {"filter": {"resource": {"id": [f"prefect.flow-run.{run.id}"]}}, "limit": 50}
    deadline = time.monotonic() + 30
    while True:
        events = client.request("POST", "/events/filter", json=asked).json()["events"]
        if any(one["event"] == "prefect.flow-run.heartbeat" for one in events):
            return
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow  # it waits for heartbeats
def test_a_run_that_fell_silent_is_dead_and_one_that_beats_is_not(
    client: SyncPrefectClient, run_in: Any, engine: Engine
) -> None:
    assert engine
    dead, alive, unknown = (run_in(StateType.RUNNING) for _ in range(3))
    beat(dead)
    for _ in range(6):
        time.sleep(1.5)  # the server writes events down every five seconds
        beat(alive)
    until_kept(client, dead)

    found = crash_dead_runs(patience(silence_s=8))

    ((kind, done),) = about(found, dead.id)
    assert (kind, done.startswith("set to Crashed")) == ("dead run", True)
    assert client.read_flow_run(dead.id).state_name == "Crashed"
    assert about(found, alive.id) == []
    assert about(found, unknown.id) == [("silent run", "named only: no heartbeat ever")]
    assert {client.read_flow_run(one.id).state_name for one in (alive, unknown)} == {"Running"}
    assert about(crash_dead_runs(patience(silence_s=8)), dead.id) == []


def test_a_run_that_its_worker_never_began_is_dead(
    client: SyncPrefectClient, run_in: Any, engine: Engine
) -> None:
    assert engine
    stuck = run_in(StateType.PENDING)
    time.sleep(SILENCE_S)
    fresh = run_in(StateType.PENDING)

    found = reconcile()

    assert [kind for kind, _ in about(found, stuck.id)] == ["dead run"]
    assert about(found, fresh.id) == []
    assert client.read_flow_run(fresh.id).state_name == "Pending"


def test_task_runs_of_an_ended_run_do_not_run(
    client: SyncPrefectClient, run_in: Any, engine: Engine
) -> None:
    assert engine
    run = run_in(StateType.RUNNING)
    task: TaskRun = client.create_task_run(
        task=train_model,
        flow_run_id=run.id,
        dynamic_key="0",
        name=f"left-{uuid4()}",
        state=State(type=StateType.RUNNING),
    )
    client.set_flow_run_state(run.id, Failed(message="ended"), force=True)
    time.sleep(0.2)  # longer than the grace

    found = reconcile()

    assert [kind for kind, _ in about(found, task.name)] == ["task run left running"]
    assert client.read_task_run(task.id).state_name == "Crashed"


def receive(engine: Engine, batch_id: str, claimant: FlowRun | None = None) -> None:
    with engine.begin() as connection:
        receive_batch(connection, batch_id, LONG_AGO)
        if claimant is not None:
            claim_batches(connection, str(claimant.id))
        connection.execute(
            text("UPDATE training_validation_batches SET received_at = :at"), {"at": LONG_AGO}
        )


@pytest.fixture
def forwarded(monkeypatch: pytest.MonkeyPatch, run_in: Any) -> list[str]:
    """The batches that were forwarded; their runs are of a flow that does nothing."""
    told: list[str] = []

    def forward(batch_id: str, *_: object, is_pending: bool) -> FlowRun:
        assert is_pending
        told.append(batch_id)
        run: FlowRun = run_in(StateType.SCHEDULED)
        return run

    monkeypatch.setattr("tasks.reconcile.forward_batch", forward)
    return told


@pytest.mark.parametrize(
    ("claimant", "expected"),
    [
        (None, "lost batch"),
        (StateType.CRASHED, "lost batch"),
        (StateType.COMPLETED, "lost batch"),
        (StateType.RUNNING, None),
        (StateType.FAILED, "refused batch"),
        (StateType.CANCELLED, "refused batch"),
    ],
)
def test_a_batch_that_no_run_answers_for_is_forwarded(
    engine: Engine, run_in: Any, forwarded: list[str], claimant: Any, expected: str | None
) -> None:
    batch_id = f"batch-{uuid4()}"
    receive(engine, batch_id, claimant and run_in(claimant))

    found = reconcile()

    assert [kind for kind, _ in about(found, batch_id)] == ([expected] if expected else [])
    assert forwarded == ([batch_id] if expected == "lost batch" else [])


@pytest.mark.parametrize("end", [Crashed(message="killed"), Failed(message="no database")])
def test_the_batch_of_a_run_that_ended_before_it_entered_it_is_forwarded(
    client: SyncPrefectClient, engine: Engine, forwarded: list[str], end: State[Any]
) -> None:
    batch = {
        "batch_id": f"batch-{uuid4()}",
        "closed_at": LONG_AGO.isoformat(),
        "detection_ids": None,
    }
    run = client.create_flow_run(
        train_model_flow,
        parameters={"trigger": "batch", "batch": batch},
        state=State(type=StateType.RUNNING),
    )
    client.set_flow_run_state(run.id, end, force=True)

    found = reconcile()

    client.delete_flow_run(run.id)
    assert [kind for kind, _ in about(found, batch["batch_id"])] == ["lost batch"]
    assert forwarded[0] == batch["batch_id"]
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT batch_id FROM training_validation_batches"))
        assert batch["batch_id"] in rows.scalars().all()


def test_a_batch_whose_own_run_failed_before_it_took_it_is_named(
    engine: Engine, run_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = f"batch-{uuid4()}"
    receive(engine, batch_id)
    monkeypatch.setattr("tasks.reconcile.forward_batch", lambda *_, **__: run_in(StateType.FAILED))

    found = reconcile()

    assert [kind for kind, _ in about(found, batch_id)] == ["refused batch"]


@pytest.mark.parametrize(
    ("batch", "kind"),
    [
        ({"batch_id": "only its name"}, "lost batch"),
        ({"closed_at": LONG_AGO.isoformat()}, "malformed batch"),
        ({"batch_id": "naive", "closed_at": "2024-05-01T12:00:00"}, "malformed batch"),
        ({"batch_id": "odd", "closed_at": "yesterday"}, "malformed batch"),
        ({"batch_id": "odd", "closed_at": 5}, "malformed batch"),
    ],
)
def test_a_batch_that_is_told_in_part_is_forwarded_or_named_and_stops_nobody(
    client: SyncPrefectClient,
    engine: Engine,
    forwarded: list[str],
    batch: dict[str, Any],
    kind: str,
) -> None:
    assert engine
    run = client.create_flow_run(
        train_model_flow,
        parameters={"trigger": "batch", "batch": batch},
        state=State(type=StateType.RUNNING),
    )
    client.set_flow_run_state(run.id, Crashed(message="killed"), force=True)

    found = forward_lost_batches(patience(silence_s=8))

    client.delete_flow_run(run.id)
    what = batch["batch_id"] if kind == "lost batch" else run.id
    assert [kind for kind, _ in about(found, what)] == [kind]
    assert forwarded == ([what] if kind == "lost batch" else [])


@pytest.mark.parametrize(
    ("of", "closed"),
    [(StateType.CRASHED, True), (None, True), ("gone", True), (StateType.RUNNING, False)],
)
def test_a_training_whose_run_is_over_is_closed(
    engine: Engine,
    run_in: Any,
    of: Any,
    closed: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    flow_run_id = str(uuid4()) if of == "gone" else of and str(run_in(of).id)
    with engine.begin() as connection:
        dataset_id = connection.execute(
            text(
                "INSERT INTO training_datasets (name, collection_params, total_samples, anomaly_ratio,"
                " quality_score, created_by) VALUES ('d', '{}', 1, 1, 1, 'test') RETURNING id"
            )
        ).scalar_one()
        training_id = connection.execute(
            text(
                "INSERT INTO training_runs (dataset_id, training_params, idempotency_key, flow_run_id,"
                " started_at) VALUES (:dataset, '{}', :key, :run, :at) RETURNING id"
            ),
            {"dataset": dataset_id, "key": str(uuid4()), "run": flow_run_id, "at": LONG_AGO},
        ).scalar_one()

    found = reconcile()

    assert [kind for kind, _ in about(found, training_id)] == (["open training"] if closed else [])
    with engine.begin() as connection:
        status = connection.execute(
            text("DELETE FROM training_runs WHERE id = :id RETURNING status"), {"id": training_id}
        ).scalar_one()
        connection.execute(text("DELETE FROM training_datasets WHERE id = :id"), {"id": dataset_id})
    assert status == ("failed" if closed else "running")


def test_the_flow_counts_and_names_what_it_found_and_shows_it(
    client: SyncPrefectClient, engine: Engine, forwarded: list[str]
) -> None:
    batch_id = f"batch-{uuid4()}"
    receive(engine, batch_id)

    found: Any = reconcile_flow(silence_minutes=1440)  # what other tests left is not listened for

    lost = [one["what"] for one in found["findings"] if one["kind"] == "lost batch"]
    assert lost.count(batch_id) == 1
    assert found["counts"]["lost batch"] == len(lost)  # other tests may have left some
    assert batch_id in forwarded
    (artifact, *_) = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["reconciled"])),
        sort=ArtifactSort.CREATED_DESC,
    )
    assert batch_id in str(artifact.data)
