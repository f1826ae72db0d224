"""Datasets and trainings in MLflow: what was made from what, under our own digests.

MLflow is imported inside the functions: it takes seconds, and a loader needs none of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.contact_sheet import choose, pictures
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset
from astrid_training.samples import class_names
from astrid_training.tracking import (
    TrackingUnavailableError,
    as_metrics,
    as_params,
    as_tags,
    dataset_input,
    dataset_tags,
    ending,
    experiment_id,
    safe_name,
    tracking,
)

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
    "start_training_run",
]

DATASETS = "astrid-training-data"
"""Experiment with one run a dataset."""
TRAININGS = "astrid-training-runs"
"""Experiment with one run a training."""

MOST_METRICS = 1000  # that MLflow takes at once
METRICS = ("quality_score", "image_quality_score", "label_consistency", "mean_confidence")
PARAMS = ("name", "bands", "max_samples", "quality_score_threshold", "validation_status")
SPEC = ("channels", "stamp_size", "margin", "background", "scale", "clip")


def log_training_dataset_info(
    dataset: TrainingDataset,
    samples: pa.Table,
    report: Mapping[str, Any],
    tracking_uri: str,
    *,
    packs: PackCache | None = None,
    report_html: Path | None = None,
    source_uri: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Log a dataset as one MLflow run and return the run's id.

    A dataset has one run: logging it again returns the finished one, or completes a broken one.

    Args:
        dataset: its row in the database.
        samples: its samples table.
        report: its quality report, as `DataQualityReport.to_dict()` gives it.
        tracking_uri: MLflow's server or database.
        packs: where its stamps are; None: no sample images are logged.
        report_html: the page to attach.
        source_uri: where the samples table lies; None: its key in the store.
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
                metrics=as_metrics(_numbers(dataset, report), _milliseconds(dataset)),
                params=as_params(_dataset_params(dataset, samples)),
                tags=as_tags(dataset_tags(dataset) | dict(tags or {})),
            )
            client.log_inputs(
                run_id, [dataset_input(dataset, "collection", source_uri, samples.schema)]
            )
            log_data_distribution(client, run_id, samples)
            if packs is not None:
                spec = PreprocessSpec(**dataset.preprocess_spec)
                log_sample_images(client, run_id, samples, packs, spec)
            if report_html is not None:
                client.log_artifact(run_id, str(report_html))
    return run_id


def log_data_distribution(client: "MlflowClient", run_id: str, samples: pa.Table) -> None:
    """Attach `distributions.json`: how samples spread over splits, classes, surveys, time, scores.

    Args:
        client: of the server that has the run.
        run_id: the run.
        samples: the samples table.
    """
    classes = class_names(samples)
    splits: list[str] = samples["split"].to_pylist()
    named = {"split": splits, "class": classes, "month": _months(samples)}
    named |= {name: samples[name].to_pylist() for name in ("survey", "band", "tier")}
    document: dict[str, Any] = {
        name: dict(sorted(Counter(str(value) for value in values).items()))
        for name, values in named.items()
    }
    pairs = Counter(zip(splits, classes, strict=True))
    document["split_and_class"] = {
        split: {name: count for (of, name), count in sorted(pairs.items()) if of == split}
        for split in sorted(set(splits))
    }
    document["confidence"] = _histogram(samples["confidence"], 0.5)
    document["quality_score"] = _histogram(samples["quality_score"], 0.0)
    client.log_dict(run_id, document, "distributions.json")


def log_sample_images(
    client: "MlflowClient",
    run_id: str,
    samples: pa.Table,
    packs: PackCache,
    spec: PreprocessSpec,
    max_samples: int = 10,
) -> None:
    """Attach pictures of a few training samples, spread over the classes, as `samples/*.png`.

    Args:
        client: of the server that has the run.
        run_id: the run.
        samples: the samples table.
        packs: where the stamps are.
        spec: how their pixels were made.
        max_samples: most pictures.
    """
    train = samples.filter(pc.field("split") == "train")
    n_classes = max(1, len(set(class_names(train))))
    chosen = choose(train, max(1, max_samples // n_classes)).slice(0, max_samples)
    with TemporaryDirectory() as folder:
        for stamp in pictures(chosen, packs, spec):
            name = f"{safe_name(stamp.name)}-{stamp.sample_key[:12]}.png"
            (Path(folder) / name).write_bytes(stamp.png)
        client.log_artifacts(run_id, folder, "samples")


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
        client.log_batch(
            run_id, params=as_params(params), tags=as_tags(dataset_tags(dataset) | dict(tags or {}))
        )
        client.log_inputs(run_id, [dataset_input(dataset, "training", source_uri)])
    return run_id


def log_training_metrics(
    run_id: str,
    tracking_uri: str,
    metrics: Mapping[str, float],
    loss_history: Sequence[float] = (),
) -> None:
    """Log the metrics of a training, and its loss curve as `loss` by step, from 1.

    Raises:
        TrackingUnavailableError: if MLflow does not answer.
    """
    with tracking(tracking_uri) as client:
        from mlflow.entities import Metric

        started = int(client.get_run(run_id).info.start_time)
        curve = [Metric("loss", loss, started, n) for n, loss in enumerate(loss_history, start=1)]
        logged = [*as_metrics(metrics, started), *curve]
        for first in range(0, len(logged), MOST_METRICS):
            client.log_batch(run_id, metrics=logged[first : first + MOST_METRICS])


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


def _numbers(dataset: TrainingDataset, report: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = {
        "total_samples": dataset.total_samples,
        "anomaly_ratio": dataset.anomaly_ratio,
    }
    numbers |= {name: report[name] for name in METRICS if report.get(name) is not None}
    numbers |= {f"split/{safe_name(name)}": count for name, count in dataset.splits.items()}
    numbers |= {f"class/{safe_name(name)}": count for name, count in dataset.classes.items()}
    return numbers


def _dataset_params(dataset: TrainingDataset, samples: pa.Table) -> dict[str, Any]:
    asked, spec = dataset.collection_params, dataset.preprocess_spec
    return {
        "collection_date": dataset.as_of.isoformat(),
        "validation_threshold": asked.get("confidence_threshold"),
        "time_range_days": _days(samples),
        "survey_sources": sorted(set(samples["survey"].to_pylist())),
        "anomaly_types": asked.get("anomaly_types") or _real_classes(samples),
        **{name: asked.get(name) for name in PARAMS},
        **{name: spec.get(name) for name in SPEC},
    }


def _days(samples: pa.Table) -> float:
    """Return the time from the first observation to the last, days."""
    times = [time for time in samples["observation_time"].to_pylist() if time is not None]
    return round((max(times) - min(times)).total_seconds() / 86_400, 3) if times else 0.0


def _real_classes(samples: pa.Table) -> list[str]:
    return sorted(set(class_names(samples.filter(pc.field("is_anomaly")))))


def _milliseconds(dataset: TrainingDataset) -> int:
    return int(dataset.created_at.timestamp() * 1000)


def _months(samples: pa.Table) -> list[str]:
    times = samples["observation_time"].to_pylist()
    return ["unknown" if time is None else f"{time:%Y-%m}" for time in times]


def _histogram(column: pa.ChunkedArray, start: float) -> dict[str, Any]:
    """Return counts in ten equal bins from `start` to 1, and how many values are unknown."""
    values = column.drop_null().to_numpy()
    counts, edges = np.histogram(values, bins=10, range=(start, 1.0))
    return {
        "edges": np.round(edges, 6).tolist(),
        "counts": counts.tolist(),
        "unknown": column.null_count,
    }
