"""Collections that are asked for over REST become runs, one for each request."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import State
from prefect.states import Failed

from astrid_training.api_tokens import create_token
from astrid_training.database import open_database
from deployments.api import create_app
from deployments.api.models import Run
from flows.train import train_model_flow
from tests.faulty_proxy import FaultyProxy

COLLECT = "/training/datasets/collect"
ASKED = {"name": "asked", "max_samples": 77}
KEY = {"Idempotency-Key": "2026-03-02"}


@pytest.fixture
def app(stack: Any, deploy: Any) -> Any:
    """An API whose collections are runs of a flow that only says what came in."""
    made = deploy("asked-over-rest", parameters={"workers": 3}, served=False)
    return create_app(
        stack.settings, deployment=f"echo/{made.name}", processors=["somebody:Processor"]
    )


@pytest.fixture
def ask(app: Any, stack: Any) -> Any:
    """Return a function that makes a client with a token of this name."""

    def make(name: str) -> TestClient:
        engine = open_database(stack.settings.database_url)
        token = create_token(engine, name, ["read", "collect"], "tester")
        headers = {"Authorization": f"Bearer {token}"}
        return TestClient(app, headers=headers, raise_server_exceptions=False)

    return make


def ask_until_taken(client: TestClient) -> Any:
    """Send the request as often as a busy server wants, as Retry-After tells every client to."""
    deadline = time.monotonic() + 120
    while True:
        answer = client.post(COLLECT, json=ASKED, headers=KEY)
        if answer.status_code != 503 or time.monotonic() > deadline:
            return answer
        time.sleep(1)


def test_a_request_is_one_run_however_often_it_is_sent(ask: Any, client: SyncPrefectClient) -> None:
    ada, bob = ask("rest-ada"), ask("rest-bob")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask_until_taken(ada), range(6)))
    places = {answer.headers["Location"] for answer in answers}
    assert [answer.status_code for answer in answers] == [202] * 6
    (place,) = places

    reordered = {"max_samples": 77.0, "name": "asked"}
    assert ada.post(COLLECT, json=reordered, headers=KEY).headers["Location"] == place
    other = ada.post(COLLECT, json={**ASKED, "max_samples": 78}, headers=KEY)
    assert (other.status_code, other.json()["type"]) == (
        409,
        "urn:astrid-training:problem:key-reused",
    )
    assert other.json()["flow_run_id"] in place
    theirs = bob.post(COLLECT, json={"processor": "somebody:Processor"}, headers=KEY)
    assert theirs.headers["Location"] != place

    answer = ada.get(place)
    run = Run.model_validate(answer.json())
    assert run.parameters == {"workers": 3, **ASKED}
    assert (run.requested_by, run.trigger) == ("rest-ada", "api")
    assert answer.headers.get("Retry-After") == (None if run.finished else "5")
    _check_end(ada, place, client, run)


def _check_end(ada: TestClient, place: str, client: SyncPrefectClient, run: Run) -> None:
    deployment_id = client.read_flow_run(run.flow_run_id).deployment_id
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    assert len(client.read_flow_runs(deployment_filter=of_it)) == 2  # ada's and bob's, no other
    failed: State[Any] = Failed(
        message="Flow run encountered an exception: GateFailedError: dataset refused"
    )
    client.set_flow_run_state(run.flow_run_id, failed, force=True)
    done = ada.get(place)
    ended = Run.model_validate(done.json())

    assert "Retry-After" not in done.headers
    assert (ended.state, ended.finished, ended.dataset) == ("Failed", True, None)
    assert ended.message == "dataset refused"
    again = ada.post(COLLECT, json=ASKED, headers=KEY)
    assert again.headers["Location"] == place


def test_a_busy_server_is_asked_again_for_the_one_run(
    stack: Any, deploy: Any, client: SyncPrefectClient
) -> None:
    echo = deploy("busy-server", served=False)
    proxy = FaultyProxy(stack.settings.prefect_api_url.removesuffix("/api"))
    behind = {**stack.settings.values, "prefect_api_url": f"{proxy.url}/api"}
    settings = replace(stack.settings, values=behind)
    token = create_token(open_database(settings.database_url), "rest-busy", ["collect"], "tester")
    app = create_app(settings, deployment=f"echo/{echo.name}")
    ask = TestClient(app, headers={"Authorization": f"Bearer {token}"})
    proxy.faults = [503, None, None, 429]  # a token for requests that change is asked for between

    answer = ask.post(COLLECT, json=ASKED)
    asked = Counter(request.rsplit("/", 1)[-1] for request in proxy.seen)
    proxy.close()

    assert answer.status_code == 202
    assert (asked["busy-server"], asked["create_flow_run"]) == (3, 2)
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[echo.id]))
    assert len(client.read_flow_runs(deployment_filter=of_it)) == 1


def test_a_run_of_another_flow_is_none_of_ours(ask: Any, client: SyncPrefectClient) -> None:
    run = client.create_flow_run(train_model_flow)
    answer = ask("rest-eve").get(f"/training/runs/{run.id}")
    client.delete_flow_run(run.id)

    assert answer.status_code == 404
