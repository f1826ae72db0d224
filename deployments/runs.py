"""Start a deployment's run on the Prefect server and follow it to its end."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
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
from prefect.client.schemas.objects import FlowRun, StateType, TaskRun
from prefect.client.schemas.sorting import TaskRunSort

from tasks.deployment_runs import ServerUnavailableError, is_away, start_deployment_run

__all__ = ["FinishedRun", "run_and_wait", "start_run", "wait_for"]

POLL_S = 1.0
SILENCE_S = 60.0  # how long a server may be away: a restart takes some 15 s on a loaded machine
PICKUP_S = 30.0  # a worker looks every 2 s, and starting a flow takes some seconds
PAGE = 200  # the most that the server gives at once

Progress = Callable[[str], None]


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
    return wait_for(start_run(deployment, parameters, progress), progress)


def start_run(deployment: str, parameters: Mapping[str, Any], progress: Progress) -> str:
    """Start a run of `deployment` and return its id.

    Args:
        deployment: `flow/deployment`.
        parameters: those that differ from the deployment's own.
        progress: told of the run's name.

    Raises:
        ServerUnavailableError: with the cure.
    """
    run = start_deployment_run(deployment, parameters)
    progress(f"flow run {run.name} ({run.id})")
    return str(run.id)


def wait_for(flow_run_id: str, progress: Progress) -> FinishedRun:
    """Return how a run that somebody started ended.

    A server that is away for less than a minute is waited for.

    Args:
        flow_run_id: of a run that the server knows.
        progress: told of each step that ends, and if no worker takes the run.

    Raises:
        ServerUnavailableError: if the server stays away; the run goes on without us.
    """
    with get_client(sync_client=True) as client:
        return _Watch(client, UUID(flow_run_id), progress).to_its_end()


class _Watch:
    """What has been told of one run so far."""

    def __init__(self, client: SyncPrefectClient, run_id: UUID, progress: Progress) -> None:
        self._client = client
        self._run_id = run_id
        self._progress = progress
        self._told: set[UUID] = set()
        self._state = ""
        self._pickup_by: float | None = time.monotonic() + PICKUP_S

    def to_its_end(self) -> FinishedRun:
        heard = time.monotonic()
        while True:
            try:
                run = self._look()
            except httpx.HTTPError as error:
                if not is_away(error):
                    raise
                if time.monotonic() - heard > SILENCE_S:
                    raise ServerUnavailableError(
                        "the Prefect server does not answer any more; flow run "
                        f"{self._run_id} goes on without this command: start the server with "
                        "`astrid-training up` and look the run up there"
                    ) from error
            else:
                heard = time.monotonic()
                if run.state is not None and run.state.is_final():
                    return _finished(run)
            time.sleep(POLL_S)

    def _look(self) -> FlowRun:
        run = self._client.read_flow_run(self._run_id)
        if run.state_name and run.state_name != self._state:
            self._state = run.state_name
            self._progress(f"  {self._state.lower()}")
        self._tell_of_a_missing_worker(run)
        for step in sorted(self._ended_steps(), key=lambda one: (str(one.end_time), one.name)):
            if step.id not in self._told:
                self._told.add(step.id)
                took = step.total_run_time.total_seconds()
                self._progress(f"  {step.name}: {str(step.state_name).lower()} in {took:.1f} s")
        return run

    def _tell_of_a_missing_worker(self, run: FlowRun) -> None:
        """Say it once, if the run waits too long for someone to take it."""
        if self._pickup_by is None or time.monotonic() < self._pickup_by:
            return
        self._pickup_by = None
        if run.state is not None and (run.state.is_scheduled() or run.state.is_pending()):
            self._progress(
                "  no worker has begun it yet: another run may hold its place, the work pool may be "
                "paused, or no worker runs; `astrid-training status` tells, `up` starts one"
            )

    def _ended_steps(self) -> Iterator[TaskRun]:
        ended = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED]
        for page in count():
            steps = self._client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[self._run_id])),
                task_run_filter=TaskRunFilter(
                    state=TaskRunFilterState(type=TaskRunFilterStateType(any_=ended))
                ),
                sort=TaskRunSort.END_TIME_DESC,
                limit=PAGE,
                offset=page * PAGE,
            )
            yield from steps
            if len(steps) < PAGE:
                return


def _finished(run: FlowRun) -> FinishedRun:
    state = run.state
    return FinishedRun(
        id=str(run.id),
        name=run.name,
        completed=state is not None and state.is_completed(),
        state=run.state_name or "",
        message=(state.message if state is not None else None) or "",
    )
