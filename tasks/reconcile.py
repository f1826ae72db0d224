"""What kills and lost messages left open, closed or named: each a task, each may run twice."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from astrid_training.claims import receive_batch
from astrid_training.errors import CollectionRefusedError
from astrid_training.reconcile import (
    Finding,
    PendingBatch,
    ReconcileParams,
    half_published,
    listen_for,
    open_trainings,
    pending_batches,
)
from astrid_training.trainings import close_training_run
from blocks import places
from tasks.claims import read_batch
from tasks.flow_states import (
    crash_flow_run,
    crash_task_run,
    ended_runs,
    is_silent,
    left_running,
    runs_in,
    state_of,
)
from tasks.forwarding import forward_batch
from tasks.retrying import RETRIES

__all__ = [
    "close_lost_trainings",
    "crash_dead_runs",
    "crash_left_task_runs",
    "forward_lost_batches",
    "name_half_published_datasets",
]

STUCK = "was given to a worker that has not begun it"
SILENT = "its process has sent no heartbeat; it was killed together with its worker"
LEFT = "its flow run had ended"
UNENDED = (StateType.RUNNING, StateType.CANCELLING, StateType.PENDING)
REFUSED = frozenset({StateType.FAILED, StateType.CANCELLED})
"""How a run ends that would end so again: a person is to see why."""


@task(name="crash_dead_runs", persist_result=False, **RETRIES)
def crash_dead_runs(params: ReconcileParams) -> list[Finding]:
    """Set runs whose process is gone to Crashed, so that they block nothing and hold no batch.

    A server that was away has heard nobody, and living runs speak again within minutes. So what
    seems dead is listened for, and is dead if it says nothing while the server is seen to answer.
    A server that goes away meanwhile fails the task, whose next try listens anew. A run that never
    sent a heartbeat is named and left: nobody knows whether it lives.
    """
    since = datetime.now(UTC) - timedelta(minutes=params.silence_minutes)
    with get_client(sync_client=True) as client:
        runs = runs_in(client, *UNENDED)
        old = [run for run in runs if not _is_young(run, since)]
        seen = {run.id: _seems_dead(client, run, since) for run in old}
        suspects = [run for run in old if seen[run.id]]
        dead = listen_for(
            suspects,
            lambda left: _still_silent(client, left, since),
            params.silence_minutes * 60 / 2,  # the runs' heartbeats come more often, see its bound
        )
        for run in dead:
            crash_flow_run(client, run, _cause(run))
    silent = [run for run in old if seen[run.id] is None]
    return [
        *(Finding("dead run", _named(run), f"set to Crashed: {_cause(run)}") for run in dead),
        *(Finding("silent run", _named(run), "named only: no heartbeat ever") for run in silent),
    ]


@task(name="crash_left_task_runs", persist_result=False, **RETRIES)
def crash_left_task_runs(params: ReconcileParams) -> list[Finding]:
    """Set task runs that still run under an ended flow run to Crashed."""
    now = datetime.now(UTC)
    found: list[Finding] = []
    with get_client(sync_client=True) as client:
        for run in ended_runs(client, now - timedelta(days=params.history_days)):
            if run.end_time is None or run.end_time > now - _grace(params):
                continue
            for one in left_running(client, run):
                crash_task_run(client, one, LEFT)
                done = f"set to Crashed: {LEFT} {run.state_name}"
                found.append(Finding("task run left running", f"{one.name} of {run.name}", done))
    return found


@task(name="forward_lost_batches", persist_result=False, **RETRIES)
def forward_lost_batches(params: ReconcileParams) -> list[Finding]:
    """Start the collection of each closed batch that no run answers for, as its message would.

    What a person has cancelled or gates have refused is named and left: the run of the next batch
    takes it along.
    """
    now, engine = datetime.now(UTC), places.database()
    with get_client(sync_client=True) as client:
        entered = list(_enter_told(client, now - timedelta(days=params.history_days)))
        with engine.connect() as connection:
            pending = pending_batches(connection, now - _grace(params))
        return [*entered, *(one for batch in pending for one in _forwarded(client, batch))]


@task(name="close_lost_trainings", persist_result=False, **RETRIES)
def close_lost_trainings(params: ReconcileParams) -> list[Finding]:
    """Close the rows of trainings whose flow run has ended, or was never started."""
    engine, found = places.database(), []
    with engine.connect() as connection:
        trainings = open_trainings(connection, datetime.now(UTC) - _grace(params))
    with get_client(sync_client=True) as client:
        for one in trainings:
            state = None if one.flow_run_id is None else state_of(client, one.flow_run_id)
            if state is not None and not state.is_final():
                continue
            why = "its flow run is not there" if state is None else f"its flow run is {state.name}"
            close_training_run(engine, one.id, error=why)
            what = f"training {one.id} on {one.dataset_id}"
            found.append(Finding("open training", what, f"closed as failed: {why}"))
    return found


@task(name="name_half_published_datasets", persist_result=False, **RETRIES)
def name_half_published_datasets(params: ReconcileParams) -> list[Finding]:
    """Name the datasets that were published and lack something, as after a kill before they were logged."""
    with places.database().connect() as connection:
        return half_published(connection, places.store(), datetime.now(UTC) - _grace(params))


def _enter_told(client: SyncPrefectClient, after: datetime) -> Iterator[Finding]:
    """Enter and forward the batches of runs that ended before they had entered them."""
    engine = places.database()
    for run in ended_runs(client, after, StateType.CRASHED, StateType.FAILED):
        batch = run.parameters.get("batch")
        if run.parameters.get("trigger") != "batch" or not isinstance(batch, dict):
            continue
        try:
            told = read_batch(batch)
            with engine.begin() as connection:
                is_news = receive_batch(connection, *told)
        except (CollectionRefusedError, ValueError, TypeError) as error:
            yield Finding("malformed batch", f"of {_named(run)}", f"named only: {error}")
            continue
        if is_news:
            yield _answer_for(told[0], forward_batch(*told, is_pending=True))


def _forwarded(client: SyncPrefectClient, batch: PendingBatch) -> Iterator[Finding]:
    state = None if batch.claimed_by is None else state_of(client, batch.claimed_by)
    if state is not None and not state.is_final():
        return  # a run is at work on it
    if state is not None and state.type in REFUSED:
        yield _refused(batch.batch_id, batch.claimed_by, state)
        return
    told = batch.batch_id, batch.closed_at, batch.detection_ids
    yield _answer_for(batch.batch_id, forward_batch(*told, is_pending=True))


def _answer_for(batch_id: str, run: FlowRun) -> Finding:
    """Return which run a batch was left to; one that was refused before it took it is not asked again."""
    if run.state is not None and run.state.type in REFUSED:
        return _refused(batch_id, run.id, run.state)
    get_run_logger().info("batch %s is with run %s", batch_id, run.name)
    return Finding("lost batch", batch_id, f"is with run {_named(run)}")


def _refused(batch_id: str, run_id: object, state: State[Any]) -> Finding:
    done = f"named only: run {run_id} is {state.name}; see why, then close a batch anew"
    return Finding("refused batch", batch_id, done)


def _is_young(run: FlowRun, since: datetime) -> bool:
    changed = None if run.state is None else run.state.timestamp
    return str(run.id) == str(flow_run.id) or changed is None or changed > since


def _seems_dead(client: SyncPrefectClient, run: FlowRun, since: datetime) -> bool | None:
    """Tell whether a run has done nothing since then; None: it never sent a heartbeat."""
    return True if _is_pending(run) else is_silent(client, run, since)


def _still_silent(
    client: SyncPrefectClient, runs: Sequence[FlowRun], since: datetime
) -> list[FlowRun]:
    """Return those of the runs that are in the state they were in and still say nothing."""
    states = {run.id: run.state_type for run in runs_in(client, *UNENDED)}
    return [
        run
        for run in runs
        if states.get(run.id) == run.state_type and _seems_dead(client, run, since)
    ]


def _is_pending(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_pending()


def _cause(run: FlowRun) -> str:
    return STUCK if _is_pending(run) else SILENT


def _grace(params: ReconcileParams) -> timedelta:
    return timedelta(minutes=params.grace_minutes)


def _named(run: FlowRun) -> str:
    return f"{run.name} ({run.id}), {run.state_name}"
