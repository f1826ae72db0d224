"""The table of trainings: one row for each training on a dataset."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from astrid_training.database import query
from astrid_training.models import RegisteredModel
from astrid_training.records import TrainingRun
from astrid_training.version import code_version

__all__ = [
    "OpenedTraining",
    "attach_training_run",
    "close_training_run",
    "open_training_run",
    "training_runs",
]


@dataclass(frozen=True, slots=True)
class OpenedTraining:
    """The row of a training that is wanted."""

    id: str
    idempotency_key: str
    """The key asked for, with the attempt's number from the second on; its flow run has the same."""
    status: str
    """running, or completed: then nothing is left to do."""


def open_training_run(
    engine: Engine, dataset_id: str, training_params: Mapping[str, Any], idempotency_key: str
) -> OpenedTraining:
    """Open the row of a training, or find the one of the same key, and return it.

    A training that failed is tried anew, in a row of its own; one whose start failed keeps its row.
    """
    values = {
        "dataset_id": dataset_id,
        "training_params": json.dumps(dict(training_params)),
        "idempotency_key": idempotency_key,
    }
    with engine.begin() as connection:
        row = connection.execute(query("training_run_open"), values).one()
    return OpenedTraining(str(row.id), row.idempotency_key, row.status)


def attach_training_run(
    engine: Engine,
    run_id: str,
    flow_run_id: str,
    training_params: Mapping[str, Any] | None = None,
) -> None:
    """Remember which flow run trains.

    Args:
        engine: of the database.
        run_id: the row.
        flow_run_id: on the Prefect server.
        training_params: how it does, all of it; None: as it was asked for.
    """
    values = {
        "run_id": run_id,
        "flow_run_id": flow_run_id,
        "training_params": None if training_params is None else json.dumps(dict(training_params)),
    }
    with engine.begin() as connection:
        connection.execute(query("training_run_attach"), values)


def close_training_run(
    engine: Engine,
    run_id: str,
    *,
    metrics: Mapping[str, Any] | None = None,
    mlflow_run_id: str | None = None,
    error: str | None = None,
    registered: RegisteredModel | None = None,
    model_id: str | None = None,
) -> None:
    """Close the row of a training: completed, or failed when there is an error.

    Args:
        engine: of the database.
        run_id: the row.
        metrics: figures by name.
        mlflow_run_id: of the training in MLflow.
        error: why it failed.
        registered: the network that it made, as MLflow has it.
        model_id: the same as AstrID's table of models has it.
    """
    values = {
        "run_id": run_id,
        "status": "completed" if error is None else "failed",
        "metrics": None if metrics is None else json.dumps(dict(metrics)),
        "mlflow_run_id": mlflow_run_id,
        "error": error,
        "code_version": code_version(),
        "mlflow_model_id": registered and registered.model_id,
        "registered_name": registered and registered.name,
        "registered_version": registered and registered.version,
        "model_id": model_id,
    }
    with engine.begin() as connection:
        connection.execute(query("training_run_close"), values)


def training_runs(engine: Engine, dataset_id: str) -> list[TrainingRun]:
    """Return the trainings on a dataset, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(query("training_run_list"), {"dataset_id": dataset_id})
        return [TrainingRun(**row._asdict()) for row in rows]
