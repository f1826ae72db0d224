"""Our own events on the Prefect server, on which anybody's automations can hang."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid5

from prefect.events import Event, RelatedResource, Resource, get_events_client
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.utilities.asyncutils import run_coro_as_sync
from websockets.exceptions import WebSocketException

__all__ = [
    "DATASET_PUBLISHED",
    "DATASET_REJECTED",
    "FRESHNESS_BREACHED",
    "FRESHNESS_RECOVERED",
    "TRAINING_COMPLETED",
    "TRAINING_FAILED",
    "announce",
    "send_event",
]

DATASET_PUBLISHED = "astrid.dataset.published"
DATASET_REJECTED = "astrid.dataset.rejected"
TRAINING_COMPLETED = "astrid.training.completed"
TRAINING_FAILED = "astrid.training.failed"
FRESHNESS_BREACHED = "astrid.freshness.breached"
FRESHNESS_RECOVERED = "astrid.freshness.recovered"

OURS = UUID("5e2d3b4a-6f0c-5b1e-9a57-0d1f5c6b7a88")
"""Under which events are named by what they tell, so that told twice it is one event."""


def announce(
    event: str,
    resource_id: str,
    payload: Mapping[str, Any],
    related: Iterable[tuple[str, str]] = (),
) -> None:
    """Tell the server what happened, from within a flow run; a server that does not listen is logged.

    What happened is in the database already: a lost event loses nothing but its notice.

    Args:
        event: one of the names above.
        resource_id: of what it happened to, such as `astrid.dataset.<id>`; with the event it names
            the happening.
        payload: JSON values, no secrets.
        related: (role, resource id) of what else has to do with it; the flow run is added.
    """
    own = f"prefect.flow-run.{flow_run.id}"
    told = Event(
        id=uuid5(OURS, f"{event} {resource_id}"),
        event=event,
        resource=Resource({"prefect.resource.id": resource_id}),
        related=[
            RelatedResource({"prefect.resource.id": other, "prefect.resource.role": role})
            for role, other in [*related, ("flow-run", own)]
        ],
        payload=dict(payload),
    )
    try:
        send_event(told)
    except (OSError, WebSocketException) as error:
        get_run_logger().warning("event %s of %s was not told: %s", event, resource_id, error)


def send_event(event: Event) -> None:
    """Return when the server has the event.

    Raises:
        OSError: if it does not answer.
        WebSocketException: if it does not take it.
    """
    run_coro_as_sync(_send(event))


async def _send(event: Event) -> None:
    # every event is confirmed at once: a lost one would be noticed by nobody
    async with get_events_client(reconnection_attempts=2, checkpoint_every=1) as client:
        await client.emit(event)
