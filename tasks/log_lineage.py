"""Step 7: where the dataset came from, for people and for MLflow."""

from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.cards.stored import CARD, CROISSANT, card_key
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.description import REPORT
from astrid_training.faults import fault_point
from astrid_training.lineage import log_training_dataset_info
from astrid_training.records import PublishedDataset
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
    key = f"reports/{dataset.id}.html"
    with TemporaryDirectory() as folder:
        described = workers.run(
            collection_steps.describe_dataset, place, published.dataset_id, Path(folder)
        )
        store.put(key, (described.folder / REPORT).read_bytes())
        for name in (CARD, CROISSANT):
            store.put(card_key(dataset.id, name), (described.folder / name).read_bytes())
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
    report_artifact(f"{store.url}/{key}", f"{dataset.name} {dataset.version_id}")
    get_run_logger().info("MLflow run %s, report %s/%s", mlflow_run_id, store.url, key)
    fault_point("log_lineage", "after")
    return mlflow_run_id
