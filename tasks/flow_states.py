"""Flow runs of ours as the Prefect server has them: which are dead, and what they left running."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

__all__ = [
    "FLOWS",
    "crash_flow_run",
    "crash_task_run",
    "ended_runs",
    "is_silent",
    "left_running",
    "runs_in",
    "state_of",
]

FLOWS = ["training-data-collection", "train-model", "freshness", "reconcile", "retention"]
ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
HEARTBEAT = "prefect.flow-run.heartbeat"
PAGE = 200  # the most that the server gives at once


def runs_in(client: SyncPrefectClient, *types: StateType) -> list[FlowRun]:
    """Return our flow runs that are in one of these states now."""
    return list(_flow_runs(client, FlowRunFilter(state=_state(*types))))


def ended_runs(client: SyncPrefectClient, after: datetime, *types: StateType) -> list[FlowRun]:
    """Return our flow runs that ended after then, in one of these states, or in any."""
    ended = FlowRunFilterEndTime(after_=after)
    return list(_flow_runs(client, FlowRunFilter(state=_state(*types or ENDED), end_time=ended)))


def state_of(client: SyncPrefectClient, flow_run_id: str) -> State[Any] | None:
    """Return the state of a flow run, None where the server does not know it."""
    try:
        return client.read_flow_run(UUID(flow_run_id)).state
    except (ObjectNotFound, ValueError):
        return None


def is_silent(client: SyncPrefectClient, run: FlowRun, since: datetime) -> bool | None:
    """Tell whether a run has sent no heartbeat since then; None: it never sent one, nobody knows."""
    if _heartbeats(client, run.id, since):
        return False
    begun = run.start_time or run.created
    return True if begun is not None and _heartbeats(client, run.id, begun) else None


def left_running(client: SyncPrefectClient, run: FlowRun) -> Iterator[TaskRun]:
    """Yield the task runs of an ended flow run that say that they run."""
    kinds = TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    for page in count():
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [str(run.id)]}}),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=kinds)),
            limit=PAGE,
            offset=page * PAGE,
        )
        yield from tasks
        if len(tasks) < PAGE:
            return


def crash_flow_run(client: SyncPrefectClient, run: FlowRun, why: str) -> None:
    """Let the server know that a run is dead."""
    client.set_flow_run_state(run.id, Crashed(message=why), force=True)


def crash_task_run(client: SyncPrefectClient, task: TaskRun, why: str) -> None:
    """Let the server know that a task run is dead."""
    client.set_task_run_state(task.id, Crashed(message=why), force=True)


def _state(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def _flow_runs(client: SyncPrefectClient, wanted: FlowRunFilter) -> Iterator[FlowRun]:
    named = FlowFilter(name=FlowFilterName(any_=FLOWS))
    for page in count():
        runs = client.read_flow_runs(
            flow_filter=named, flow_run_filter=wanted, limit=PAGE, offset=page * PAGE
        )
        yield from runs
        if len(runs) < PAGE:
            return


def _heartbeats(client: SyncPrefectClient, run_id: UUID, since: datetime) -> int:
    asked = {
        "occurred": {"since": since.isoformat()},
        "event": {"name": [HEARTBEAT]},
        "resource": {"id": [f"prefect.flow-run.{run_id}"]},
    }
    answer = client.request("POST", "/events/filter", json={"filter": asked, "limit": 1})
    found: int = answer.json()["total"]
    return found
