"""What people run. Importing this package imports nothing: Prefect comes only when a flow runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrid_training.dataset import TrainingSplits

__all__ = ["load_real_training_data"]


def load_real_training_data(
    dataset_id: str | None = None, collection_params: Mapping[str, Any] | None = None
) -> "TrainingSplits":
    """Return (train, val, test) of a published dataset, or of one that is collected now.

    Args:
        dataset_id: id, version or name of a dataset; needs neither Prefect nor MLflow.
        collection_params: fields of TrainingDataCollectionParams; the collection runs in this
            process, logged on the Prefect server, and does not start a training.

    Raises:
        ValueError: unless exactly one of the two is given.
        CollectionRefusedError: if the parameters are wrong.
    """
    if (dataset_id is None) == (collection_params is None):
        raise ValueError("give either dataset_id or collection_params")
    from astrid_training.dataset import load_training_dataset  # brings torch

    if collection_params is not None:
        from flows.notebook import collect_here  # brings Prefect

        dataset_id = collect_here(collection_params)
    return load_training_dataset(dataset_id)
