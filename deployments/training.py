"""Start a training on a published dataset and wait for its end."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from astrid_training.catalogue import (
    TrainingDatasetManager,
    attach_training_run,
    open_training_run,
    training_runs,
)
from astrid_training.database import open_database
from astrid_training.digests import digest_value
from astrid_training.settings import Settings
from deployments.console import say
from deployments.runs import run_and_wait

__all__ = ["train_and_wait", "wait_for_training"]

DEPLOYMENT = "train-model/default"
POLL_S = 1.0


def train_and_wait(settings: Settings, dataset: str, steps: int) -> dict[str, Any]:
    """Run a training as a deployment run and return its row of training_runs."""
    engine = open_database(settings.database_url)
    dataset_id = str(TrainingDatasetManager(engine).get_dataset(dataset).id)
    training = {"steps": steps}
    started = digest_value([dataset_id, training, time.time_ns()])  # asked for anew each time
    run_id = open_training_run(engine, dataset_id, training, started)
    run = run_and_wait(
        DEPLOYMENT, {"dataset_id": dataset_id, "training_run_id": run_id, **training}, say
    )
    attach_training_run(engine, run_id, run.id)
    return wait_for_training(settings, dataset_id, run_id, say)


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
        row = next(run for run in training_runs(engine, dataset_id) if str(run.id) == run_id)
        if row.status != "running" or time.monotonic() > deadline:
            say(f"training {row.id}: {row.status}")
            return asdict(row)
        time.sleep(POLL_S)
