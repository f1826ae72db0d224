"""MLflow through its client object: how we reach it, and how it knows our datasets.

MLflow is imported inside the functions: it takes seconds, and a loader needs none of it.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.types as kinds

from astrid_training.records import TrainingDataset
from astrid_training.samples import SCHEMA
from astrid_training.urls import mask_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag

__all__ = [
    "TrackingUnavailableError",
    "as_metrics",
    "as_params",
    "as_tags",
    "dataset_input",
    "dataset_tags",
    "ending",
    "experiment_id",
    "log_numbers",
    "safe_key",
    "safe_name",
    "tracking",
]

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # a task's own time limit does not end a blocked socket
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # longer outages are for the task's retries
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for the caller's own output
}
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
        "flow_run_id": dataset.flow_run_id or "",
        **{f"{name}_digest": digest for name, digest in dataset.digests.items()},
    }
    return {f"astrid.{name}": value for name, value in tags.items()}


def dataset_input(
    dataset: TrainingDataset, context: str, source_uri: str | None, schema: pa.Schema = SCHEMA
) -> "DatasetInput":
    """Return the dataset as MLflow knows it: its version_id is the digest there.

    MLflow's own digests look at the first rows only, so that two datasets could share one.

    Args:
        dataset: its row in the database.
        context: what the run does with it, such as `training`.
        source_uri: where the samples table lies; None: its key in the store.
        schema: of the samples table.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    uri = source_uri or dataset.samples_key
    columns = [{"name": field.name, "type": _mlflow_type(field.type)} for field in schema]
    profile = {
        "num_rows": dataset.total_samples,
        "splits": dataset.splits,
        "classes": dataset.classes,
        "spec_fingerprint": dataset.spec_fingerprint,
        "content_digest": dataset.digests["content"],
    }
    entity = Dataset(
        name=dataset.name,
        digest=dataset.version_id,
        source_type="s3" if uri.startswith("s3:") else "local",
        source=json.dumps({"uri": uri}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(profile, sort_keys=True),
    )
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", context)])


def _mlflow_type(kind: pa.DataType) -> str:
    known = {"string": "string", "bool": "boolean", "int32": "integer", "int64": "long"}
    if kinds.is_timestamp(kind):
        return "datetime"
    return known.get(str(kind), "double")


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


def safe_key(name: str) -> str:
    """Return the name with what MLflow refuses in a metric's name replaced; slashes group."""
    return "/".join(safe_name(part) for part in name.split("/"))
