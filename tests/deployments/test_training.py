"""A training that does not come to a good end is told, and its row does not say that it runs."""

from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from astrid_training.settings import Settings, resolve
from astrid_training.training_params import TrainingParams
from astrid_training.trainings import close_training_run, open_training_run, training_runs
from deployments import demo as module
from deployments.cli import app
from deployments.training import train_and_wait, wait_for_training
from tasks.deployment_runs import ServerUnavailableError

ROW = """
INSERT INTO training_datasets (
    name, status, version_id, collection_params, total_samples, anomaly_ratio, quality_score,
    created_by, splits, classes, funnel, preprocess_spec, spec_fingerprint, query_digest,
    source_digest, label_digest, content_digest, split_digest, samples_key)
VALUES (
    'd', 'active', 'aaaaaaaaaaaaaaaa', '{}', 1, 0.5, 0.9, 'test', '{}', '{}', '[]', '{}', '', '',
    '', '', '', '', 'samples/x')
RETURNING id
"""


@pytest.fixture
def dataset(database: Engine) -> str:
    """The id of a published dataset."""
    with database.begin() as connection:
        return str(connection.execute(text(ROW)).scalar_one())


@pytest.fixture
def settings(database: Engine, tmp_path: Path) -> Settings:
    """A home with this test's database and a Prefect server that does not answer."""
    return resolve(
        tmp_path,
        database_url=database.url.render_as_string(hide_password=False),
        prefect_api_url="http://127.0.0.1:9/api",
        mlflow_tracking_uri="http://me:hidden@127.0.0.1:9",
    )


def test_a_training_that_cannot_be_started_is_closed_with_the_error(
    database: Engine, dataset: str, settings: Settings
) -> None:
    with (
        temporary_settings({PREFECT_API_URL: settings.prefect_api_url}),
        pytest.raises(ServerUnavailableError, match="astrid-training up"),
    ):
        train_and_wait(settings, "d", TrainingParams(steps=2))

    (row,) = training_runs(database, dataset)
    assert (row.status, row.completed_at is not None) == ("failed", True)
    with database.connect() as connection:
        error = connection.execute(text("SELECT error FROM training_runs")).scalar_one()
    assert "could not be started: the Prefect server does not answer" in error


@pytest.mark.parametrize(
    ("end", "code", "sentence"),
    [
        ({"metrics": {"train_loss": 0.1}}, 0, "train_loss"),
        ({"error": "out of memory"}, 1, "failed; its flow run says more: http://127.0.0.1:9/runs/"),
        (None, 1, "is still running"),
    ],
    ids=["completed", "failed", "running"],
)
def test_the_demo_ends_as_its_training_did_and_shows_no_password(
    database: Engine,
    dataset: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    end: dict[str, Any] | None,
    code: int,
    sentence: str,
) -> None:
    row = open_training_run(database, dataset, {}, "key")
    if end is not None:
        close_training_run(database, row.id, **end)
    outcome = {
        "dataset_id": dataset,
        "training_run_id": row.id,
        "report_url": "report",
        "name": "d",
        "version_id": "a",
        "total_samples": 1,
        "quality_score": 1.0,
        "reused": False,
        "splits": {},
        "classes": {},
        "funnel": [],
        "id": str(uuid4()),
    }
    monkeypatch.setattr(module, "_start", lambda: settings)
    monkeypatch.setattr(module, "_prepare", lambda _settings: None)
    monkeypatch.setattr(module, "simulate_sky", lambda *_, **__: None)
    monkeypatch.setattr(module, "collect_and_wait", lambda *_: outcome)
    monkeypatch.setattr(
        "deployments.training.wait_for_training",
        partial(wait_for_training, limit_s=0),
    )

    done = CliRunner().invoke(app, ["demo"])

    assert done.exit_code == code, done.output
    assert sentence in done.output
    assert "hidden" not in done.output
