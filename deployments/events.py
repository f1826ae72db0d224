"""The event by which the Prefect server learns that a validation batch has closed."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from prefect.events import Event, Resource
from websockets.exceptions import WebSocketException

from tasks.deployment_runs import ServerUnavailableError
from tasks.events import send_event

__all__ = ["BATCH_CLOSED", "emit_batch_closed"]

BATCH_CLOSED = "astrid.validation-batch.closed"


def emit_batch_closed(
    batch_id: str, closed_at: datetime, detection_ids: Iterable[UUID | str] | None = None
) -> UUID:
    """Tell the Prefect server that a validation batch closed and return the event's id.

    The server has the event when this returns; the run it starts comes within seconds. Told twice,
    a batch starts two runs, of which the second finds nothing to do.

    Args:
        batch_id: AstrID's name of the batch.
        closed_at: aware.
        detection_ids: the detections reviewed in it; None: not told.

    Raises:
        ServerUnavailableError: if the server does not take the event.
        ValueError: if `closed_at` is naive.
    """
    if closed_at.tzinfo is None:
        raise ValueError(f"batch {batch_id!r}: closed_at {closed_at} has no time zone; add Z")
    event = Event(
        event=BATCH_CLOSED,
        resource=Resource({"prefect.resource.id": f"astrid.validation-batch.{batch_id}"}),
        payload={
            "batch_id": batch_id,
            "closed_at": closed_at.isoformat(),
            "detection_ids": None if detection_ids is None else [str(one) for one in detection_ids],
        },
    )
    try:
        send_event(event)
    except (OSError, WebSocketException) as error:
        raise ServerUnavailableError(
            f"the Prefect server did not take the event of batch {batch_id!r}: {error}; "
            "start it with `astrid-training up` or set PREFECT_API_URL, and tell it again"
        ) from error
    return event.id
