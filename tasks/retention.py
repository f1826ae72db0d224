"""What need not be kept for ever, place by place."""

from datetime import timedelta

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.retention import (
    Removed,
    RetentionParams,
    cut_logs,
    forget_files,
    forget_objects,
)
from astrid_training.settings import training_home
from blocks import places
from tasks.retrying import RETRIES

__all__ = ["clear_machine", "clear_store"]


@task(name="clear_store", persist_result=False, **RETRIES)
def clear_store(params: RetentionParams) -> list[Removed]:
    """Remove the objects that nothing refers to, or count them.

    One run serves the store: what is referred to is known of all objects or of none.
    """
    older_than = timedelta(days=params.object_days)
    engine, store = places.database(), places.store()
    removed = forget_objects(engine, store, older_than, dry_run=params.dry_run)
    get_run_logger().info("%d objects", sum(one.number for one in removed))
    return removed


@task(name="clear_machine", persist_result=False, **RETRIES)
def clear_machine(params: RetentionParams) -> list[Removed]:
    """Remove old files of the cache and old results of steps from this machine, and cut its logs.

    One run serves a machine; copies for the loader have a limit of their own and are left alone.
    """
    home, dry_run = training_home(), params.dry_run
    removed = [
        forget_files(
            "this machine's cache",
            places.cache(),
            timedelta(days=params.cache_days),
            params.cache_gb * 1e9,
            spared=["loader"],
            dry_run=dry_run,
        ),
        forget_files(
            "results of steps",
            home / "prefect" / "storage",
            timedelta(days=params.result_days),
            dry_run=dry_run,
        ),
        cut_logs(home / "logs", params.log_mb * 1e6, dry_run=dry_run),
    ]
    get_run_logger().info("%d files", sum(one.number for one in removed))
    return removed
