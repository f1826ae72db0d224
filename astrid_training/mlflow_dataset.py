"""Our datasets as MLflow's own: their digest is ours, and their source loads them back.

MLflow imports this by the entry points in pyproject.toml, in every process that uses it, so what is
heavy is imported where it is used.
"""

# without `from __future__ import annotations`: MLflow wants the constructor's return type as a class,
# and drops a constructor that names it by a text, with no more than a warning

import json
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from astrid_training.records import TrainingDataset

if "mlflow.data" not in sys.modules:
    # MLflow would look for the classes below before they are there, and go on without them
    raise ImportError(f"{__name__} is imported before MLflow; `import mlflow.data` first")

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.types.schema import ColSpec, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from astrid_training.dataset import TrainingSplits

__all__ = ["AstridDataset", "AstridDatasetSource", "from_astrid"]

SOURCE_TYPE = "astrid_training"
COLUMN_TYPES = {
    "string": "string",
    "bool": "boolean",
    "int32": "integer",
    "int64": "long",
    "timestamp[us, tz=UTC]": "datetime",
}
"""What is none of these is a number with a fraction."""


class AstridDatasetSource(DatasetSource):
    """Where a published dataset lies: its row in the database, its objects in the store.

    Database and store are those of the settings where it is loaded, so that both can move; the address
    of the samples table is for people.
    """

    def __init__(self, dataset_id: str, version_id: str, uri: str) -> None:
        """Name the dataset, and where its samples table lay when it was logged."""
        self.dataset_id = dataset_id
        self.version_id = version_id
        self.uri = uri

    @staticmethod
    def _get_source_type() -> str:
        return SOURCE_TYPE

    def load(self) -> "TrainingSplits":
        """Return the dataset's splits, as `load_training_dataset` does.

        Raises:
            DatasetNotFoundError: if the database of the settings has no such dataset.
            DatasetRevokedError: if it was withdrawn.
        """
        from astrid_training.dataset import load_training_dataset

        return load_training_dataset(self.dataset_id)

    def load_samples(self) -> "pa.Table":
        """Return the samples table, out of the store of the settings; the database is not asked.

        Raises:
            MissingObjectError: if the store has no such table.
            StoreCorruptError: if its bytes are not those its name promises.
        """
        from astrid_training.samples import read_samples
        from astrid_training.settings import resolve
        from astrid_training.store import open_store

        folder, name = PurePosixPath(self.uri).parts[-2:]
        return read_samples(open_store(resolve()), f"{folder}/{name}")

    @staticmethod
    def _can_resolve(raw_source: object) -> bool:
        return isinstance(raw_source, TrainingDataset)

    @classmethod
    def _resolve(cls, raw_source: TrainingDataset) -> Self:
        return cls(str(raw_source.id), raw_source.version_id, raw_source.samples_key)

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        # not `dataset_id`: MLflow's pages take that for a dataset of evaluations, and find none
        return {"dataset": self.dataset_id, "version": self.version_id, "uri": self.uri}

    @classmethod
    def from_dict(cls, source_dict: Mapping[Any, Any]) -> Self:
        """Return the source that `to_dict` told."""
        return cls(source_dict["dataset"], source_dict["version"], source_dict["uri"])


class AstridDataset(Dataset):
    """A published dataset as MLflow shows it."""

    def __init__(
        self, dataset: TrainingDataset, source: AstridDatasetSource, columns: "pa.Schema"
    ) -> None:
        """Describe `dataset`; `columns` are those of its samples table."""
        self._dataset = dataset
        self._columns = columns
        self._where = source.uri
        super().__init__(source, dataset.name, dataset.version_id)

    def _compute_digest(self) -> str:
        return self._dataset.version_id  # MLflow's own would look at the first rows only

    @property
    def schema(self) -> Schema:
        """Columns of the samples table."""
        return Schema(
            [ColSpec(COLUMN_TYPES.get(str(one.type), "double"), one.name) for one in self._columns]
        )

    @property
    def profile(self) -> dict[str, Any]:
        """Counts, scores, and what else tells this dataset from another."""
        known = self._dataset
        return {
            "num_rows": known.total_samples,
            "splits": known.splits,
            "classes": known.classes,
            "anomaly_ratio": known.anomaly_ratio,
            "quality_score": known.quality_score,
            "spec_fingerprint": known.spec_fingerprint,
            "content_digest": known.digests["content"],
            "source": self._where,  # MLflow's page of a dataset shows no source of a type it does not know
        }

    def to_dict(self) -> dict[str, str]:
        """Return what MLflow keeps of it."""
        return {
            **super().to_dict(),
            "schema": json.dumps({"mlflow_colspec": self.schema.to_dict()}),
            "profile": json.dumps(self.profile, sort_keys=True),
        }


def from_astrid(
    dataset: TrainingDataset | str,
    *,
    source_uri: str | None = None,
    columns: "pa.Schema | None" = None,
    name: str | None = None,
    digest: str | None = None,
) -> AstridDataset:
    """Return a published dataset for `mlflow.log_input`; MLflow has this as `mlflow.data.from_astrid`.

    Args:
        dataset: its record, or its id, version or name, which is looked up by the settings.
        source_uri: where the samples table lies; None: its key in the store.
        columns: of the samples table; None: those that every table has.
        name: None, or the dataset's own.
        digest: None, or the dataset's own.

    Raises:
        DatasetNotFoundError: if there is none.
        ValueError: if name or digest are others than the dataset's.
    """
    from astrid_training.samples import SCHEMA

    known = _looked_up(dataset) if isinstance(dataset, str) else dataset
    for asked, own in ((name, known.name), (digest, known.version_id)):
        if asked not in {None, own}:
            raise ValueError(f"{asked!r} is not this dataset's: that is {own!r}; leave it out")
    source = AstridDatasetSource(str(known.id), known.version_id, source_uri or known.samples_key)
    return AstridDataset(known, source, SCHEMA if columns is None else columns)


def _looked_up(wanted: str) -> TrainingDataset:
    from astrid_training.catalogue import get_dataset
    from astrid_training.database import open_database
    from astrid_training.settings import resolve

    return get_dataset(open_database(resolve().database_url), wanted)
