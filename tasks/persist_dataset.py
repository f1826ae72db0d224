"""Step 6: a dataset, whole or not at all."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.faults import fault_point
from astrid_training.publish import Collected, CollectionGateError
from astrid_training.records import BuiltBatch, Leaks, Plan, PublishedDataset, Selection
from blocks import places
from tasks.artifacts import refusal_artifact
from tasks.caching import step_options

__all__ = ["persist_dataset"]


@task(
    **step_options(
        "persist_dataset",
        version=1,
        modules=("astrid_training.collection_steps", "astrid_training.publish"),
        within_run=True,  # the ledger and the active versions change with every dataset
    )
)
def persist_dataset(
    selection: Selection, plan: Plan, built: list[BuiltBatch], leaks: Leaks, run: Collected
) -> PublishedDataset:
    """Put the batches together, judge them and publish them in one transaction.

    One task run serves the collection: gates, splits and digests are of the whole. A worker process
    holds its tables.

    Args:
        selection: what was selected.
        plan: what was planned, with the subjects that had no files.
        built: what the batches left.
        leaks: what the leak gate found of it.
        run: who collected, how.
    """
    fault_point("persist_dataset", "before")
    inputs = selection, plan, built, leaks, run
    try:
        dataset = workers.run(collection_steps.publish_dataset, places.workplace(), *inputs)
    except CollectionGateError as refusal:
        refusal_artifact(refusal, run)
        raise
    fault_point("persist_dataset", "after")
    get_run_logger().info(
        "%s %s: %d samples, quality %.3f%s",
        dataset.name,
        dataset.version_id,
        dataset.total_samples,
        dataset.quality_score,
        " (the active version is the same)" if dataset.reused else "",
    )
    return dataset
