"""Start a deployment's run on the Prefect server and follow it to its end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound

__all__ = ["COLLECTION", "FinishedRun", "ServerUnavailableError", "run_and_wait", "wait_for"]

COLLECTION = "training-data-collection/default"
POLL_S = 1.0

Progress = Callable[[str], None]


class ServerUnavailableError(ConnectionError):
    """The Prefect server does not answer, or does not know the deployment."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A flow run that has ended."""

    id: str
    name: str
    completed: bool
    state: str
    message: str


def run_and_wait(deployment: str, parameters: Mapping[str, Any], progress: Progress) -> FinishedRun:
    """Start a run of `deployment` and return how it ended.

    Args:
        deployment: `flow/deployment`.
        parameters: those that differ from the deployment's own.
        progress: told of each step that ends.

    Raises:
        ServerUnavailableError: with the cure.
    """
    try:
        with get_client(sync_client=True) as client:
            target = client.read_deployment_by_name(deployment)
            run = client.create_flow_run_from_deployment(target.id, parameters=dict(parameters))
            progress(f"flow run {run.name} ({run.id})")
            return _follow(client, run.id, progress)
    except ObjectNotFound as error:
        raise ServerUnavailableError(
            f"the Prefect server has no deployment {deployment}; run `astrid-training bootstrap`"
        ) from error
    except httpx.ConnectError as error:
        raise ServerUnavailableError(
            "the Prefect server does not answer; start it with `astrid-training up` "
            "or set PREFECT_API_URL"
        ) from error


def wait_for(flow_run_id: str, progress: Progress) -> FinishedRun:
    """Return how a run that somebody started ended."""
    with get_client(sync_client=True) as client:
        return _follow(client, UUID(flow_run_id), progress)


def _follow(client: SyncPrefectClient, run_id: UUID, progress: Progress) -> FinishedRun:
    told: set[UUID] = set()
    state = ""
    while True:
        run = client.read_flow_run(run_id)
        if run.state_name and run.state_name != state:
            state = run.state_name
            progress(f"  {state.lower()}")
        _tell_steps(client, run_id, told, progress)
        if run.state is not None and run.state.is_final():
            return _finished(run)
        time.sleep(POLL_S)


def _tell_steps(
    client: SyncPrefectClient, run_id: UUID, told: set[UUID], progress: Progress
) -> None:
    ended = TaskRunFilterState(
        type=TaskRunFilterStateType(any_=[StateType.COMPLETED, StateType.FAILED, StateType.CRASHED])
    )
    steps = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
        task_run_filter=TaskRunFilter(state=ended),
        limit=200,
    )
    for step in sorted(steps, key=lambda one: (str(one.end_time), one.name)):
        if step.id not in told:
            told.add(step.id)
            took = step.total_run_time.total_seconds()
            progress(f"  {step.name}: {str(step.state_name).lower()} in {took:.1f} s")


def _finished(run: FlowRun) -> FinishedRun:
    state = run.state
    return FinishedRun(
        id=str(run.id),
        name=run.name,
        completed=state is not None and state.is_completed(),
        state=run.state_name or "",
        message=(state.message if state is not None else None) or "",
    )
