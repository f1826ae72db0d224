"""Step 1: which subjects people decided on, and how."""

from datetime import datetime

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.faults import fault_point
from astrid_training.packs import put_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import Selection
from astrid_training.selection import select_subjects
from blocks import places
from tasks.caching import step_options

__all__ = ["fetch_validated_detections"]


@task(
    **step_options(
        "fetch_validated_detections",
        version=1,
        modules=("astrid_training.selection",),
        within_run=True,  # reviews come in all the time
    )
)
def fetch_validated_detections(params: TrainingDataCollectionParams, as_of: datetime) -> Selection:
    """Write the selection to the store and return its name and counts.

    One task run serves the whole collection, because grouping on the sky needs all positions.

    Args:
        params: what to select.
        as_of: reviews up to this instant count.
    """
    fault_point("fetch_validated_detections", "before")
    with places.database().connect() as connection:
        table = select_subjects(connection, params, as_of)
    kept = table["reason"].null_count
    digest = put_table(places.store(), "selections", table)
    get_run_logger().info("%d subjects reviewed, %d selected", table.num_rows, kept)
    fault_point("fetch_validated_detections", "after")
    return Selection(digest, as_of, table.num_rows, kept)
