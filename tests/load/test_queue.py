"""Fifty collections are asked for at once, in every way: each ends well, one after the other, none lost, none twice."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun
from sqlalchemy import Engine, text

from deployments.events import emit_batch_closed
from tasks.deployment_runs import COLLECTION, ServerUnavailableError, start_deployment_run
from tasks.forwarding import forward_batch
from tests.deployments.small_survey import LENIENT
from tests.load.rounds import until
from tests.load.served_api import ServedApi, ask_to_collect, serve_api

pytestmark = pytest.mark.slow

ASKED = {**LENIENT, "trigger_training": False, "name": "queued by batch"}
SETTLED = text(
    "SELECT batch_id, CAST(dataset_id AS text) AS dataset_id FROM training_validation_batches"
    " WHERE batch_id = ANY(:batches) ORDER BY batch_id"
)
PUBLISHED = text(
    "SELECT name, count(*) AS versions FROM training_datasets WHERE name LIKE 'queued %' GROUP BY name"
)


@pytest.fixture
def served(ready: Any, client: SyncPrefectClient, tmp_path: Path) -> Iterator[ServedApi]:
    deployment = client.read_deployment_by_name(COLLECTION)
    client.update_deployment(deployment.id, DeploymentUpdate(parameters=ASKED))
    with serve_api(ready.home, tmp_path / "api.log") as api:
        yield api
    client.update_deployment(deployment.id, DeploymentUpdate(parameters={}))


class Requests:
    """What was asked for, so far."""

    def __init__(self, api: ServedApi) -> None:
        self.api = httpx.Client(base_url=api.url, headers=api.headers, timeout=120, trust_env=False)
        self.mark = uuid4().hex[:8]
        self.batches: list[str] = []
        self.names = Counter[str]()

    def ask(self, number: int) -> None:
        """Ask for one collection: by REST, by message, by event, as a command does, in turn."""
        (self._by_rest, self._by_message, self._by_event, self._by_command)[number % 4](number)

    def _by_rest(self, number: int) -> None:
        name = f"queued {self.mark} {number % 3}"
        first, second = (ask_to_collect(self.api, name, f"{self.mark}-{number}") for _ in range(2))
        assert first == second
        self.names[name] += 1

    def _by_message(self, number: int) -> None:
        for _ in range(2):
            taken(lambda: forward_batch(f"{self.mark}-{number}", datetime.now(UTC)))
        self.batches.append(f"{self.mark}-{number}")

    def _by_event(self, number: int) -> None:
        emit_batch_closed(f"{self.mark}-{number}", datetime.now(UTC))
        self.batches.append(f"{self.mark}-{number}")

    def _by_command(self, number: int) -> None:
        name = f"queued {self.mark} here"
        asked = {"name": name, "trigger": "cli"}
        taken(lambda: start_deployment_run(COLLECTION, asked, f"{self.mark}-{number}"))
        self.names[name] += 1


def taken(ask: Callable[[], object], limit_s: float = 300.0) -> None:
    """Ask again while the server has too much to do, as the broker does of messages, and people of commands."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            ask()
        except ServerUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(5)
        else:
            return


@pytest.mark.parametrize("number", [pytest.param(4, marks=pytest.mark.trust), 50])
def test_collections_that_are_queued_end_well_one_after_the_other(
    engine: Engine,
    client: SyncPrefectClient,
    served: ServedApi,
    number: int,
    tally: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun, asked = datetime.now(UTC), Requests(served)

    for one in range(number):
        asked.ask(one)
    until(lambda: ended(runs_since(client, begun)) >= number, "all runs", 120 + 60 * number)

    runs = runs_since(client, begun)
    assert len(runs) == number
    assert {run.state_name for run in runs} == {"Completed"}
    check_one_at_a_time(runs)
    check_datasets(engine, asked, runs)
    tally("collections under load", number)
    with capsys.disabled():
        took = (datetime.now(UTC) - begun).total_seconds()
        sys.stdout.write(
            f"\n{number} collections in {took:.0f} s, {overtakings(runs)} overtakings\n"
        )


def runs_since(client: SyncPrefectClient, begun: datetime) -> list[FlowRun]:
    """Return the deployment's runs since then that no clock started, the first asked for first."""
    of_it = DeploymentFilter(
        id=DeploymentFilterId(any_=[client.read_deployment_by_name(COLLECTION).id])
    )
    since = FlowRunFilter(expected_start_time=FlowRunFilterExpectedStartTime(after_=begun))
    found = client.read_flow_runs(deployment_filter=of_it, flow_run_filter=since, limit=200)
    return sorted(
        (run for run in found if not run.auto_scheduled), key=lambda run: str(run.created)
    )


def ended(runs: list[FlowRun]) -> int:
    return sum(run.state is not None and run.state.is_final() for run in runs)


def check_one_at_a_time(runs: list[FlowRun]) -> None:
    times = sorted(
        (run.start_time, run.end_time) for run in runs if run.start_time and run.end_time
    )
    assert len(times) == len(runs)
    assert all(first[1] <= second[0] for first, second in pairwise(times))


def check_datasets(engine: Engine, asked: Requests, runs: list[FlowRun]) -> None:
    """Each batch is in one dataset, each name has one version, and who came too late says so."""
    with engine.connect() as connection:
        rows = connection.execute(SETTLED, {"batches": asked.batches}).all()
        names = {row.name: row.versions for row in connection.execute(PUBLISHED)}
    assert [row.batch_id for row in rows] == sorted(asked.batches)
    assert len({row.dataset_id for row in rows}) == 1
    assert None not in {row.dataset_id for row in rows}
    ours = {name: count for name, count in names.items() if asked.mark in name}
    assert ours == dict.fromkeys(asked.names, 1)
    messages = [run.state.message or "" for run in runs if run.state is not None]
    idle = sum(message.startswith("Nothing to do") for message in messages)
    assert idle < len(asked.batches)


def overtakings(runs: list[FlowRun]) -> int:
    """Return how many pairs of runs began in another order than they were asked for."""
    starts = [run.start_time for run in runs if run.start_time]
    return sum(
        later < earlier for place, earlier in enumerate(starts) for later in starts[place + 1 :]
    )
