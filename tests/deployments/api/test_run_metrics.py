"""What a run's steps took over REST, which needs no Prefect server once they are kept."""

from typing import Any
from uuid import uuid4

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from astrid_training.meter import Usage
from astrid_training.run_metrics import step_metrics, write_run_metrics
from deployments.api.models import RunMetrics


def test_what_steps_took_is_told_as_it_is_kept(empty_database: Engine, api: TestClient) -> None:
    run_id, usage = str(uuid4()), Usage(worker_cpu_s=3.0, written_bytes=7 << 40)
    steps = [step_metrics(name, 2.0, usage, 8, "any") for name in ("preprocess", "check_leaks")]
    write_run_metrics(empty_database, run_id, steps)

    told: Any = api.get(f"/training/runs/{run_id}/metrics").json()

    kept = RunMetrics.model_validate(told)
    assert str(kept.flow_run_id) == run_id
    assert [(one.step, one.samples_per_s) for one in kept.steps] == [
        ("preprocess", 4.0),
        ("check_leaks", 4.0),
    ]
    assert kept.steps[0].written_bytes == 7 << 40


def test_of_a_run_that_nobody_kept_the_server_is_asked(api: TestClient) -> None:
    assert api.get(f"/training/runs/{uuid4()}/metrics").status_code == 503  # it is away
