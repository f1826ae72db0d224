"""What MLflow adds to a lineage: pages, registered versions, and trainings that only it knows."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from astrid_training.lineage import DATASETS
from astrid_training.provenance import Lineage, Meant
from astrid_training.tracking import TrackingUnavailableError, tracking
from astrid_training.urls import mask_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["find_in_mlflow", "follow_mlflow"]

ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})
MODEL_PREFIX = "models:/"
STATES = {"FINISHED": "completed", "RUNNING": "running", "SCHEDULED": "running"}
"""What training_runs calls them; any other has failed."""


def find_in_mlflow(tracking_uri: str, wanted: str) -> Meant | None:
    """Return which dataset a model of MLflow was trained on; None if MLflow knows no such model.

    Args:
        tracking_uri: MLflow's server or database.
        wanted: id of a run or of a logged model, or `name/version` of a registered one.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    with tracking(tracking_uri) as client:
        try:
            run = _run_of(client, wanted.removeprefix(MODEL_PREFIX))
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            return None
        dataset_id = None if run is None else _dataset_of(run)
        if run is None or dataset_id is None:
            return None
        return Meant(dataset_id, "MLflow", mlflow_run_id=str(run.info.run_id))


def follow_mlflow(lineage: Lineage, tracking_uri: str) -> None:
    """Add to `lineage` what MLflow knows of the dataset; say so where it does not answer.

    Args:
        lineage: by `trace`.
        tracking_uri: MLflow's server or database.
    """
    try:
        with tracking(tracking_uri) as client:
            _follow(lineage, client, tracking_uri)
    except TrackingUnavailableError as error:
        lineage.unknown.append(f"pages and models that only MLflow knows are not here: {error}")


def _follow(lineage: Lineage, client: "MlflowClient", uri: str) -> None:
    names = {str(one.experiment_id): str(one.name) for one in client.search_experiments()}
    digest = lineage.dataset["version_id"]
    runs = {
        str(run.info.run_id): run
        for run in client.search_runs(list(names), f"dataset.digest = '{digest}'")
    }
    own = runs.get(lineage.mlflow["run_id"] or "")
    if own is not None:
        lineage.mlflow["url"] = _page(uri, own)
        lineage.code_version = lineage.code_version or own.data.tags.get("astrid.code_version")
    elif lineage.mlflow["run_id"]:
        lineage.unknown.append(f"MLflow has no run {lineage.mlflow['run_id']} any more")
    trained = [run for run in runs.values() if names[str(run.info.experiment_id)] != DATASETS]
    for run in trained:
        told = _told_of(lineage, run)
        if told is None:
            told = _training(run)
            lineage.trainings.append(told)
        _add_pages(told, run, client, uri)


def _told_of(lineage: Lineage, run: "Run") -> dict[str, Any] | None:
    """Return the training that has this run; one that still goes on does not name it yet."""
    row = run.data.tags.get("astrid.training_run_id")
    for one in lineage.trainings:
        named = one["mlflow"]["run_id"] or (
            run.info.run_id if one["training_run_id"] == row else None
        )
        if named == run.info.run_id:
            one["mlflow"]["run_id"] = str(named)
            return one
    return None


def _add_pages(told: dict[str, Any], run: "Run", client: "MlflowClient", uri: str) -> None:
    made = run.outputs.model_outputs if run.outputs else []
    versions = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    told["mlflow"]["url"] = _page(uri, run)
    told["mlflow"]["model_id"] = told["mlflow"]["model_id"] or next(
        (str(one.model_id) for one in made), None
    )
    told["registered"] = _merged(
        told["registered"], (f"{one.name}/{one.version}" for one in versions)
    )


def _merged(known: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*known, *more})


def _training(run: "Run") -> dict[str, Any]:
    """Return a training that has no row of ours, as one that has."""
    tags: Mapping[str, str] = run.data.tags
    return {
        "training_run_id": None,
        "status": STATES.get(run.info.status, "failed"),
        "started_at": _moment(run.info.start_time),
        "completed_at": _moment(run.info.end_time),
        "params": dict(run.data.params),
        "metrics": dict(run.data.metrics),
        "flow_run": {"id": tags.get("astrid.flow_run_id")},
        "code_version": tags.get("astrid.code_version"),
        "mlflow": {"run_id": str(run.info.run_id), "model_id": None},
        "registered": [],
        "astrid_model_id": None,
    }


def _run_of(client: "MlflowClient", wanted: str) -> "Run | None":
    if wanted.startswith("m-"):
        made_by = client.get_logged_model(wanted).source_run_id
        return client.get_run(made_by) if made_by else None
    name, slash, version = wanted.rpartition("/")
    if slash:
        made_by = client.get_model_version(name, version).run_id
        return client.get_run(made_by) if made_by else None
    return client.get_run(wanted)


def _dataset_of(run: "Run") -> str | None:
    """Return what the run was given, by our tag, else by its inputs; its version where that is all."""
    tagged: str | None = run.data.tags.get("astrid.dataset_id")
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return tagged or next((str(one.dataset.digest) for one in inputs), None)


def _page(uri: str, run: "Run") -> str | None:
    if not uri.startswith("http"):
        return None
    place = mask_url(uri).rstrip("/")
    return f"{place}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
