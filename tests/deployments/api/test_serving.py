"""The API as a process of its own, and who it listens to."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from astrid_training.api_tokens import find_token
from astrid_training.database import open_database
from astrid_training.run_metrics import STEPS
from astrid_training.settings import DERIVED, ENVIRONMENT
from astrid_training.simulate import SkyPlan
from deployments import api_command
from deployments.api.models import LoadedDataset, Run, RunMetrics
from deployments.cli import app
from deployments.simulated import simulate_sky

SKY = SkyPlan(
    survey="sim_rest",
    fields=6,
    epochs=3,
    frame_size=(220, 260),
    stars=40,
    galaxies=10,
    artifacts=4,
)
ASKED = {
    "name": "over-rest",
    "survey_ids": ["sim_rest"],
    "quality_score_threshold": 0,
    "allow_sparse_splits": True,
    "batch_samples": 64,
    "trigger_training": False,
}
Command = Callable[..., Any]


@pytest.fixture
def command(database: Engine, tmp_path: Path) -> Iterator[Command]:
    """Run a command on an empty database."""
    before = dict(os.environ)  # a command sets this process's environment
    for variable in (*ENVIRONMENT.values(), DERIVED):
        os.environ.pop(variable, None)
    url = database.url.render_as_string(hide_password=False)
    os.environ |= {"ASTRID_TRAINING_HOME": str(tmp_path), "ASTRID_DATABASE_URL": url}
    yield lambda *arguments: CliRunner().invoke(app, arguments)
    os.environ.clear()
    os.environ |= before
    open_database(url).dispose()


def test_tokens_are_made_listed_and_revoked(command: Command, database: Engine) -> None:
    made = command("token", "create", "web", "--scope", "read", "--scope", "collect")
    token = made.stdout.strip()
    found = find_token(database, token)
    assert found is not None
    assert set(found.scopes) == {"read", "collect"}
    assert command("token", "create", "web").exit_code == 1
    assert command("token", "create", "x", "--scope", "all").exit_code == 2

    listed = command("token", "list", "--json")
    assert [(one["name"], one["counts"]) for one in json.loads(listed.stdout)] == [("web", True)]
    assert token not in listed.output
    assert command("token", "revoke", "web").exit_code == 0
    assert find_token(database, token) is None
    assert "revoked" in command("token", "list").stderr
    assert command("token", "revoke", "nobody").exit_code == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_other_machines_are_not_listened_to_without_a_token(
    command: Command, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_command, "_serve", lambda *_: None)
    refused = command("api", "--host", host)

    assert refused.exit_code == 2
    assert "astrid-training token create" in refused.stderr


def test_where_it_listens_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(api_command, "_serve", lambda *given: served.append(given))
    alone = command("api", "--port", "0", "--json")
    url = json.loads(alone.stdout)["url"]
    assert url == f"http://127.0.0.1:{served[0][1].getsockname()[1]}"
    assert "there is no token yet" in alone.stderr

    command("token", "create", "web")
    everybody = command("api", "--host", "0.0.0.0", "--port", "0")
    assert everybody.exit_code == 0
    assert "TLS" in everybody.stderr
    taken = command("api", "--port", url.rpartition(":")[2])
    assert (taken.exit_code, len(served)) == (1, 2)
    for _, listening, *_ in served:
        listening.close()


@pytest.fixture(scope="module")
def served(stack: Any, bootstrapped: Any) -> Iterator[httpx.Client]:
    """A client, with a token, of an API that runs as a process on the stack."""
    assert bootstrapped
    simulate_sky(stack.settings, SKY, lambda _: None)
    program = [sys.executable, "-m", "deployments.cli"]
    token = subprocess.run(
        [*program, "token", "create", "web", "--scope", "read", "--scope", "collect"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = [*program, "api", "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = json.loads("".join(process.stdout.readline() for _ in range(3)))["url"]
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        yield client
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert "Traceback" not in log
    assert token not in log
    assert "POST '/training/datasets/collect' 202" in log


def finished(client: httpx.Client, place: str) -> Run:
    deadline = time.monotonic() + 180
    while True:
        answer = client.get(place)
        run = Run.model_validate(answer.json())
        if run.finished:
            return run
        assert time.monotonic() < deadline, run
        time.sleep(min(float(answer.headers["Retry-After"]), 2))


@pytest.mark.slow
def test_from_a_request_to_a_dataset_that_is_ready(served: httpx.Client) -> None:
    asked = served.post(
        "/training/datasets/collect", json=ASKED, headers={"Idempotency-Key": "one"}
    )
    assert asked.status_code == 202
    run = finished(served, asked.headers["Location"])
    assert run.state == "Completed", run.message
    assert run.dataset is not None
    took = RunMetrics.model_validate(served.get(f"{asked.headers['Location']}/metrics").json())
    assert [one.step for one in took.steps] == [one for one in STEPS if one != "trigger_training"]
    assert took.steps[-1].samples_out == run.dataset.total_samples
    place = f"/training/datasets/{run.dataset.dataset_id}"

    (listed,) = served.get("/training/datasets?creator=web&name=over-rest").json()["datasets"]
    record = served.get(place).json()
    assert (listed["dataset_id"], record["created_by"]) == (record["dataset_id"], "web")
    assert record["flow_run_id"] == str(run.flow_run_id)
    assert served.get(f"{place}/quality").json()["total_samples"] == run.dataset.total_samples
    assert "over-rest" in served.get(f"{place}/report").text
    loaded = LoadedDataset.model_validate(served.post(f"{place}/load").json())
    assert sum(loaded.splits.values()) <= run.dataset.total_samples
    assert loaded.paths["images"]
    assert served.get("/health").json() == {"status": "ok"}


@pytest.mark.slow
def test_a_collection_that_is_refused_says_why(served: httpx.Client) -> None:
    body = {**ASKED, "name": "refused", "quality_score_threshold": 1}
    run = finished(served, served.post("/training/datasets/collect", json=body).headers["Location"])

    assert run.state == "Failed"
    assert run.dataset is None
    assert run.message is not None
    assert run.message.startswith("dataset refused: ")
