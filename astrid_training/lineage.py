"""Datasets and trainings in MLflow: what was made from what, under our own digests.

MLflow is imported inside the functions: it takes seconds, and a loader needs none of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrid_training.description import (
    COMPARISON,
    DISTRIBUTIONS,
    PLOTS,
    REPORT,
    SAMPLES,
    Description,
)
from astrid_training.records import TrainingDataset
from astrid_training.tracking import (
    MOST_METRICS,
    TrackingUnavailableError,
    as_metrics,
    as_params,
    as_tags,
    dataset_input,
    dataset_tags,
    ending,
    experiment_id,
    safe_metrics,
    safe_name,
    tracking,
)
from astrid_training.version import code_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "DATASETS",
    "TRAININGS",
    "TrackingUnavailableError",
    "finish_training_run",
    "log_data_distribution",
    "log_sample_images",
    "log_training_dataset_info",
    "log_training_metrics",
    "log_training_report",
    "start_training_run",
]

DATASETS = "astrid-training-data"
"""Experiment with one run a dataset."""
TRAININGS = "astrid-training-runs"
"""Experiment with one run a training."""

METRICS = ("quality_score", "image_quality_score", "label_consistency", "mean_confidence")
PARAMS = ("name", "bands", "max_samples", "quality_score_threshold", "validation_status")
SPEC = ("channels", "stamp_size", "margin", "background", "scale", "clip")


def log_training_dataset_info(
    dataset: TrainingDataset,
    description: Description,
    tracking_uri: str,
    *,
    source_uri: str | None = None,
    parent: TrainingDataset | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Log a dataset as one MLflow run and return the run's id.

    A dataset has one run: logging it again returns the finished one, or completes a broken one.

    Args:
        dataset: its row in the database.
        description: what `describe_dataset` wrote of it.
        tracking_uri: MLflow's server or database.
        source_uri: where the samples table lies; None: its key in the store.
        parent: the version that it superseded, if there was one.
        tags: further tags of the run.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        run_id, finished = _run_of(client, dataset)
        if finished:
            return run_id
        with ending(client, run_id):
            client.log_batch(
                run_id,
                metrics=as_metrics(_numbers(dataset, description), _milliseconds(dataset)),
                params=as_params(_dataset_params(dataset, description)),
                tags=as_tags(_dataset_run_tags(dataset, parent) | dict(tags or {})),
            )
            client.log_inputs(
                run_id, [dataset_input(dataset, "collection", source_uri, description.schema)]
            )
            log_data_distribution(client, run_id, description)
            log_sample_images(client, run_id, description)
            client.log_artifact(run_id, str(description.folder / REPORT))
            if description.differences:
                client.log_artifact(run_id, str(description.folder / COMPARISON))
    return run_id


def log_data_distribution(client: "MlflowClient", run_id: str, description: Description) -> None:
    """Attach how samples spread over splits, classes, surveys, time, scores and sky.

    That is `distributions.json`, and `plots/*.png` of it.

    Args:
        client: of the server that has the run.
        run_id: the run.
        description: of the dataset.
    """
    client.log_artifact(run_id, str(description.folder / DISTRIBUTIONS))
    client.log_artifacts(run_id, str(description.folder / PLOTS), PLOTS)


def log_sample_images(client: "MlflowClient", run_id: str, description: Description) -> None:
    """Attach pictures of a few training samples, spread over the classes, as `samples/*.png`.

    Args:
        client: of the server that has the run.
        run_id: the run.
        description: of the dataset.
    """
    client.log_artifacts(run_id, str(description.folder / SAMPLES), SAMPLES)


def start_training_run(
    dataset: TrainingDataset,
    params: Mapping[str, Any],
    tracking_uri: str,
    *,
    source_uri: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Open the MLflow run of a training, with the dataset as its input, and return its id.

    Args:
        dataset: what is trained on.
        params: how; JSON values.
        tracking_uri: MLflow's server or database.
        source_uri: as for `log_training_dataset_info`.
        tags: further tags of the run.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        experiment = experiment_id(client, TRAININGS)
        name = f"unet_{dataset.name}_{dataset.version_id}"
        run_id = str(client.create_run(experiment, run_name=name).info.run_id)
        own = {**dataset_tags(dataset), "astrid.code_version": code_version()}
        client.log_batch(run_id, params=as_params(params), tags=as_tags({**own, **(tags or {})}))
        client.log_inputs(run_id, [dataset_input(dataset, "training", source_uri)])
    return run_id


def log_training_metrics(
    run_id: str,
    tracking_uri: str,
    metrics: Mapping[str, float],
    loss_history: Sequence[float] = (),
    looks: Sequence[tuple[int, float]] = (),
) -> None:
    """Log the metrics of a training, and its loss curves by step: `loss` of train, `loss_val` of val.

    Args:
        run_id: of `start_training_run`.
        tracking_uri: MLflow's server or database.
        metrics: figures by name.
        loss_history: on train, of each step from 1.
        looks: steps after which val was looked at, and its loss then.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        from mlflow.entities import Metric

        started = int(client.get_run(run_id).info.start_time)
        curve = [Metric("loss", loss, started, n) for n, loss in enumerate(loss_history, start=1)]
        curve += [Metric("loss_val", loss, started, step) for step, loss in looks]
        logged = [*as_metrics(safe_metrics(metrics), started), *curve]
        for first in range(0, len(logged), MOST_METRICS):
            client.log_batch(run_id, metrics=logged[first : first + MOST_METRICS])


