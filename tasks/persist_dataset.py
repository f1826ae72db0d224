"""Step 6: a dataset, whole or not at all."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.faults import fault_point
from astrid_training.logs import naming
from astrid_training.publish import Collected, CollectionGateError
from astrid_training.records import BuiltBatch, Leaks, Plan, PublishedDataset, Selection
from blocks import places
from tasks.artifacts import refusal_artifact
from tasks.caching import step_options
from tasks.events import DATASET_PUBLISHED, DATASET_REJECTED, announce

__all__ = ["persist_dataset"]


@task(
    **step_options(
        "persist_dataset",
        version=1,
        run_name="publish {run.params.name}",
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
        _tell_of_refusal(refusal, run)
        raise
    if not dataset.reused:
        _tell_of_dataset(dataset, run)
    fault_point("persist_dataset", "after")
    with naming(dataset=dataset.dataset_id):
        get_run_logger().info(
            "%s %s: %d samples, quality %.3f%s",
            dataset.name,
            dataset.version_id,
            dataset.total_samples,
            dataset.quality_score,
            " (the active version is the same)" if dataset.reused else "",
        )
    return dataset


def _tell_of_dataset(dataset: PublishedDataset, run: Collected) -> None:
    kept = TrainingDatasetManager(places.database()).get_dataset(dataset.dataset_id)
    surveys = sorted(kept.quality_report["survey_coverage"])
    related = [
        *(("survey", f"astrid.survey.{name}") for name in surveys),
        *(("validation-batch", f"astrid.validation-batch.{name}") for name in run.batch_ids),
    ]
    if kept.parent_id is not None:
        related.append(("parent", f"astrid.dataset.{kept.parent_id}"))
    payload = {
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "version_id": dataset.version_id,
        "total_samples": dataset.total_samples,
        "splits": dataset.splits,
        "classes": dataset.classes,
        "quality_score": dataset.quality_score,
        "content_digest": dataset.digests["content"],
        "surveys": surveys,
    }
    announce(DATASET_PUBLISHED, f"astrid.dataset.{dataset.dataset_id}", payload, related)


def _tell_of_refusal(refusal: CollectionGateError, run: Collected) -> None:
    payload = {
        "name": run.params.name,
        "reasons": refusal.reasons,
        "report": f"refusals/{run.flow_run_id}.html",
    }
    related = [("validation-batch", f"astrid.validation-batch.{name}") for name in run.batch_ids]
    announce(DATASET_REJECTED, f"astrid.collection.{run.flow_run_id}", payload, related)
