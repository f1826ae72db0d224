"""Start a training on a published dataset and wait for its end."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.digests import digest_value
from astrid_training.records import TrainingRun
from astrid_training.settings import Settings
from astrid_training.training_params import TrainingParams
from astrid_training.trainings import (
    attach_training_run,
    close_training_run,
    open_training_run,
    training_runs,
)
from astrid_training.urls import mask_url
from deployments.console import say
from deployments.runs import start_run, wait_for
from flows.parameters import as_flow_parameters
from tasks.deployment_runs import TRAINING

__all__ = [
    "TrainingFailedError",
    "check_completed",
    "train_and_wait",
    "wait_for_training",
]

POLL_S = 1.0


class TrainingFailedError(RuntimeError):
    """A training has not come to a good end."""


def train_and_wait(settings: Settings, dataset: str, params: TrainingParams) -> dict[str, Any]:
    """Run a training as a deployment run and return its row of training_runs, which is closed.

    Args:
        settings: where database and server are.
        dataset: id, version or name.
        params: how to train; what was not given is left to the deployment.

    Raises:
        ServerUnavailableError: if the server cannot be reached; a training that has begun goes on.
    """
    engine = open_database(settings.database_url)
    dataset_id = str(TrainingDatasetManager(engine).get_dataset(dataset).id)
    training = as_flow_parameters(params)
    started = digest_value([dataset_id, training, time.time_ns()])  # asked for anew each time
    row_id = open_training_run(engine, dataset_id, training, started).id
    asked = {"dataset_id": dataset_id, "training_run_id": row_id, **training}
    try:
        flow_run_id = start_run(TRAINING, asked, say)
    except Exception as error:
        close_training_run(engine, row_id, error=f"could not be started: {error}")
        raise
    attach_training_run(engine, row_id, flow_run_id)
    run = wait_for(flow_run_id, say)
    if _row(engine, dataset_id, row_id).status == "running":  # it was killed, or never began
        close_training_run(engine, row_id, error=f"flow run ended {run.state}: {run.message}")
    row = _row(engine, dataset_id, row_id)
    say(f"training {row.id}: {row.status}")
    return asdict(row)


def wait_for_training(
    settings: Settings,
    dataset_id: str,
    run_id: str,
    say: Callable[[str], None],
    limit_s: float = 600,
) -> dict[str, Any]:
    """Return the row of a training once it is closed, or as it is after `limit_s` seconds."""
    engine = open_database(settings.database_url)
    deadline = time.monotonic() + limit_s
    while True:
        row = _row(engine, dataset_id, run_id)
        if row.status != "running" or time.monotonic() > deadline:
            say(f"training {row.id}: {row.status}")
            return asdict(row)
        time.sleep(POLL_S)


def check_completed(settings: Settings, training: Mapping[str, Any]) -> None:
    """Return if the training is completed.

    Args:
        settings: where people look the run up.
        training: its row of training_runs.

    Raises:
        TrainingFailedError: if it failed or still runs, with where to look.
    """
    if training["status"] == "completed":
        return
    what = "is still running" if training["status"] == "running" else "failed"
    page = f"{mask_url(settings.prefect_ui_url)}/runs/flow-run/{training['flow_run_id']}"
    raise TrainingFailedError(f"training {training['id']} {what}; its flow run says more: {page}")


def _row(engine: Engine, dataset_id: str, run_id: str) -> TrainingRun:
    return next(run for run in training_runs(engine, dataset_id) if str(run.id) == run_id)
