"""The tables that hold datasets, their samples and their trainings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row

from astrid_training.database import query, reading
from astrid_training.errors import DatasetNotFoundError, DatasetRevokedError
from astrid_training.records import FunnelRow, TrainingDataset, TrainingRun, TrainingSample

__all__ = [
    "OpenedTraining",
    "TrainingDatasetManager",
    "attach_training_run",
    "close_training_run",
    "get_dataset",
    "open_training_run",
    "training_runs",
]

DIGESTS = ("query", "source", "label", "content", "split")


class TrainingDatasetManager:
    """Published datasets: look them up, list them, add what is learnt of them later.

    Datasets are made by `publish.publish`, in one transaction; what they hold never changes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_dataset(self, dataset_id: str, *, allow_revoked: bool = False) -> TrainingDataset:
        """Return a dataset by its id, its version, or its name (then the active version).

        Equal content under several names has one version; an active dataset of it comes first.

        Raises:
            DatabaseUnavailableError: if the database does not answer or is not migrated.
            DatasetNotFoundError: if there is none.
            DatasetRevokedError: if it was withdrawn and `allow_revoked` is not set.
        """
        with reading(self._engine) as connection:
            row = connection.execute(query("dataset_get"), {"wanted": dataset_id}).one_or_none()
        if row is None:
            raise DatasetNotFoundError(
                f"no dataset {dataset_id!r}; `astrid-training datasets` lists those there are"
            )
        if row.status == "revoked" and not allow_revoked:
            raise DatasetRevokedError(
                f"dataset {row.name} {row.version_id} was revoked; "
                "use a newer version, or load it knowingly with allow_revoked=True"
            )
        return _dataset(row)

    def list_datasets(
        self, filters: Mapping[str, Any] | None = None, *, limit: int = 100, offset: int = 0
    ) -> list[TrainingDataset]:
        """Return datasets, newest first.

        Args:
            filters: any of status, name, created_by, least_quality.
            limit: most datasets returned.
            offset: how many to pass over.

        Raises:
            DatabaseUnavailableError: if the database does not answer or is not migrated.
            ValueError: for a filter of another name.
        """
        known = {"status": None, "name": None, "created_by": None, "least_quality": None}
        unknown = set(filters or {}) - set(known)
        if unknown:
            raise ValueError(f"no filter {', '.join(sorted(unknown))}; use {', '.join(known)}")
        values = {**known, **(filters or {}), "limit": limit, "offset": offset}
        with reading(self._engine) as connection:
            return [_dataset(row) for row in connection.execute(query("dataset_list"), values)]

    def samples(self, dataset: TrainingDataset) -> list[TrainingSample]:
        """Return all samples of a dataset, sorted by key."""
        with self._engine.connect() as connection:
            rows = connection.execute(query("sample_list"), {"dataset_id": dataset.id})
            return [TrainingSample(**row._asdict()) for row in rows]

    def update_dataset_metrics(self, dataset_id: str, metrics: Mapping[str, Any]) -> None:
        """Add `metrics` to the dataset's quality report.

        Raises:
            DatasetNotFoundError: if there is none of this id.
        """
        values = {"dataset_id": dataset_id, "metrics": json.dumps(dict(metrics))}
        with self._engine.begin() as connection:
            if connection.execute(query("dataset_merge_metrics"), values).one_or_none() is None:
                raise DatasetNotFoundError(f"no dataset of id {dataset_id}")

    def set_mlflow_run(self, dataset_id: str, mlflow_run_id: str) -> None:
        """Remember which MLflow run describes the dataset."""
        values = {"dataset_id": dataset_id, "mlflow_run_id": mlflow_run_id}
        with self._engine.begin() as connection:
            connection.execute(query("dataset_set_mlflow_run"), values)


def get_dataset(engine: Engine, dataset_id: str, *, allow_revoked: bool = False) -> TrainingDataset:
    """Return a dataset; see `TrainingDatasetManager.get_dataset`."""
    return TrainingDatasetManager(engine).get_dataset(dataset_id, allow_revoked=allow_revoked)


@dataclass(frozen=True, slots=True)
class OpenedTraining:
    """The row of a training that is wanted."""

    id: str
    idempotency_key: str
    """The key asked for, with the attempt's number from the second on; its flow run has the same."""
    status: str
    """running, or completed: then nothing is left to do."""


def open_training_run(
    engine: Engine, dataset_id: str, training_params: Mapping[str, Any], idempotency_key: str
) -> OpenedTraining:
    """Open the row of a training, or find the one of the same key, and return it.

    A training that failed is tried anew, in a row of its own; one whose start failed keeps its row.
    """
    values = {
        "dataset_id": dataset_id,
        "training_params": json.dumps(dict(training_params)),
        "idempotency_key": idempotency_key,
    }
    with engine.begin() as connection:
        row = connection.execute(query("training_run_open"), values).one()
    return OpenedTraining(str(row.id), row.idempotency_key, row.status)


def attach_training_run(engine: Engine, run_id: str, flow_run_id: str) -> None:
    """Remember which flow run trains."""
    with engine.begin() as connection:
        connection.execute(
            query("training_run_attach"), {"run_id": run_id, "flow_run_id": flow_run_id}
        )


def close_training_run(
    engine: Engine,
    run_id: str,
    *,
    metrics: Mapping[str, Any] | None = None,
    mlflow_run_id: str | None = None,
    error: str | None = None,
) -> None:
    """Close the row of a training: completed, or failed when there is an error."""
    values = {
        "run_id": run_id,
        "status": "completed" if error is None else "failed",
        "metrics": None if metrics is None else json.dumps(dict(metrics)),
        "mlflow_run_id": mlflow_run_id,
        "error": error,
    }
    with engine.begin() as connection:
        connection.execute(query("training_run_close"), values)


def training_runs(engine: Engine, dataset_id: str) -> list[TrainingRun]:
    """Return the trainings on a dataset, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(query("training_run_list"), {"dataset_id": dataset_id})
        return [TrainingRun(**row._asdict()) for row in rows]


def _dataset(row: Row[Any]) -> TrainingDataset:
    return TrainingDataset(
        id=row.id,
        name=row.name,
        description=row.description,
        version_id=row.version_id,
        parent_id=row.parent_id,
        status=row.status,
        created_at=row.created_at,
        created_by=row.created_by,
        as_of=row.as_of,
        total_samples=row.total_samples,
        anomaly_ratio=float(row.anomaly_ratio),
        quality_score=float(row.quality_score),
        splits=row.splits,
        classes=row.classes,
        funnel=[FunnelRow(**entry) for entry in row.funnel],
        format_version=row.format_version,
        collection_params=row.collection_params,
        preprocess_spec=row.preprocess_spec,
        spec_fingerprint=row.spec_fingerprint,
        digests={name: getattr(row, f"{name}_digest") for name in DIGESTS},
        quality_report=row.quality_report,
        samples_key=row.samples_key,
        flow_run_id=row.flow_run_id,
        mlflow_run_id=row.mlflow_run_id,
    )
