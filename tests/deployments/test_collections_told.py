"""Collections that a clock or an event starts, and one that is killed; other tests have the parts of each."""

import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import FlowRun
from sqlalchemy import Engine, text

from deployments.events import emit_batch_closed
from tasks.deployment_runs import COLLECTION
from tests.deployments.small_survey import LENIENT, outcome_of, run_flow, steps_of, told

pytestmark = pytest.mark.slow

ASKED = {**LENIENT, "trigger_training": False}


def stamps_since(engine: Engine, moment: datetime) -> dict[str, tuple[str, datetime]]:
    """Return what the catalogue learnt since then: sample -> its pack and when it was entered."""
    statement = text(
        "SELECT sample_key, image_pack, at FROM training_image_catalogue WHERE at > :at"
    )
    with engine.connect() as connection:
        rows = connection.execute(statement, {"at": moment}).all()
    return {row.sample_key: (row.image_pack, row.at) for row in rows}


def test_a_kill_in_make_masks_costs_only_the_step_it_hit(
    ready: Any, engine: Engine, client: SyncPrefectClient
) -> None:
    asked = {"preprocess": {"softening": 4.0}}  # pixels that no other test has built
    with engine.connect() as connection:
        started = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    killed = run_flow(ready, {**ASKED, "name": "killed", **asked}, "make_masks:before:kill")
    assert killed.returncode == -signal.SIGKILL
    with engine.connect() as connection:
        statement = text("SELECT count(*) FROM training_datasets WHERE name = 'killed'")
        assert connection.execute(statement).scalar_one() == 0

    finished = stamps_since(engine, started)
    assert finished

    outcome = told(run_flow(ready, {**ASKED, "name": "killed", **asked}))

    assert stamps_since(engine, started).items() >= finished.items()  # none was built again
    again = [name for name, _ in steps_of(client, outcome["flow_run_id"])]
    rebuilt = sum(name.startswith("build") for name in again) - again.count("preprocess")
    assert rebuilt >= 1  # batches of finished stamps, without download and preprocessing
    assert again.count("download_fits") == again.count("preprocess")
    undisturbed = told(
        run_flow(ready, {**ASKED, "name": "undisturbed", **asked, "batch_samples": 16})
    )
    assert undisturbed["digests"]["content"] == outcome["digests"]["content"]


def test_a_scheduled_run_collects(
    ready: Any, client: SyncPrefectClient, deploy: Any, wait_for_runs: Any
) -> None:
    scheduled = deploy(
        "every few seconds",
        "flows.collect:training_data_collection_flow",
        interval_s=20,
        parameters={**LENIENT, "name": "by schedule", "trigger_training": False},
    )

    (run, *_) = wait_for_runs(scheduled.id, 1)

    assert run.auto_scheduled
    assert run.state.is_completed(), run.state.message
    assert outcome_of(ready, str(run.id))["name"] == "by schedule"


def test_each_closed_batch_gets_into_one_dataset_however_often_it_is_told(
    ready: Any, engine: Engine, client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = client.read_deployment_by_name(COLLECTION)
    first, second = (f"batch-{uuid4()}" for _ in range(2))
    client.update_deployment(
        deployment.id,
        DeploymentUpdate(parameters={**LENIENT, "name": "by event", "trigger_training": False}),
    )
    told_at = datetime.now(UTC)
    try:
        for batch_id in (first, first, second):
            emit_batch_closed(batch_id, told_at)
        runs = wait_until(
            client,
            lambda run: (run.parameters.get("batch") or {}).get("batch_id") in {first, second},
            3,
            timeout_s=180,
        )
    finally:
        client.update_deployment(deployment.id, DeploymentUpdate(parameters={}))

    assert all(run.state is not None and run.state.is_completed() for run in runs)
    of_first = [run for run in runs if run.parameters["batch"]["batch_id"] == first]
    messages = [str(run.state.message) for run in of_first if run.state is not None]
    assert len(messages) == 2
    assert any("Nothing to do" in message for message in messages)
    published = text(
        "SELECT batch_id, d.id, d.created_at FROM training_validation_batches b"
        " JOIN training_datasets d ON d.id = b.dataset_id WHERE batch_id = ANY(:batches)"
    )
    with engine.connect() as connection:
        rows = connection.execute(published, {"batches": [first, second]}).all()
    assert sorted(row.batch_id for row in rows) == sorted([first, second])
    took = min(row.created_at for row in rows) - told_at
    with capsys.disabled():
        sys.stdout.write(f"\nfrom event to published: {took.total_seconds():.1f} s\n")


def wait_until(
    client: SyncPrefectClient, wanted: Any, count: int, timeout_s: float = 120
) -> list[FlowRun]:
    """Return the runs that `wanted` picks, once so many of them have ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = [run for run in client.read_flow_runs(limit=200) if wanted(run)]
        ended = [run for run in found if run.state is not None and run.state.is_final()]
        if len(ended) >= count:
            return ended
        assert time.monotonic() < deadline, [(run.name, run.state_name) for run in found]
        time.sleep(0.5)
