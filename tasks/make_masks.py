"""Step 4: which pixels are the target."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import presence, steps, workers
from astrid_training.faults import fault_point
from astrid_training.params import MaskRule
from astrid_training.records import MaskRef, StampsRef
from blocks import places
from tasks.caching import step_options

__all__ = ["make_masks", "masks_present"]


@task(
    **step_options(
        "make_masks",
        version=2,
        run_name="draw masks of {stamps.rows} stamps",
        modules=(
            "astrid_training.build",
            "astrid_training.footprints",
            "astrid_training.masks",
            "astrid_training.neighbours",
        ),
    )
)
def make_masks(stamps: StampsRef, labels: str, rule: MaskRule) -> MaskRef:
    """Draw the masks of a batch and store them as one pack.

    A task run of its own, because a changed label redraws masks and never cuts a stamp again. A
    worker process draws them.

    Args:
        stamps: the batch's stamps.
        labels: `labels/<digest>.parquet`.
        rule: how masks are drawn.
    """
    fault_point("make_masks", "before")
    masks = workers.run(steps.draw_masks, places.workplace(), stamps, labels, rule)
    get_run_logger().info("%d masks, %d rejected", masks.rows, len(masks.rejects))
    fault_point("make_masks", "after")
    return masks


def masks_present(masks: MaskRef) -> bool:
    """Tell whether the masks are still in the store, and whole."""
    return presence.masks_present(places.database(), places.store(), masks)
