"""What our tables still hold open, for those who look after the fact."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row

from astrid_training import meter
from astrid_training.database import query
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.presence import AT_ONCE, PACKS, objects_of
from astrid_training.records import report_key
from astrid_training.samples import read_samples
from astrid_training.store import Store

__all__ = [
    "Finding",
    "OpenTraining",
    "PendingBatch",
    "ReconcileParams",
    "half_published",
    "listen_for",
    "open_trainings",
    "pending_batches",
]


T = TypeVar("T")

LOOK_EVERY_S = 10.0
"""While somebody is listened for; a server that was away for less than this is not noticed."""

LOOKED_THROUGH = timedelta(hours=1)
"""So long after its publication all packs of a dataset are looked for."""

AGAIN = "collect again with its parameters"
CURES = {
    "samples": f"restore its table from a backup, or {AGAIN}, which makes a new version of it",
    "packs": f"{AGAIN}, which builds them anew",
    "lineage": f"{AGAIN}, which logs it",
    "report": f"{AGAIN}, which writes it, or look at it by `astrid-training report`",
}
"""By what a dataset lacks."""


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
        description="A run without a heartbeat for so long, one is due every 3 minutes, is listened for, "
        "and is dead if none comes in half that time.",
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


def listen_for(
    suspects: Sequence[T],
    still_silent: Callable[[Sequence[T]], Sequence[T]],
    needed_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sequence[T]:
    """Return those that say nothing for so long, as asked again and again; at once if there are none.

    Args:
        suspects: what seems dead.
        still_silent: asks whoever listens to them, and returns those that are still silent. What it
            raises goes up: who did not answer may have heard nothing.
        needed_s: how long to listen; longer than a living one is ever silent.
        clock: seconds.
        sleep: until the next time.
    """
    begun = clock()
    while suspects and clock() < begun + needed_s:
        sleep(min(LOOK_EVERY_S, needed_s / 4))
        suspects = still_silent(suspects)
    return suspects


def pending_batches(connection: Connection, before: datetime) -> list[PendingBatch]:
    """Return the batches that wait and were received before then, the first closed first."""
    rows = connection.execute(query("reconcile_batches"), {"before": before})
    return [PendingBatch(**row._asdict()) for row in rows]


def open_trainings(connection: Connection, before: datetime) -> list[OpenTraining]:
    """Return the trainings of ours that were opened before then and are still open."""
    rows = connection.execute(query("reconcile_trainings"), {"before": before})
    return [OpenTraining(**row._asdict()) for row in rows]


def half_published(connection: Connection, store: Store, before: datetime) -> list[Finding]:
    """Return what active datasets that were published before then lack, in database, store and MLflow.

    Their packs are looked for in the first hour alone: which they are stands in the table of samples,
    and reading all tables again and again would cost too much. Later losses meet whoever reads them.

    Args:
        connection: to read the datasets.
        store: where their tables, packs and reports lie.
        before: aware; younger ones may still be under way.
    """
    found = []
    for row in connection.execute(query("reconcile_datasets"), {"before": before}):
        lacking = _lacking(row, store, is_new=row.created_at > before - LOOKED_THROUGH)
        if lacking is not None:
            what = f"{row.name} {row.version_id} ({row.id})"
            found.append(
                Finding(f"dataset without {lacking}", what, f"named only: {CURES[lacking]}")
            )
    return found


def _lacking(row: Row[Any], store: Store, *, is_new: bool) -> str | None:
    """Return the first thing that a dataset lacks, that which the others rest on."""
    if store.head(row.samples_key) is None:
        return "samples"
    if is_new and (lost := _lost(store, row.samples_key)) is not None:
        return lost
    if row.derived_from is not None:
        return None  # nobody logs it: its origin was
    if row.mlflow_run_id is None:
        return "lineage"
    return None if store.head(report_key(row.id)) is not None else "report"


def _lost(store: Store, samples_key: str) -> str | None:
    """Return what of a dataset's samples and their packs is not there or not to be read."""
    columns = [f"{kind.removesuffix('s')}_pack" for kind in PACKS]
    try:
        keys = objects_of(read_samples(store, samples_key, columns))
    except (MissingObjectError, StoreCorruptError):
        return "samples"
    with meter.pool(AT_ONCE) as pool:
        return "packs" if None in list(pool.map(store.head, sorted(keys))) else None
