"""Step 1: which subjects people decided on, and how."""

from datetime import datetime

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import collection_steps, workers
from astrid_training.faults import fault_point
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import Selection
from blocks import places
from tasks.caching import step_options

__all__ = ["fetch_validated_detections"]


@task(
    **step_options(
        "fetch_validated_detections",
        version=1,
        run_name="fetch detections reviewed until {as_of:%Y-%m-%d %H:%M}",
        modules=("astrid_training.collection_steps", "astrid_training.selection"),
        within_run=True,  # reviews come in all the time
    )
)
def fetch_validated_detections(params: TrainingDataCollectionParams, as_of: datetime) -> Selection:
    """Write the selection to the store and return its name and counts.

    One task run serves the whole collection, because grouping on the sky needs all positions. A
    worker process holds the tables.

    Args:
        params: what to select.
        as_of: reviews up to this instant count.
    """
    fault_point("fetch_validated_detections", "before")
    selection = workers.run(collection_steps.select_subjects, places.workplace(), params, as_of)
    logger = get_run_logger()
    logger.info("%d subjects reviewed, %d selected", selection.selected, selection.kept)
    for warning in selection.warnings:
        logger.warning("%s", warning)
    fault_point("fetch_validated_detections", "after")
    return selection
