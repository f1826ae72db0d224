"""A trained network is a version of a registered model, found from its dataset and leading back to it."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import Model

from astrid_training.lineage import TRAININGS, start_training_run
from astrid_training.models import NetworkSignature, RegisteredModel, register_trained_model

NAME = "astrid-unet"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training left."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "unet.pt").write_bytes(b"weights")
    (folder / "unet.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def model(published: Any, mlflow_uri: str, trained: Path) -> RegisteredModel:
    run_id = start_training_run(published.record, {"steps": 2}, mlflow_uri)
    return _register(published, mlflow_uri, run_id, trained)


def _register(published: Any, uri: str, run_id: str, folder: Path) -> RegisteredModel:
    signature = NetworkSignature(("difference",), published.record.spec_fingerprint, 64)
    return register_trained_model(
        run_id,
        uri,
        folder,
        name=NAME,
        dataset=published.record,
        metrics={"val_f1": 0.9, "test_f1": 0.8},
        signature=signature,
    )


def test_its_metrics_name_the_dataset_that_they_were_measured_on(
    published: Any, mlflow: MlflowClient, model: RegisteredModel
) -> None:
    logged = mlflow.get_logged_model(model.model_id)

    told = {(one.key, one.value, one.dataset_name, one.dataset_digest) for one in logged.metrics}  # type: ignore[union-attr]
    name, digest = published.record.name, published.record.version_id
    assert told == {("val_f1", 0.9, name, digest), ("test_f1", 0.8, name, digest)}
    assert str(logged.status) == "READY"
    assert mlflow.get_run(model.run_id).data.metrics == {"val_f1": 0.9, "test_f1": 0.8}


def test_the_datasets_digest_finds_run_and_model(
    published: Any, mlflow: MlflowClient, model: RegisteredModel
) -> None:
    name, digest = published.record.name, published.record.version_id
    experiment: Any = mlflow.get_experiment_by_name(TRAININGS)

    runs = mlflow.search_runs([experiment.experiment_id], f"dataset.digest = '{digest}'")
    models = mlflow.search_logged_models(
        [experiment.experiment_id],
        "metrics.val_f1 > 0.5",
        datasets=[{"dataset_name": name, "dataset_digest": digest}],
    )

    assert model.run_id in {run.info.run_id for run in runs}
    assert [one.model_id for one in models] == [model.model_id]


def test_its_version_leads_back_to_run_and_dataset(
    published: Any, mlflow: MlflowClient, model: RegisteredModel
) -> None:
    version = mlflow.get_model_version(NAME, model.version)
    run: Any = mlflow.get_run(str(version.run_id))

    assert version.tags["astrid.content_digest"] == published.record.digests["content"]
    assert [one.model_id for one in run.outputs.model_outputs] == [model.model_id]
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.digest == published.record.version_id


def test_its_signature_carries_the_fingerprint_of_the_preprocessing(
    published: Any, mlflow: MlflowClient, mlflow_uri: str, model: RegisteredModel, trained: Path
) -> None:
    where = mlflow.get_logged_model(model.model_id).artifact_location
    folder = Path(download_artifacts(artifact_uri=where, tracking_uri=mlflow_uri))
    signature: Any = Model.load(str(folder)).signature

    assert signature.params.params[0].default == published.record.spec_fingerprint
    assert signature.inputs.inputs[0].shape == (-1, 1, 64, 64)
    assert {file.name for file in folder.iterdir()} == {"MLmodel", "unet.pt", "unet.json"}


def test_a_run_has_one_version_of_a_name(
    published: Any, mlflow: MlflowClient, mlflow_uri: str, model: RegisteredModel, trained: Path
) -> None:
    assert _register(published, mlflow_uri, model.run_id, trained) == model
    assert len(mlflow.search_model_versions(f"name = '{NAME}'")) == 1


def test_a_model_whose_files_are_not_there_is_failed_and_registered_nowhere(
    published: Any, mlflow: MlflowClient, mlflow_uri: str, tmp_path: Path
) -> None:
    run_id = start_training_run(published.record, {}, mlflow_uri)

    with pytest.raises(FileNotFoundError):
        _register(published, mlflow_uri, run_id, tmp_path / "missing")

    (left,) = (mlflow.get_run(run_id).outputs or pytest.fail("no model")).model_outputs
    assert str(mlflow.get_logged_model(left.model_id).status) == "FAILED"
    assert mlflow.search_model_versions(f"run_id = '{run_id}'") == []
