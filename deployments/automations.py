"""What the Prefect server does by itself, kept by name: an operator's switch survives."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events import (
    AutomationCore,
    EventTrigger,
    Posture,
    ResourceSpecification,
    RunDeployment,
)

from deployments.events import BATCH_CLOSED
from tasks.events import DATASET_PUBLISHED

__all__ = [
    "KeptAutomation",
    "collect_when_a_batch_closes",
    "keep_automation",
    "look_when_nothing_is_published",
]

QUIET = timedelta(hours=36)
"""Longer than from one nightly collection to the next, whose dataset may be the same."""


@dataclass(frozen=True, slots=True)
class KeptAutomation:
    """An automation on the server."""

    name: str
    id: str
    enabled: bool
    outcome: str
    """created, updated or unchanged."""


def collect_when_a_batch_closes(collection_id: UUID) -> AutomationCore:
    """Return the automation that runs the collection for each validation batch that closes."""
    payload = {"__prefect_kind": "jinja", "template": "{{ event.payload | tojson }}"}
    return AutomationCore(
        name="astrid: collect when a validation batch closes",
        description="Starts training-data-collection/default, which claims all pending batches.",
        tags=["astrid"],
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "astrid.validation-batch.*"}),
            expect={BATCH_CLOSED},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=collection_id,
                # as JSON, so that the batch arrives as an object and not as its text
                parameters={
                    "trigger": "batch",
                    "batch": {"__prefect_kind": "json", "value": payload},
                },
            )
        ],
    )


def look_when_nothing_is_published(freshness_id: UUID) -> AutomationCore:
    """Return the automation that looks for the cause when no dataset has come for a day and a half.

    The freshness deployment's own schedule looks more often; this one looks also when somebody has
    paused that. What it finds is told once, whoever looks.
    """
    return AutomationCore(
        name="astrid: look when no dataset is published",
        description="Starts freshness/default when 36 hours have passed without a new dataset.",
        tags=["astrid"],
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "astrid.dataset.*"}),
            expect={DATASET_PUBLISHED},
            posture=Posture.Proactive,
            threshold=1,
            within=QUIET,
        ),
        actions=[RunDeployment(source="selected", deployment_id=freshness_id)],
    )


def keep_automation(client: SyncPrefectClient, wanted: AutomationCore) -> KeptAutomation:
    """Make the server's automation of this name what is wanted, under its id.

    It is written only where it differs, and stays switched off where an operator did so.
    """
    found = client.read_automations_by_name(wanted.name)
    if not found:
        new_id = client.create_automation(wanted)
        return KeptAutomation(wanted.name, str(new_id), wanted.enabled, "created")
    kept = min(found, key=lambda one: str(one.id))  # always the same, should there be a copy
    asked = wanted.model_copy(update={"enabled": kept.enabled})
    same = asked.model_dump(mode="json") == kept.model_dump(mode="json", exclude={"id"})
    if not same:
        client.update_automation(kept.id, asked)
    return KeptAutomation(
        wanted.name, str(kept.id), kept.enabled, "unchanged" if same else "updated"
    )
