"""Step 8: train on what was published, once."""

from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.digests import digest_value
from astrid_training.faults import fault_point
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import PublishedDataset
from astrid_training.trainings import attach_training_run, close_training_run, open_training_run
from blocks import places
from tasks.caching import step_options
from tasks.deployment_runs import start_deployment_run

__all__ = ["start_training", "trigger_training"]


@task(
    **step_options(
        "trigger_training",
        version=1,
        run_name="start training on {published.name} {published.version_id}",
        modules=("astrid_training.trainings",),
        within_run=True,  # the idempotency key below is what makes it happen once
    )
)
def trigger_training(published: PublishedDataset, params: TrainingDataCollectionParams) -> str:
    """Open the training's row, start its flow run, and return the row's id.

    The same dataset and training parameters give the same row and the same flow run, until that
    training has failed: then the next collection tries it anew.

    Args:
        published: what to train on.
        params: the collection's parameters, which hold the training's.
    """
    fault_point("trigger_training", "before")
    training_run_id = start_training(published.dataset_id, params.training_steps)
    fault_point("trigger_training", "after")
    return training_run_id


def start_training(dataset_id: str, steps: int) -> str:
    """Open the row of a training on a dataset, start its flow run, and return the row's id.

    Args:
        dataset_id: what to train on.
        steps: optimiser steps.

    Raises:
        ServerUnavailableError: if the Prefect server does not answer; the row is closed.
    """
    engine, target = places.database(), places.training_target()
    training = {**target.parameters, "steps": steps}
    key = digest_value([dataset_id, training])
    opened = open_training_run(engine, dataset_id, training, key)
    if opened.status == "completed":
        get_run_logger().info("training run %s has been completed before", opened.id)
        return opened.id
    parameters: dict[str, Any] = {
        "dataset_id": dataset_id,
        "training_run_id": opened.id,
        **training,
    }
    try:
        # not waited for: training outlives who starts it
        started = start_deployment_run(target.deployment, parameters, opened.idempotency_key)
    except Exception as error:
        close_training_run(engine, opened.id, error=f"could not be started: {error}")
        raise
    attach_training_run(engine, opened.id, str(started.id))
    get_run_logger().info("training run %s is flow run %s", opened.id, started.id)
    return opened.id
