"""What the page of events says is what the server is told, and its example works."""

import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.events import Event, RelatedResource, Resource
from sqlalchemy import text

from astrid_training.database import open_database
from astrid_training.errors import ParityError
from deployments.bootstrap import save_blocks
from deployments.events import BATCH_CLOSED
from flows.train import train_model_flow
from tasks import events
from tasks.events import DATASET_PUBLISHED, TRAINING_FAILED, send_event

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
LOST = """
INSERT INTO training_datasets (
    name, status, version_id, collection_params, total_samples, anomaly_ratio, quality_score,
    created_by, splits, classes, funnel, preprocess_spec, spec_fingerprint, query_digest,
    source_digest, label_digest, content_digest, split_digest, samples_key,
    format_version)
VALUES (
    'lost', 'active', 'aaaaaaaaaaaaaaab', '{}', 1, 0.5, 0.9, 'test', '{}', '{}', '[]', '{}', '', '',
    '', '', '', '', 'samples/lost', 1)
RETURNING id::text
"""
EVALUATE = '''
"""A flow of somebody who waits for datasets."""

from prefect import flow


@flow
def evaluate(dataset_id: str) -> None:
    """Evaluate it."""
'''


def test_each_event_that_we_send_has_its_line() -> None:
    sent = {getattr(events, name) for name in events.__all__ if name.isupper()}
    lines = re.findall(r"^\| `(astrid\.[^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(sent) == 6
    assert sorted(lines) == sorted(sent | {BATCH_CLOSED})


def test_a_training_that_fails_is_told(stack: Any, told_event: Any) -> None:
    save_blocks(stack.settings)
    engine = open_database(stack.settings.database_url)
    with engine.begin() as connection:
        dataset = connection.execute(text(LOST)).scalar_one()
    try:
        with pytest.raises(ParityError, match="preprocessing differs"):
            train_model_flow(dataset_id=dataset, steps=1)
        with engine.connect() as connection:
            rows = text("SELECT id::text FROM training_runs WHERE dataset_id = CAST(:id AS uuid)")
            row = connection.execute(rows, {"id": dataset}).scalar_one()
        told = told_event(TRAINING_FAILED, f"astrid.training.{row}")
        assert told["payload"]["dataset_id"] == dataset
    finally:
        with engine.begin() as connection:
            revoked = "UPDATE training_datasets SET status = 'revoked' WHERE id = CAST(:id AS uuid)"
            connection.execute(text(revoked), {"id": dataset})


@pytest.mark.slow  # a new automation is heeded in a while
def test_the_pages_example_starts_a_run_for_each_dataset_with_hst(
    client: SyncPrefectClient, deploy: Any, wait_for_runs: Any, tmp_path: Path
) -> None:
    file = tmp_path / "evaluate_flow.py"
    file.write_text(EVALUATE)
    yours = deploy("yours", f"{file}:evaluate", limit=None)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(example.replace("your-flow/default", "evaluate/yours"), {})
    (automation,) = client.read_automations_by_name("evaluate each new dataset with HST")
    try:
        until_heeded(client, yours.id)
        wanted = published("hst", "ztf")
        published("ztf")

        runs = wait_for_runs(yours.id, count=2)
    finally:
        client.delete_automation(automation.id)

    assert {run.state_name for run in runs} == {"Completed"}
    told = [run.parameters["dataset_id"] for run in runs]
    assert told.count(wanted) == 1
    assert all(one == wanted or one.startswith("probe") for one in told)


def until_heeded(client: SyncPrefectClient, deployment_id: Any) -> None:
    for number in range(10):
        published("hst", dataset_id=f"probe-{number}")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if runs_of(client, deployment_id):
                return
            time.sleep(0.2)
    raise TimeoutError("no event starts a run")


def runs_of(client: SyncPrefectClient, deployment_id: Any) -> list[Any]:
    runs = client.read_flow_runs(limit=200)
    return [run for run in runs if run.deployment_id == deployment_id]


def published(*surveys: str, dataset_id: str = "") -> str:
    """Tell of a dataset that nobody has published, and return its id."""
    dataset_id = dataset_id or str(uuid4())
    related = [
        RelatedResource(
            {"prefect.resource.id": f"astrid.survey.{one}", "prefect.resource.role": "survey"}
        )
        for one in surveys
    ]
    send_event(
        Event(
            event=DATASET_PUBLISHED,
            resource=Resource({"prefect.resource.id": f"astrid.dataset.{dataset_id}"}),
            related=related,
            payload={"dataset_id": dataset_id},
        )
    )
    return dataset_id
