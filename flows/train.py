"""From a published training set to a trained network."""

from typing import Any

from prefect import flow

from astrid_training.training import TrainingParams
from flows.parameters import flat_parameters
from tasks.logs import keep_flow_log
from tasks.train_model import train_model

__all__ = ["train_model_flow"]


@flow(
    name="train-model",
    flow_run_name="train on {dataset_id}",
    validate_parameters=False,  # the decorator below checks them, all at once and in plain words
)
@flat_parameters(TrainingParams)
def train_model_flow(
    params: TrainingParams, dataset_id: str, training_run_id: str | None = None
) -> dict[str, Any]:
    """Train the U-Net on a training set, log it, and close its row in training_runs.

    Args:
        params: The training's parameters, given one by one.
        dataset_id: Id, version or name of a published dataset.
        training_run_id: Row of training_runs that was opened for this run; none: one is opened.
    """
    keep_flow_log()
    metrics: dict[str, Any] = train_model(dataset_id, training_run_id, params)
    return metrics
