"""MLflow through its client object: how we reach it, and how it knows our datasets.

MLflow is imported inside the functions: it takes seconds, and a loader needs none of it.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from astrid_training.records import TrainingDataset
from astrid_training.samples import SCHEMA
from astrid_training.urls import mask_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel, Metric, Param, RunTag

__all__ = [
    "MOST_METRICS",
    "TrackingUnavailableError",
    "as_metrics",
    "as_params",
    "as_tags",
    "dataset_input",
    "dataset_tags",
    "ending",
    "experiment_id",
    "log_numbers",
    "logging_model",
    "safe_metrics",
    "safe_name",
    "tracking",
]

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # a task's own time limit does not end a blocked socket
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # longer outages are for the task's retries
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for the caller's own output
}
MOST_METRICS = 1000
"""That MLflow takes at once."""
LONGEST_VALUE = 6000  # of a parameter, characters
PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}


class TrackingUnavailableError(ConnectionError):
    """MLflow does not answer."""


@contextmanager
def tracking(uri: str) -> Iterator["MlflowClient"]:
    """Give the block a client of MLflow at `uri`, a server's address or a database's.

    Raises:
        TrackingUnavailableError: if a call inside the block gets no answer.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        if error.error_code not in PASSING:
            raise
        shown = mask_url(uri)
        cause = str(error).splitlines()[0].replace(uri.rstrip("/"), shown.rstrip("/"))
        raise TrackingUnavailableError(
            f"MLflow at {shown} does not answer: {cause}; start it with "
            "`astrid-training up` or correct MLFLOW_TRACKING_URI"
        ) from (error if shown == uri else None)  # MLflow's own message holds the password


@contextmanager
def ending(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """End the run with the block: finished, or failed if it raises."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


@contextmanager
def logging_model(
    client: "MlflowClient", run_id: str, name: str, kind: str, tags: Mapping[str, str]
) -> Iterator["LoggedModel"]:
    """Give the block a logged model that the run puts out; it is ready with the block, or failed.

    Args:
        client: of the server that has the run.
        run_id: the run.
        name: of the model.
        kind: what models are grouped by.
        tags: of the model.
    """
    from mlflow.entities import LoggedModelOutput

    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment, name, run_id, dict(tags), model_type=kind)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        yield model
        status = "READY"
    finally:
        client.finalize_logged_model(model.model_id, status)


def experiment_id(client: "MlflowClient", name: str) -> str:
    """Return the id of the experiment, made if there is none of that name."""
    from mlflow.exceptions import MlflowException

    found: Any = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another run has just made it
    return str(found.experiment_id)


def dataset_tags(dataset: TrainingDataset) -> dict[str, str]:
    """Return what names a dataset, in full: ids, digests and the preprocessing's fingerprint."""
    tags = {
        "dataset_id": str(dataset.id),
        "dataset": dataset.name,
        "version_id": dataset.version_id,
        "parent_id": str(dataset.parent_id or ""),
        "spec_fingerprint": dataset.spec_fingerprint,
        "derived_from": str(dataset.derived_from or ""),
        "collection_flow_run_id": dataset.flow_run_id or "",
        **{f"{name}_digest": digest for name, digest in dataset.digests.items()},
    }
    return {f"astrid.{name}": value for name, value in tags.items() if value}


def dataset_input(
    dataset: TrainingDataset, context: str, source_uri: str | None, schema: pa.Schema = SCHEMA
) -> "DatasetInput":
    """Return the dataset as an input of a run: its version_id is the digest there.

    Args:
        dataset: its row in the database.
        context: what the run does with it, such as `training`.
        source_uri: where the samples table lies; None: its key in the store.
        schema: of the samples table.
    """
    from mlflow.entities import DatasetInput, InputTag

    from astrid_training.mlflow_dataset import from_astrid  # MLflow, in `tracking`, comes first

    entity = from_astrid(dataset, source_uri=source_uri, columns=schema)._to_mlflow_entity()  # noqa: SLF001 - as mlflow.log_input does
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", context)])


def log_numbers(uri: str, run_id: str, numbers: Mapping[str, float]) -> None:
    """Log metrics of now on a run, in one request.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(uri) as client:
        client.log_batch(run_id, metrics=as_metrics(numbers, int(time.time() * 1000)))


def as_metrics(numbers: Mapping[str, float], at_ms: int) -> list["Metric"]:
    """Return metrics of one instant, so that logging them again adds nothing."""
    from mlflow.entities import Metric

    return [Metric(name, float(value), at_ms, 0) for name, value in numbers.items()]


def as_params(values: Mapping[str, Any]) -> list["Param"]:
    """Return parameters; a value that is no text is written as JSON."""
    from mlflow.entities import Param

    texts = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
    return [Param(name, text[:LONGEST_VALUE]) for name, text in texts.items()]


def as_tags(values: Mapping[str, str]) -> list["RunTag"]:
    """Return tags of a run."""
    from mlflow.entities import RunTag

    return [RunTag(name, value) for name, value in values.items()]


def safe_name(name: str) -> str:
    """Return the name with what MLflow refuses in keys and file names replaced."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def safe_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics under names that MLflow takes; slashes stay, by which it groups them."""
    return {"/".join(map(safe_name, name.split("/"))): one for name, one in metrics.items()}
