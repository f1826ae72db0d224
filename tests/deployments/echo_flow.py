"""Runs in a worker's process: takes what the collection takes, and says so."""

from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from astrid_training.params import TrainingDataCollectionParams
from flows.parameters import flat_parameters


@flow(name="echo", validate_parameters=False)
@flat_parameters(TrainingDataCollectionParams)
def echo(
    params: TrainingDataCollectionParams,
    trigger: Literal["manual", "schedule", "batch", "message", "api", "cli", "notebook"] = "manual",
    batch: dict[str, Any] | None = None,
    requested_by: str | None = None,
) -> State[Any]:
    """Say what came in."""
    batch_id = None if batch is None else batch["batch_id"]
    return Completed(message=f"{trigger} {batch_id} {params.max_samples} {params.name}")
