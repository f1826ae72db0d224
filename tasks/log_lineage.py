"""Step 7: where the dataset came from, for people and for MLflow."""

from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.description import keep_description
from astrid_training.faults import fault_point
from astrid_training.lineage import log_training_dataset_info
from astrid_training.records import PublishedDataset, report_key
from blocks import places
from tasks.artifacts import funnel_artifact, report_artifact
from tasks.caching import step_options

__all__ = ["log_lineage"]


@task(
    **step_options(
        "log_lineage",
        version=1,
        run_name="log {published.name} {published.version_id}",
        modules=("astrid_training.lineage", "astrid_training.description"),
        within_run=True,  # the tracking server may have changed; logging twice reuses the run
    )
)
def log_lineage(published: PublishedDataset) -> str:
    """Write report and card, log the dataset to MLflow and return the MLflow run's id.

    A worker process reads samples and pixels and leaves files, which are logged here.

    Args:
        published: what was published, or reused.
    """
    fault_point("log_lineage", "before")
    place, manager = places.workplace(), TrainingDatasetManager(places.database())
    store, dataset = place.store(), manager.get_dataset(published.dataset_id)
    with TemporaryDirectory() as folder:
        described = workers.run(
            collection_steps.describe_dataset, place, published.dataset_id, Path(folder)
        )
        keep_description(dataset, described, store)
        source = f"{store.url}/{dataset.samples_key}"
        mlflow_run_id = log_training_dataset_info(
            dataset,
            described,
            places.tracking(),
            source_uri=source,
            parent=manager.parent(dataset),
        )
    manager.set_mlflow_run(published.dataset_id, mlflow_run_id)
    funnel_artifact(published.funnel, dataset.name)
    report = f"{store.url}/{report_key(dataset.id)}"
    report_artifact(report, f"{dataset.name} {dataset.version_id}")
    get_run_logger().info("MLflow run %s, report %s", mlflow_run_id, report)
    fault_point("log_lineage", "after")
    return mlflow_run_id
