"""What a report needs beside the dataset and its samples: examples of what left, and the parent."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlalchemy import Engine

from astrid_training.catalogue import get_dataset
from astrid_training.database import query
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.records import TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.store import Store

if TYPE_CHECKING:
    from astrid_training.compare import Comparison

__all__ = ["Parent", "RejectExample", "ReportContext", "report_context"]

PER_REASON = 3


@dataclass(frozen=True, slots=True)
class RejectExample:
    """A subject that left, to look up."""

    sample_key: str
    detection_id: str | None
    """None for a place without a detection."""
    step: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Parent:
    """The dataset that this one superseded."""

    version_id: str
    comparison: "Comparison | None"
    """None where its samples cannot be read any more."""
    trouble: str = ""
    """Why they cannot."""


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What is told of a dataset that neither its row nor its samples hold."""

    rejects: tuple[RejectExample, ...] = ()
    """A few of each step and reason."""
    parent: Parent | None = None


def report_context(
    engine: Engine, store: Store, dataset: TrainingDataset, samples: pa.Table
) -> ReportContext:
    """Return what database and store know beside the dataset.

    Args:
        engine: of the database.
        store: has the parent's samples.
        dataset: that is reported on.
        samples: its samples table.
    """
    asked = {"dataset_id": dataset.id, "per_reason": PER_REASON}
    with engine.connect() as connection:
        rows = connection.execute(query("reject_examples"), asked).all()
    rejects = tuple(RejectExample(**row._asdict()) for row in rows)
    return ReportContext(rejects, _parent(engine, store, dataset, samples))


def _parent(
    engine: Engine, store: Store, dataset: TrainingDataset, samples: pa.Table
) -> Parent | None:
    if dataset.parent_id is None:
        return None
    from astrid_training.compare import compare  # brings scipy.stats, which few need

    parent = get_dataset(engine, str(dataset.parent_id), allow_revoked=True)
    try:
        before = read_samples(store, parent.samples_key)
    except (MissingObjectError, StoreCorruptError) as error:
        return Parent(parent.version_id, None, str(error))
    return Parent(parent.version_id, compare(before, samples))
