"""A collection in the caller's own process, for notebooks."""

from collections.abc import Mapping
from typing import Any

from astrid_training.settings import apply_environment, resolve

__all__ = ["collect_here"]


def collect_here(collection_params: Mapping[str, Any]) -> str:
    """Run the collection in this process and return the dataset's id.

    Args:
        collection_params: fields of TrainingDataCollectionParams.
    """
    apply_environment(resolve())
    from flows.collect import (  # Prefect reads its settings when imported
        training_data_collection_flow,
    )
    from tasks.forking import let_children_end

    let_children_end()
    outcome: Any = training_data_collection_flow(
        **{"trigger_training": False, **collection_params, "trigger": "notebook"}
    )
    return str(outcome["dataset_id"])
