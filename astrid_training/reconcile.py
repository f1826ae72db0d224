"""What our tables still hold open, for those who look after the fact."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from astrid_training.database import query

__all__ = [
    "Finding",
    "OpenTraining",
    "PendingBatch",
    "ReconcileParams",
    "datasets_without_lineage",
    "open_trainings",
    "pending_batches",
]


class ReconcileParams(BaseModel):
    """When something counts as lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Reconciliation")

    grace_minutes: float = Field(
        10.0, gt=0, le=1440, description="What is younger may still be under way and is left alone."
    )
    silence_minutes: float = Field(
        10.0,
        ge=7,
        le=1440,
        description="A run that has sent no heartbeat for so long is dead; one is due every 3 minutes.",
    )
    history_days: float = Field(
        7.0, gt=0, le=90, description="How far back ended runs are looked at."
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was left open, and what was done about it."""

    kind: str
    what: str
    """Its name or id."""
    done: str


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """A closed validation batch that is in no dataset."""

    batch_id: str
    closed_at: datetime
    detection_ids: list[str] | None
    claimed_by: str | None
    """The flow run that took it last."""


@dataclass(frozen=True, slots=True)
class OpenTraining:
    """A training that nobody has closed."""

    id: str
    dataset_id: str
    flow_run_id: str | None
    """None: its flow run was never started."""


def pending_batches(connection: Connection, before: datetime) -> list[PendingBatch]:
    """Return the batches that wait and were received before then, the first closed first."""
    rows = connection.execute(query("reconcile_batches"), {"before": before})
    return [PendingBatch(**row._asdict()) for row in rows]


def open_trainings(connection: Connection, before: datetime) -> list[OpenTraining]:
    """Return the trainings of ours that were opened before then and are still open."""
    rows = connection.execute(query("reconcile_trainings"), {"before": before})
    return [OpenTraining(**row._asdict()) for row in rows]


def datasets_without_lineage(connection: Connection, before: datetime) -> list[Finding]:
    """Return the active datasets that were published before then and that MLflow does not know."""
    rows = connection.execute(query("reconcile_datasets"), {"before": before})
    cure = "named only: collect again with its parameters, which logs it"
    return [
        Finding("dataset without lineage", f"{row.name} {row.version_id} ({row.id})", cure)
        for row in rows
    ]
