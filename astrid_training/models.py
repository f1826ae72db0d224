"""Trained networks in MLflow: one logged model a training, which is a version of a registered one.

MLflow is imported inside the functions: it takes seconds, and a loader needs none of it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from astrid_training.records import TrainingDataset
from astrid_training.tracking import (
    MOST_METRICS,
    as_tags,
    dataset_tags,
    logging_model,
    safe_metrics,
    tracking,
)
from astrid_training.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

__all__ = ["NetworkSignature", "RegisteredModel", "register_trained_model"]

MODEL_TYPE = "segmentation"
MODEL_TAG = "astrid.model_id"


@dataclass(frozen=True, slots=True)
class NetworkSignature:
    """What a network takes and gives."""

    channels: tuple[str, ...]
    """Images it sees, in this order."""
    spec_fingerprint: str
    """How their pixels must have been prepared."""
    side_px: int = -1
    """Of the stamps; -1: any that the network can halve often enough."""

    def to_mlflow(self) -> "ModelSignature":
        """Return it as MLflow has it: (sample, channel, y, x) in, logits out, the fingerprint a parameter."""
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types.schema import ParamSchema, ParamSpec, Schema, TensorSpec

        kind, side = np.dtype(np.float32), self.side_px
        return ModelSignature(
            inputs=Schema([TensorSpec(kind, (-1, len(self.channels), side, side), "image")]),
            outputs=Schema([TensorSpec(kind, (-1, 1, side, side), "logits")]),
            params=ParamSchema([ParamSpec("spec_fingerprint", "string", self.spec_fingerprint)]),
        )


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A trained network as MLflow knows it."""

    name: str
    version: str
    """Of the registered model `name`, from 1."""
    model_id: str
    """Of the logged model, `m-…`."""
    run_id: str

    @property
    def uri(self) -> str:
        """Where MLflow's own functions find it."""
        return f"models:/{self.name}/{self.version}"


def register_trained_model(
    run_id: str,
    tracking_uri: str,
    folder: Path,
    *,
    name: str,
    dataset: TrainingDataset,
    metrics: Mapping[str, float],
    signature: NetworkSignature,
) -> RegisteredModel:
    """Log a network with its metrics, register it as the next version of `name`, and return that.

    The metrics are linked to the model and to the dataset, so that each is found from the others. A
    run has one version of a name: registering again returns it.

    Args:
        run_id: the MLflow run of the training, with the dataset as its input.
        tracking_uri: MLflow's server or database.
        folder: state and metadata of the network, as the training left them.
        name: of the registered model; made if there is none.
        dataset: what was trained on, and measured on.
        metrics: finite numbers by name.
        signature: what the network takes and gives.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        before = _registered(client, name, run_id)
        if before is not None:
            return before
        tags = {
            **dataset_tags(dataset),
            "astrid.code_version": code_version(),
            "astrid.channels": json.dumps(signature.channels),
        }
        with logging_model(client, run_id, name, MODEL_TYPE, tags) as model:
            _log_files(client, model, folder, signature)
            _log_metrics(client, model, dataset, metrics)
        return _register(client, model, name, tags)


def _registered(client: "MlflowClient", name: str, run_id: str) -> RegisteredModel | None:
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if not found:
        return None
    version = found[0]  # its own model_id is not told by every store
    return RegisteredModel(name, str(version.version), version.tags[MODEL_TAG], run_id)


def _log_files(
    client: "MlflowClient", model: "LoggedModel", folder: Path, signature: NetworkSignature
) -> None:
    from mlflow.models import Model

    with TemporaryDirectory() as temporary:
        files = Path(temporary) / "model"
        shutil.copytree(folder, files)
        described = Model(
            run_id=model.source_run_id,
            signature=signature.to_mlflow(),
            model_uuid=model.model_id,
            model_id=model.model_id,
            metadata={
                "channels": list(signature.channels),
                "spec_fingerprint": signature.spec_fingerprint,
            },
        )
        described.save(str(files / "MLmodel"))
        client.log_model_artifacts(model.model_id, str(files))


def _log_metrics(
    client: "MlflowClient",
    model: "LoggedModel",
    dataset: TrainingDataset,
    metrics: Mapping[str, float],
) -> None:
    from mlflow.entities import Metric

    run_id = str(model.source_run_id)
    started = int(client.get_run(run_id).info.start_time)  # as the run's own, which stay single
    linked = [
        Metric(
            key,
            float(value),
            started,
            0,
            model.model_id,
            dataset.name,
            dataset.version_id,
        )
        for key, value in safe_metrics(metrics).items()
    ]
    client.log_batch(run_id, tags=as_tags({MODEL_TAG: model.model_id}))
    for first in range(0, len(linked), MOST_METRICS):
        client.log_batch(run_id, metrics=linked[first : first + MOST_METRICS])


def _register(
    client: "MlflowClient", model: "LoggedModel", name: str, tags: Mapping[str, str]
) -> RegisteredModel:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run_id, model_id = str(model.source_run_id), str(model.model_id)
    made = client.create_model_version(
        name,
        model.artifact_location,  # a server that stands apart resolves no models:/ address of ours
        run_id,
        tags={**tags, MODEL_TAG: model_id},
        await_creation_for=0,  # it is ready when it is made
        model_id=model_id,
    )
    shown = json.dumps([{"name": name, "version": made.version}])  # the model's page links to it
    client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: shown})
    return RegisteredModel(name, str(made.version), model_id, run_id)
