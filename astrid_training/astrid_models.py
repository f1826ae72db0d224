"""AstrID's table of models: a trained network gets a row there where AstrID lets us write it."""

import json
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from astrid_training.database import query
from astrid_training.models import RegisteredModel
from astrid_training.records import TrainingDataset

__all__ = ["keep_model_row"]

LONGEST_NAME = 100  # of a model, as AstrID's column has it
LONGEST_DATASET = 200
SCORES = {"precision": "test_precision", "recall": "test_recall", "f1_score": "test_f1"}
"""AstrID's columns, and the metrics of the detections in the test split that they hold."""


def keep_model_row(
    engine: Engine,
    registered: RegisteredModel,
    dataset: TrainingDataset,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> str | None:
    """Write the registered model into AstrID's `models` and return the row's id.

    None where this role may not insert and update there: AstrID's owner decides by granting it.
    The row is not active; putting a model to use is AstrID's.

    Args:
        engine: of the database.
        registered: as MLflow has it; name and version are the row's.
        dataset: what it was trained on.
        params: how it was trained; JSON values.
        metrics: figures by name.
    """
    with engine.begin() as connection:
        if not connection.execute(query("model_may_write")).scalar_one():
            return None
        values = _row(registered, dataset, params, metrics)
        return str(connection.execute(query("model_put"), values).scalar_one())


def _row(
    registered: RegisteredModel,
    dataset: TrainingDataset,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> dict[str, Any]:
    known = {name: value for name, value in metrics.items() if math.isfinite(value)}
    trained_on = f" {dataset.version_id}"
    architecture = {
        "name": "UNet",
        "channels": params.get("channels"),
        "width": params.get("width"),
        "spec_fingerprint": dataset.spec_fingerprint,
    }
    return {
        "name": registered.name[:LONGEST_NAME],
        "version": registered.version,
        "architecture": json.dumps(architecture),
        "hyperparameters": json.dumps(dict(params)),
        "training_dataset": dataset.name[: LONGEST_DATASET - len(trained_on)] + trained_on,
        "training_metrics": json.dumps(known),
        **{column: known.get(metric) for column, metric in SCORES.items()},
        "model_path": registered.uri,
        "mlflow_run_id": registered.run_id,
    }
