"""Step 7: where the dataset came from, for people and for MLflow."""

from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.faults import fault_point
from astrid_training.lineage import log_training_dataset_info
from astrid_training.records import PublishedDataset
from astrid_training.report import write_report
from astrid_training.samples import read_samples
from blocks import places
from tasks.artifacts import funnel_artifact, report_artifact
from tasks.caching import step_options

__all__ = ["log_lineage"]


@task(
    **step_options(
        "log_lineage",
        version=1,
        run_name="log {published.name} {published.version_id}",
        modules=("astrid_training.lineage", "astrid_training.report"),
        within_run=True,  # the tracking server may have changed; logging twice reuses the run
    )
)
def log_lineage(published: PublishedDataset) -> str:
    """Write the report, log the dataset to MLflow and return the MLflow run's id.

    Args:
        published: what was published, or reused.
    """
    fault_point("log_lineage", "before")
    store, manager = places.store(), TrainingDatasetManager(places.database())
    dataset = manager.get_dataset(published.dataset_id)
    samples = read_samples(store, dataset.samples_key)
    with TemporaryDirectory() as folder:
        page = write_report(dataset, samples, places.packs(), Path(folder) / "report.html")
        key = f"reports/{dataset.id}.html"
        store.put(key, page.read_bytes())
        mlflow_run_id = log_training_dataset_info(
            dataset,
            samples,
            dataset.quality_report,
            places.tracking(),
            packs=places.packs(),
            report_html=page,
            source_uri=f"{store.url}/{dataset.samples_key}",
        )
    manager.set_mlflow_run(published.dataset_id, mlflow_run_id)
    funnel_artifact(published.funnel, dataset.name)
    report_artifact(f"{store.url}/{key}", f"{dataset.name} {dataset.version_id}")
    get_run_logger().info("MLflow run %s, report %s/%s", mlflow_run_id, store.url, key)
    fault_point("log_lineage", "after")
    return mlflow_run_id
