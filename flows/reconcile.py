"""What was lost on the way is found and finished, whatever lost it."""

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from astrid_training.reconcile import ReconcileParams
from flows.parameters import flat_parameters
from tasks.artifacts import findings_artifact
from tasks.logs import keep_flow_log
from tasks.reconcile import (
    close_lost_trainings,
    crash_dead_runs,
    crash_left_task_runs,
    forward_lost_batches,
    name_half_published_datasets,
)

__all__ = ["reconcile_flow"]


@flow(
    name="reconcile",
    flow_run_name="reconcile",
    validate_parameters=False,  # the decorator below checks them, all at once and in plain words
)
@flat_parameters(ReconcileParams)
def reconcile_flow(params: ReconcileParams) -> State[dict[str, Any]]:
    """Find what kills and lost messages left open; finish what can be finished, name the rest.

    Args:
        params: When something counts as lost, given one by one.
    """
    keep_flow_log()
    found = [
        *crash_dead_runs(params),  # first: what they hold is free then
        *crash_left_task_runs(params),
        *forward_lost_batches(params),
        *close_lost_trainings(params),
        *name_half_published_datasets(params),
    ]
    counts: dict[str, int] = {}
    for one in found:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    if found:
        findings_artifact(found)
    message = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    data = {"counts": counts, "findings": [asdict(one) for one in found]}
    return Completed(message=message or "nothing was left open", data=data)
