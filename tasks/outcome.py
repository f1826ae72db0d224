"""What a finished collection tells those who wait for it."""

import json
from dataclasses import asdict
from typing import Any

from prefect.runtime import flow_run

from astrid_training.records import PublishedDataset, outcome_key, report_key
from blocks import places

__all__ = ["record_outcome"]


def record_outcome(
    dataset: PublishedDataset,
    mlflow_run_id: str,
    training_run_id: str | None,
    warnings: list[str],
) -> dict[str, Any]:
    """Write the outcome to the store, where any machine can read it, and return it.

    Args:
        dataset: that was published, or was there.
        mlflow_run_id: that tells of it.
        training_run_id: of the training that was started; None: none was.
        warnings: what slowed the collection, with the cure.
    """
    outcome = {
        **asdict(dataset),
        "flow_run_id": str(flow_run.id),
        "mlflow_run_id": mlflow_run_id,
        "training_run_id": training_run_id,
        "warnings": warnings,
        "report_url": f"{places.store().url}/{report_key(dataset.dataset_id)}",
    }
    places.store().put(outcome_key(str(flow_run.id)), json.dumps(outcome).encode())
    return outcome
