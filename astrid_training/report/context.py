"""What a report needs beside the dataset and its samples: examples of what left, and the parent."""

from dataclasses import dataclass

from sqlalchemy import Engine

from astrid_training.database import query
from astrid_training.records import TrainingDataset

__all__ = ["RejectExample", "ReportContext", "report_context"]

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
class ReportContext:
    """What is told of a dataset that neither its row nor its samples hold."""

    rejects: tuple[RejectExample, ...] = ()
    """A few of each step and reason."""


def report_context(engine: Engine, dataset: TrainingDataset) -> ReportContext:
    """Return what the database knows beside the dataset.

    Args:
        engine: of the database.
        dataset: that is reported on.
    """
    asked = {"dataset_id": dataset.id, "per_reason": PER_REASON}
    with engine.connect() as connection:
        rows = connection.execute(query("reject_examples"), asked)
        return ReportContext(tuple(RejectExample(**row._asdict()) for row in rows))
