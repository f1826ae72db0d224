"""How far the datasets are behind the reviews, and who is told of it."""

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.breaches import KeptBreach, settle_breaches, tell_breaches
from astrid_training.freshness import FreshnessParams, measure_freshness
from blocks import places
from tasks.artifacts import freshness_artifact
from tasks.events import FRESHNESS_BREACHED, FRESHNESS_RECOVERED, announce
from tasks.retrying import RETRIES

__all__ = ["check_freshness", "tell_of_breaches"]


@task(
    name="check_freshness",
    persist_result=False,  # what was fresh a moment ago says nothing now
    **RETRIES,
)
def check_freshness(params: FreshnessParams) -> dict[str, Any]:
    """Measure, remember what breached and what recovered, and return it as JSON values.

    One run serves all surveys: one statement reads their reviews.

    Args:
        params: the limits.
    """
    engine = places.database()
    with engine.begin() as connection:
        found = measure_freshness(connection, places.store(), params, datetime.now(UTC))
        looked_at = [one.survey for one in found.surveys]
        opened, closed = settle_breaches(connection, found.breaches, looked_at)
    for event, breaches in ((FRESHNESS_BREACHED, opened), (FRESHNESS_RECOVERED, closed)):
        for one in breaches:
            _announce(event, one)
    freshness_artifact(found)
    for breach in found.breaches:
        get_run_logger().warning("%s", breach.detail)
    return found.to_dict() | {"opened": len(opened), "closed": len(closed)}


@task(
    name="tell_of_breaches",
    persist_result=False,  # the table remembers what was told
    **RETRIES,
)
def tell_of_breaches() -> int | None:
    """Tell who is to be told, once of each breach and once of its end; return how many messages.

    None: nobody is to be told, for no notifier is saved; what breached is told when one is.
    """
    notifier = places.notifier()
    if notifier is None:
        get_run_logger().info("nobody is told: set ASTRID_NOTIFY_URL and bootstrap")
        return None
    return tell_breaches(places.database(), notifier.deliver)


def _announce(event: str, one: KeptBreach) -> None:
    payload = {"kind": one.kind, "survey": one.survey, "band": one.band, "detail": one.detail}
    related = [("survey", f"astrid.survey.{one.survey}")]
    announce(event, f"astrid.freshness-breach.{one.id}", payload, related)
