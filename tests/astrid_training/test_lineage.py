"""MLflow shows a dataset under our digests, once, with what a person wants to see of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from astrid_training.compare import compare
from astrid_training.description import REPORT, Description, describe_dataset
from astrid_training.lineage import (
    DATASETS,
    finish_training_run,
    log_training_dataset_info,
    log_training_metrics,
    start_training_run,
)
from astrid_training.packs import PackCache
from astrid_training.plots import PLOTS
from astrid_training.report import Parent, ReportContext
from astrid_training.tracking import TrackingUnavailableError

PARENT = UUID(int=112)
SOURCE = "s3://astrid/training/samples/abc.parquet"


@pytest.fixture(scope="module")
def description(published: Any, tmp_path_factory: pytest.TempPathFactory) -> Description:
    folder = tmp_path_factory.mktemp("described")
    packs = PackCache(published.store, tmp_path_factory.mktemp("packs"))
    return describe_dataset(published.record, published.samples, packs, folder)


@pytest.fixture(scope="module")
def run(published: Any, mlflow: MlflowClient, mlflow_uri: str, description: Description) -> Any:
    parent = dataclasses.replace(
        published.record, id=PARENT, version_id="f" * 16, mlflow_run_id="parents-run"
    )
    run_id = log_training_dataset_info(
        dataclasses.replace(published.record, parent_id=PARENT),
        description,
        mlflow_uri,
        source_uri=SOURCE,
        parent=parent,
        tags={"astrid.trigger": "test"},
    )
    return mlflow.get_run(run_id)


def test_the_run_bears_the_datasets_id_and_is_finished(published: Any, run: Any) -> None:
    assert run.info.run_name == f"training_data_{published.record.id}"
    assert run.info.status == "FINISHED"


def test_metrics_are_those_of_the_report_with_splits_and_classes(published: Any, run: Any) -> None:
    metrics = run.data.metrics

    assert metrics["total_samples"] == 240
    assert metrics["anomaly_ratio"] == 0.5
    assert metrics["quality_score"] == 0.931
    assert metrics["image_quality_score"] == 0.88
    assert metrics["label_consistency"] == 0.93
    assert [metrics[f"split/{name}"] for name in ("train", "val", "test")] == [143, 48, 48]
    assert metrics["class/supernova"] == 40
    components = published.record.quality_report["components"]
    assert {name: metrics[f"quality/{name}"] for name in components} == components


def test_params_tell_how_it_was_collected(run: Any) -> None:
    params = run.data.params

    assert params["collection_date"] == "2024-05-01T00:00:00+00:00"
    assert params["validation_threshold"] == "0.7"
    assert float(params["time_range_days"]) == pytest.approx(239 / 24, abs=1e-3)
    assert json.loads(params["survey_sources"]) == ["sim_ztf"]
    assert json.loads(params["anomaly_types"]) == ["asteroid", "supernova", "variable_star"]
    assert json.loads(params["channels"]) == ["science", "reference", "difference"]


def test_tags_hold_every_digest_in_full(published: Any, run: Any) -> None:
    tags = run.data.tags

    for name, digest in published.record.digests.items():
        assert tags[f"astrid.{name}_digest"] == digest
    assert tags["astrid.spec_fingerprint"] == published.record.spec_fingerprint
    assert tags["astrid.version_id"] == published.record.version_id
    assert tags["astrid.flow_run_id"] == "8d0f"
    assert tags["astrid.trigger"] == "test"
    assert tags["astrid.code_version"] == published.record.code_version == "0.1.0+gabcdef0"


def test_tags_name_the_parent_its_version_and_its_run(run: Any) -> None:
    tags = run.data.tags

    assert tags["astrid.parent_id"] == str(PARENT)
    assert tags["astrid.parent_version_id"] == "f" * 16
    assert tags["astrid.parent_mlflow_run_id"] == "parents-run"


def test_the_input_is_our_dataset_with_its_source_and_schema(published: Any, run: Any) -> None:
    (given,) = run.inputs.dataset_inputs
    columns = {
        column["name"]: column["type"]
        for column in json.loads(given.dataset.schema)["mlflow_colspec"]
    }

    assert given.dataset.name == "validated-detections"
    assert given.dataset.digest == published.record.version_id
    assert json.loads(given.dataset.source)["uri"] == SOURCE
    assert json.loads(given.dataset.profile)["num_rows"] == 240
    assert columns["weight"] == "double"
    assert columns["observation_time"] == "datetime"
    assert [tag.value for tag in given.tags] == ["collection"]


def test_the_report_distributions_and_sample_images_are_attached(
    run: Any, mlflow_uri: str, description: Description
) -> None:
    folder = Path(download_artifacts(run_id=run.info.run_id, tracking_uri=mlflow_uri))
    spread = json.loads((folder / "distributions.json").read_text())
    images = sorted((folder / "samples").iterdir())

    assert (folder / "report.html").read_text() == (description.folder / REPORT).read_text()
    assert spread["split"] == {"quarantine": 1, "test": 48, "train": 143, "val": 48}
    assert spread["split_and_class"]["train"]["supernova"] == 24
    assert spread["month"] == {"2024-03": 240}
    assert sum(spread["confidence"]["counts"]) == 240
    assert sum(spread["quality_score"]["counts"]) == 240 - 24
    assert spread["quality_score"]["unknown"] == 24
    assert sum(spread["sky"]["counts"].values()) == 240
    assert {plot.stem for plot in (folder / "plots").iterdir()} == set(PLOTS)
    assert 0 < len(images) <= 10
    assert {image.name.split("-")[0] for image in images} == set(spread["class"])
    assert all(image.read_bytes().startswith(b"\x89PNG") for image in images)


def test_a_comparison_with_the_parent_is_attached_and_counted(
    published: Any, mlflow_uri: str, mlflow: MlflowClient, tmp_path: Path
) -> None:
    packs = PackCache(published.store, tmp_path / "packs")
    parent = published.samples.slice(40)
    newer = dataclasses.replace(published.record, id=UUID(int=8), parent_id=UUID(int=9))
    context = ReportContext(parent=Parent("1" * 16, compare(parent, published.samples)))
    described = describe_dataset(newer, published.samples, packs, tmp_path / "described", context)

    run_id = log_training_dataset_info(newer, described, mlflow_uri)

    folder = Path(download_artifacts(run_id=run_id, tracking_uri=mlflow_uri))
    document = json.loads((folder / "comparison.json").read_text())
    metrics = mlflow.get_run(run_id).data.metrics
    assert document == compare(parent, published.samples).to_dict()
    assert (metrics["from_parent/added"], metrics["from_parent/shared"]) == (40, 200)
    assert metrics["from_parent/drift_material"] == 0


def test_the_first_of_its_name_is_compared_with_nothing(run: Any, mlflow_uri: str) -> None:
    folder = Path(download_artifacts(run_id=run.info.run_id, tracking_uri=mlflow_uri))

    assert not (folder / "comparison.json").exists()
    assert not [name for name in run.data.metrics if name.startswith("from_parent/")]


def test_logging_again_returns_the_same_run(
    published: Any, run: Any, mlflow_uri: str, mlflow: MlflowClient, description: Description
) -> None:
    again = log_training_dataset_info(published.record, description, mlflow_uri)

    assert again == run.info.run_id
    assert mlflow.get_run(again).info.end_time == run.info.end_time
    history = mlflow.get_metric_history(again, "total_samples")
    assert len(history) == 1


def test_a_broken_run_is_completed_and_nothing_stands_in_it_twice(
    published: Any, mlflow_uri: str, mlflow: MlflowClient, description: Description, tmp_path: Path
) -> None:
    other = dataclasses.replace(published.record, id=UUID(int=7), version_id="7" * 16)
    missing = dataclasses.replace(description, folder=tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        log_training_dataset_info(other, missing, mlflow_uri)
    (broken,) = _runs_of(mlflow, other)
    assert broken.info.status == "FAILED"

    run_id = log_training_dataset_info(other, description, mlflow_uri)

    assert run_id == broken.info.run_id
    assert mlflow.get_run(run_id).info.status == "FINISHED"
    assert len(mlflow.get_metric_history(run_id, "total_samples")) == 1
    assert len(_runs_of(mlflow, other)) == 1


def _runs_of(mlflow: MlflowClient, dataset: Any) -> list[Any]:
    experiment: Any = mlflow.get_experiment_by_name(DATASETS)
    wanted = f"tags.`astrid.dataset_id` = '{dataset.id}'"
    return list(mlflow.search_runs([experiment.experiment_id], wanted))


def test_a_training_is_linked_to_its_dataset(
    published: Any, mlflow_uri: str, mlflow: MlflowClient, tmp_path: Path
) -> None:
    state = tmp_path / "unet.pt"
    state.write_bytes(b"weights")
    losses = [1 / step for step in range(1, 1502)]  # more than MLflow takes at once

    run_id = start_training_run(
        published.record,
        {"steps": 1501, "width": 8},
        mlflow_uri,
        tags={"astrid.training_run_id": "t1"},
    )
    log_training_metrics(run_id, mlflow_uri, {"val_f1": 0.9}, losses)
    finish_training_run(run_id, mlflow_uri, [state])

    run = mlflow.get_run(run_id)
    (given,) = run.inputs.dataset_inputs  # type: ignore[union-attr]
    curve = {point.step: point.value for point in mlflow.get_metric_history(run_id, "loss")}
    assert run.info.status == "FINISHED"
    assert run.data.params == {"steps": "1501", "width": "8"}
    assert run.data.metrics["val_f1"] == 0.9
    assert curve == dict(enumerate(losses, start=1))
    assert (given.dataset.name, given.dataset.digest) == (
        "validated-detections",
        published.record.version_id,
    )
    assert run.data.tags["astrid.spec_fingerprint"] == published.record.spec_fingerprint
    assert run.data.tags["astrid.training_run_id"] == "t1"
    assert [file.path for file in mlflow.list_artifacts(run_id, "model")] == ["model/unet.pt"]


def test_a_failed_training_is_shown_as_failed(
    published: Any, mlflow_uri: str, mlflow: MlflowClient
) -> None:
    run_id = start_training_run(published.record, {}, mlflow_uri)
    finish_training_run(run_id, mlflow_uri, status="FAILED")

    assert mlflow.get_run(run_id).info.status == "FAILED"


def test_an_unreachable_server_is_one_clear_connection_error(
    published: Any, description: Description, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(TrackingUnavailableError, match="correct MLFLOW_TRACKING_URI"):
        log_training_dataset_info(published.record, description, "http://127.0.0.1:9")
