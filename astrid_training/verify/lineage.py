"""The report, and the run in MLflow, against the dataset that they describe."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from astrid_training.records import TrainingDataset, report_key
from astrid_training.store import Store
from astrid_training.tracking import TrackingUnavailableError, dataset_tags, tracking
from astrid_training.verify.findings import Finding

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["check_report", "check_tracking"]

LOG = "`astrid-training verify --repair` logs it again"


def check_report(store: Store, dataset: TrainingDataset, where: str) -> Iterator[Finding]:
    """Yield a finding where the report is not there; a derived dataset has none of its own."""
    key = report_key(dataset.id)
    if dataset.derived_from is None and store.head(key) is None:
        cure = "`astrid-training verify --repair` writes it again"
        yield Finding("report", where, f"its report {key} is not there", cure)


def check_tracking(uri: str, dataset: TrainingDataset, where: str) -> Iterator[Finding]:
    """Yield what MLflow has forgotten of the dataset, or says otherwise.

    A derived dataset has no run of its own.

    Args:
        uri: MLflow's server or database.
        dataset: its row.
        where: the dataset's name.
    """
    if dataset.derived_from is not None:
        return
    if dataset.mlflow_run_id is None:
        yield Finding("tracking", where, "it was never logged to MLflow", LOG)
        return
    try:
        with tracking(uri) as client:
            problem = _problem(client, dataset, dataset.mlflow_run_id)
    except TrackingUnavailableError as error:
        yield Finding("tracking", where, "MLflow could not be asked", str(error))
        return
    if problem:
        yield Finding("tracking", where, problem, LOG)


def _problem(client: "MlflowClient", dataset: TrainingDataset, run_id: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return f"MLflow has no run {run_id}"
    if run.info.lifecycle_stage != "active":
        return f"its run {run_id} was deleted in MLflow"
    if run.info.status != "FINISHED":
        return f"its run {run_id} in MLflow is {run.info.status.lower()}, not finished"
    return _other_words(dataset, run)


def _other_words(dataset: TrainingDataset, run: "Run") -> str | None:
    """Return what the run's tags and its input say of another dataset, if they do."""
    for name, value in dataset_tags(dataset).items():
        told = run.data.tags.get(name)
        if told != value:
            return f"its run {run.info.run_id} in MLflow has {name} {told}, not {value}"
    inputs = run.inputs.dataset_inputs if run.inputs else []
    digests = sorted({str(one.dataset.digest) for one in inputs})
    if digests != [dataset.version_id]:
        return f"its run {run.info.run_id} in MLflow has the inputs {digests}, not itself"
    return None
