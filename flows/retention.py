"""Old things that can be made again go, so that disks do not fill."""

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from astrid_training.retention import RetentionParams
from flows.parameters import flat_parameters
from tasks.artifacts import removed_artifact
from tasks.logs import keep_flow_log
from tasks.retention import clear_machine, clear_store

__all__ = ["retention_flow"]


@flow(
    name="retention",
    flow_run_name="retention",
    validate_parameters=False,  # the decorator below checks them, all at once and in plain words
)
@flat_parameters(RetentionParams)
def retention_flow(params: RetentionParams) -> State[list[dict[str, Any]]]:
    """Remove what nothing refers to from the store, and old files from the worker's machine.

    Args:
        params: How long what is kept, given one by one.
    """
    keep_flow_log()
    removed = [*clear_store(params), *clear_machine(params)]
    removed_artifact(removed, dry_run=params.dry_run)
    megabytes = sum(one.bytes for one in removed) / 1e6
    done = "would be removed" if params.dry_run else "removed"
    number = sum(one.number for one in removed)
    message = f"{number} objects and files, {megabytes:.1f} MB, {done}"
    return Completed(message=message, data=[asdict(one) for one in removed])
