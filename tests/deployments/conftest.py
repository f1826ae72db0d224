"""Copies of deployments for a test alone, and what became of their runs."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from sqlalchemy import Engine, text

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from deployments.bootstrap import BootstrapReport, bootstrap
from deployments.embedded.parts import POOL
from deployments.simulated import simulate_sky
from tests.deployments.small_survey import quiet
from tests.skies import SMALL_SURVEY

EVENTS_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
ECHO = f"{Path(__file__).with_name('echo_flow.py')}:echo"
"""A flow that takes the collection's parameters and does nothing with them."""
RECONCILE = Path(__file__).with_name("reconcile_flow.py")


class Deploy(Protocol):
    """Makes a deployment for this test; it and its runs are removed after it."""

    def __call__(
        self,
        name: str,
        entrypoint: str = ECHO,
        *,
        interval_s: float | None = None,
        parameters: dict[str, Any] | None = None,
        limit: int | None = 1,
        served: bool = True,
    ) -> DeploymentResponse: ...


WaitForRuns = Callable[..., list[FlowRun]]
ToldEvent = Callable[[str, str], dict[str, Any]]
Reconcile = Callable[..., list[tuple[str, str]]]
CheckOneDataset = Callable[[Engine, str, dict[str, Any]], None]


@pytest.fixture
def client(stack: Any) -> Iterator[SyncPrefectClient]:
    """A client of the stack's Prefect server."""
    assert stack
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def bootstrapped(stack: Any) -> BootstrapReport:
    """What the bootstrap of the session's stack said, which takes a quarter of a minute."""
    return bootstrap(stack.settings)


@pytest.fixture(scope="session")
def ready(stack: Any, bootstrapped: BootstrapReport) -> Any:
    """The stack with blocks, deployments and a small simulated survey."""
    assert bootstrapped
    simulate_sky(stack.settings, SMALL_SURVEY, quiet)
    return stack


@pytest.fixture
def engine(ready: Any) -> Engine:
    """The database that the flows of `ready` use."""
    return open_database(ready.settings.database_url)


@pytest.fixture
def deploy(client: SyncPrefectClient) -> Iterator[Deploy]:
    """Return a function that deploys a flow under a name of the test's own.

    A worker runs the named entrypoint in a process, one at a time unless `limit` says otherwise,
    as it does with the real deployments; with `interval_s` the runs are scheduled. Runs of one that is
    not `served` stay as the test sets them: no worker takes them.
    """
    made: list[UUID] = []

    def make(
        name: str,
        entrypoint: str = ECHO,
        *,
        interval_s: float | None = None,
        parameters: dict[str, Any] | None = None,
        limit: int | None = 1,
        served: bool = True,
    ) -> DeploymentResponse:
        flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint)
        schedules = []
        if interval_s is not None:
            interval = IntervalSchedule(interval=timedelta(seconds=interval_s))
            schedules.append(DeploymentScheduleCreate(schedule=interval, slug="test"))
        new_id = client.create_deployment(
            flow_id=client.create_flow_from_name(flow.name),
            name=name,
            entrypoint=entrypoint,
            work_pool_name=POOL if served else None,
            pull_steps=[],
            schedules=schedules,
            concurrency_limit=limit,
            concurrency_options=ConcurrencyOptions(
                collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
            ),
            parameters=parameters or {},
            parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )
        made.append(new_id)
        return client.read_deployment(new_id)

    yield make
    for deployment_id in made:
        client.pause_deployment(deployment_id)  # or the scheduler makes new ones meanwhile
        for run in _runs(client, deployment_id):
            client.delete_flow_run(run.id)
        client.delete_deployment(deployment_id)


@pytest.fixture
def wait_for_runs(client: SyncPrefectClient) -> WaitForRuns:
    """Return a function that waits until a deployment has so many runs that ended.

    It returns all of them that ended, the first started first.
    """

    def wait(deployment_id: UUID, count: int = 1, timeout_s: float = 120.0) -> list[FlowRun]:
        deadline = time.monotonic() + timeout_s
        while True:
            runs = _runs(client, deployment_id)
            ended = [run for run in runs if run.state is not None and run.state.is_final()]
            if len(ended) >= count:
                return sorted(ended, key=lambda run: str(run.start_time))
            seen = [(run.name, run.state_name) for run in runs]
            assert time.monotonic() < deadline, f"{count} runs awaited; these are there: {seen}"
            time.sleep(0.5)

    return wait


@pytest.fixture
def told_event(client: SyncPrefectClient) -> ToldEvent:
    """Return a function that waits for an event, and checks that it has what its page says."""

    def find(name: str, resource_id: str) -> dict[str, Any]:
        asked = {"filter": {"event": {"name": [name]}}, "limit": 50}
        deadline = time.monotonic() + 20
        while True:
            events = client._client.post("/events/filter", json=asked).json()["events"]
            found = [one for one in events if one["resource"]["prefect.resource.id"] == resource_id]
            if found:
                break
            assert time.monotonic() < deadline, [one["resource"] for one in events]
            time.sleep(0.2)
        (event,) = found
        roles, payload = documented_events()[name]
        assert set(event["payload"]) == payload
        said = {one["prefect.resource.role"] for one in event["related"]}
        assert "flow-run" in said
        assert said <= roles | {"flow-run"}
        told: dict[str, Any] = event
        return told

    return find


@pytest.fixture
def check_one_dataset() -> CheckOneDataset:
    """Return a function that checks that a name has one dataset, the outcome's, and each of its samples once."""

    def check(engine: Engine, name: str, outcome: dict[str, Any]) -> None:
        datasets = TrainingDatasetManager(engine).list_datasets({"name": name})
        assert [str(one.id) for one in datasets] == [outcome["dataset_id"]]
        count = text(
            "SELECT count(*), count(DISTINCT sample_key) FROM training_samples"
            " WHERE dataset_id = CAST(:id AS uuid) AND split <> 'quarantine'"
        )
        with engine.connect() as connection:
            rows, keys = connection.execute(count, {"id": outcome["dataset_id"]}).one()
        assert rows == keys == outcome["total_samples"]

    return check


@pytest.fixture
def reconcile(stack: Any) -> Reconcile:
    """Return a function that reconciles without grace and returns kind and name of what was found."""

    def run(silence_s: float = 600) -> list[tuple[str, str]]:
        ran = subprocess.run(
            [sys.executable, RECONCILE, str(silence_s)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ASTRID_TRAINING_HOME": str(stack.home)},
            timeout=180,
        )
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout.split("FOUND ")[1])
        return [(one["kind"], one["what"]) for one in found]

    return run


def documented_events() -> dict[str, tuple[set[str], set[str]]]:
    """Return of each event on its page the roles of what is related, and the payload's names."""
    known = {}
    for line in EVENTS_PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `astrid."):
            name, _, related, payload = line.split("|")[1:-1]
            known[name.strip(" `")] = tuple(
                set(re.findall("`([^`]+)`", told)) for told in (related, payload)
            )
    return known  # type: ignore[return-value]  # two columns


def _runs(client: SyncPrefectClient, deployment_id: UUID) -> list[FlowRun]:
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    return list(client.read_flow_runs(deployment_filter=of_it, limit=200))
