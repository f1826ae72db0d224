"""Which closed validation batches this run answers for."""

from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from astrid_training.claims import ClaimedBatch, claim_batches, claimants, receive_batch
from astrid_training.errors import CollectionRefusedError
from blocks import places

__all__ = ["claim_pending_batches", "read_batch"]


def claim_pending_batches(batch: dict[str, Any] | None) -> list[ClaimedBatch]:
    """Enter the batch that was announced and claim all that no dataset holds yet.

    A claim of a run that ended without a dataset is void.

    Args:
        batch: batch_id, and where known closed_at and detection_ids.
    """
    engine = places.database()
    with engine.begin() as connection:
        if batch is not None:
            receive_batch(connection, *read_batch(batch))
        holders = claimants(connection)
    ended = [holder for holder in holders if _has_ended(holder)]
    with engine.begin() as connection:
        claimed = claim_batches(connection, str(flow_run.id), ended)
    get_run_logger().info("claimed %d validation batches", len(claimed))
    return claimed


def read_batch(batch: dict[str, Any]) -> tuple[str, datetime, list[str] | None]:
    """Return batch id, closing time and detections of what an event told.

    A closing time that lies ahead, by the sender's clock, counts as now.

    Args:
        batch: batch_id, and where known closed_at and detection_ids.

    Raises:
        CollectionRefusedError: if the event names no batch.
        ValueError: if the closing time is no time.
    """
    if not isinstance(batch.get("batch_id"), str):
        raise CollectionRefusedError(f"the event {batch} names no batch; give it a batch_id")
    now, told = datetime.now(UTC), batch.get("closed_at")
    closed_at = min(datetime.fromisoformat(told), now) if told else now
    return batch["batch_id"], closed_at, batch.get("detection_ids")


def _has_ended(flow_run_id: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(flow_run_id).state  # type: ignore[arg-type]  # a UUID's text
        except ObjectNotFound:
            return True
    return state is not None and state.is_final()
