"""Whether datasets keep up with the reviews; who is to be told is told once."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from astrid_training.freshness import FreshnessParams
from flows.parameters import flat_parameters
from tasks.check_freshness import check_freshness, tell_of_breaches
from tasks.logs import keep_flow_log

__all__ = ["freshness_flow"]


@flow(
    name="freshness",
    flow_run_name="freshness",
    validate_parameters=False,  # the decorator below checks them, all at once and in plain words
)
@flat_parameters(FreshnessParams)
def freshness_flow(params: FreshnessParams) -> State[dict[str, Any]]:
    """Measure how fresh the datasets are, and tell of what breaches its limits and of what recovers.

    Args:
        params: The limits, given one by one.
    """
    keep_flow_log()
    found = check_freshness(params)
    told = tell_of_breaches()
    stale = sorted({f"{one['survey']} {one['kind']}" for one in found["breaches"]})
    message = f"stale: {', '.join(stale)}" if stale else "fresh"
    return Completed(message=message, data={**found, "told": told})