def log_training_report(
    run_id: str, tracking_uri: str, report: Path, plots: Sequence[Path]
) -> None:
    """Attach a training's report as it is, and its pictures as `plots/…`.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        client.log_artifact(run_id, str(report))
        for path in plots:
            client.log_artifact(run_id, str(path), "plots")


def finish_training_run(
    run_id: str, tracking_uri: str, files: Sequence[Path] = (), *, status: str = "FINISHED"
) -> None:
    """Attach the model's files as `model/…` and close the run.

    Args:
        run_id: of `start_training_run`.
        tracking_uri: MLflow's server or database.
        files: state and metadata of the network.
        status: FINISHED, FAILED or KILLED.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        for path in files:
            client.log_artifact(run_id, str(path), "model")
        client.set_terminated(run_id, status)


def _run_of(client: "MlflowClient", dataset: TrainingDataset) -> tuple[str, bool]:
    """Return the dataset's run, made if there is none, and whether it is complete."""
    experiment = experiment_id(client, DATASETS)
    wanted = f"tags.`astrid.dataset_id` = '{dataset.id}'"
    runs = client.search_runs([experiment], wanted)
    for run in runs:
        if run.info.status == "FINISHED":
            return str(run.info.run_id), True
    if runs:
        return str(runs[0].info.run_id), False
    tags = {"astrid.dataset_id": str(dataset.id)}
    name = f"training_data_{dataset.id}"
    return str(client.create_run(experiment, tags=tags, run_name=name).info.run_id), False


def _numbers(dataset: TrainingDataset, description: Description) -> dict[str, float]:
    report = dataset.quality_report
    numbers: dict[str, float] = {
        "total_samples": dataset.total_samples,
        "anomaly_ratio": dataset.anomaly_ratio,
    }
    numbers |= {name: report[name] for name in METRICS if report.get(name) is not None}
    numbers |= _known("quality", report.get("components"))
    numbers |= _known("consistency", report.get("consistency"))
    numbers |= {f"split/{safe_name(name)}": count for name, count in dataset.splits.items()}
    numbers |= {f"class/{safe_name(name)}": count for name, count in dataset.classes.items()}
    numbers |= {f"from_parent/{name}": count for name, count in description.differences.items()}
    return numbers


def _known(group: str, values: Mapping[str, float | None] | None) -> dict[str, float]:
    return {f"{group}/{name}": one for name, one in (values or {}).items() if one is not None}


def _dataset_params(dataset: TrainingDataset, description: Description) -> dict[str, Any]:
    asked, spec = dataset.collection_params, dataset.preprocess_spec
    there = description.params
    return {
        "collection_date": dataset.as_of.isoformat(),
        "validation_threshold": asked.get("confidence_threshold"),
        **there,
        "anomaly_types": asked.get("anomaly_types") or there["anomaly_types"],
        **{name: asked.get(name) for name in PARAMS},
        **{name: spec.get(name) for name in SPEC},
    }


def _dataset_run_tags(dataset: TrainingDataset, parent: TrainingDataset | None) -> dict[str, str]:
    more = {
        "astrid.flow_run_id": dataset.flow_run_id,
        "astrid.code_version": dataset.code_version,
        "astrid.parent_version_id": parent and parent.version_id,
        "astrid.parent_mlflow_run_id": parent and parent.mlflow_run_id,
        "mlflow.note.content": _note(dataset),
    }
    return dataset_tags(dataset) | {name: value for name, value in more.items() if value}


def _note(dataset: TrainingDataset) -> str:
    """Return what MLflow shows at the head of the run's page, as Markdown."""
    return (
        f"{dataset.description or ''}\n\n"
        f"Version `{dataset.version_id}` of **{dataset.name}**, {dataset.total_samples} samples, "
        f"quality {dataset.quality_score:.3f}, reviews until {dataset.as_of:%Y-%m-%d %H:%M} UTC.\n\n"
        f"Where it comes from and what was trained on it: `astrid-training lineage {dataset.version_id}`"
    ).strip()


def _milliseconds(dataset: TrainingDataset) -> int:
    return int(dataset.created_at.timestamp() * 1000)
