"""Which closed validation batches wait for a dataset, and which run has taken them.

A batch belongs to one run at a time: from its claim until its dataset is published, or until the
run ends without one. All functions work inside the caller's transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from astrid_training.database import query

__all__ = [
    "ClaimedBatch",
    "claim_batches",
    "claimants",
    "receive_batch",
    "settle_batches",
]


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A closed validation batch that a run has taken."""

    batch_id: str
    closed_at: datetime
    detection_ids: list[UUID] | None
    """The detections that were reviewed in it; None: whatever the run's parameters select."""


def receive_batch(
    connection: Connection,
    batch_id: str,
    closed_at: datetime,
    detection_ids: Iterable[UUID | str] | None = None,
) -> bool:
    """Note that a batch closed and return whether that was news.

    Told again, with whatever content, it changes nothing: senders may repeat themselves.

    Args:
        connection: in a transaction.
        batch_id: AstrID's name of the batch, at most 255 characters.
        closed_at: aware.
        detection_ids: the detections reviewed in it; None: not told.

    Raises:
        ValueError: if `closed_at` is naive, or `batch_id` is empty or too long.
    """
    if closed_at.tzinfo is None:
        raise ValueError(f"batch {batch_id!r}: closed_at {closed_at} has no time zone; add Z")
    if not 0 < len(batch_id) <= 255:
        raise ValueError(f"batch_id {batch_id!r} has {len(batch_id)} characters; give 1 to 255")
    values = {
        "batch_id": batch_id,
        "closed_at": closed_at,
        "detection_ids": None if detection_ids is None else [str(one) for one in detection_ids],
    }
    return connection.execute(query("batch_receive"), values).one_or_none() is not None


def claimants(connection: Connection) -> list[str]:
    """Return the ids of the flow runs that hold batches without a dataset, sorted."""
    return list(connection.execute(query("batch_claimants")).scalars())


def claim_batches(
    connection: Connection, flow_run_id: str, void_claimants: Iterable[str] = ()
) -> list[ClaimedBatch]:
    """Take every pending batch for a run and return them all, the first closed first.

    Of runs that claim at once, each batch goes to one. A run that claims again gets its own
    batches again.

    Args:
        connection: in a transaction; the claim holds from its commit.
        flow_run_id: who claims.
        void_claimants: runs that ended without a dataset; what they hold is pending too.
    """
    values = {"flow_run_id": flow_run_id, "void": list(void_claimants)}
    rows = connection.execute(query("batch_claim"), values)
    claimed = [ClaimedBatch(row.batch_id, row.closed_at, row.detection_ids) for row in rows]
    return sorted(claimed, key=lambda batch: (batch.closed_at, batch.batch_id))


def settle_batches(
    connection: Connection, batch_ids: Iterable[str], dataset_id: UUID | str
) -> list[str]:
    """Write that the batches went into a dataset and return those for which that is new, sorted.

    Do it in the transaction that publishes the dataset. A batch is settled once: the first
    dataset keeps it.
    """
    values = {"batch_ids": list(batch_ids), "dataset_id": str(dataset_id)}
    return sorted(connection.execute(query("batch_settle"), values).scalars())
