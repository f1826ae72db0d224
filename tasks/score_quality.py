"""Step 5: what the stamps are worth."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import presence, steps, workers
from astrid_training.faults import fault_point
from astrid_training.records import MaskRef, QualityRef
from blocks import places
from tasks.caching import step_options

__all__ = ["quality_present", "score_quality"]


@task(
    **step_options(
        "score_quality",
        version=1,
        run_name="score {masks.rows} samples",
        modules=("astrid_training.build", "astrid_training.quality"),
    )
)
def score_quality(masks: MaskRef) -> QualityRef:
    """Drop the stamps that nobody could use and store the metrics of the others.

    Scores relative to the whole selection follow when the dataset is put together.

    Args:
        masks: the batch's masks.
    """
    fault_point("score_quality", "before")
    quality = workers.run(steps.score_samples, places.workplace(), masks)
    get_run_logger().info("%d samples, %d rejected", quality.rows, len(quality.rejects))
    fault_point("score_quality", "after")
    return quality


def quality_present(quality: QualityRef) -> bool:
    """Tell whether the table is still in the store, and whole."""
    return presence.quality_present(places.database(), places.store(), quality)
