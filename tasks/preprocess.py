"""Step 3: pixels as inference sees them."""

from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import presence, steps, workers
from astrid_training.build import register_stamps
from astrid_training.faults import fault_point
from astrid_training.processors import Recipe
from astrid_training.records import Downloaded, StampsRef
from blocks import places
from tasks.caching import step_options

__all__ = ["preprocess", "stamps_present"]


def _run_name(parameters: dict[str, Any]) -> str:
    return f"cut stamps from {len(parameters['downloaded'].files)} files"


@task(
    **step_options(
        "preprocess",
        version=2,
        run_name=_run_name,
        modules=(
            "astrid_training.apertures",
            "astrid_training.background",
            "astrid_training.build",
            "astrid_training.cosmic_rays",
            "astrid_training.elementary",
            "astrid_training.exposures",
            "astrid_training.fits",
            "astrid_training.fits_content",
            "astrid_training.fits_guard",
            "astrid_training.fits_headers",
            "astrid_training.fits_images",
            "astrid_training.fits_trouble",
            "astrid_training.measure",
            "astrid_training.needs",
            "astrid_training.ordered",
            "astrid_training.parts",
            "astrid_training.pixels",
            "astrid_training.positions",
            "astrid_training.registration",
            "astrid_training.processor",
            "astrid_training.processors",
            "astrid_training.psf",
            "astrid_training.scaling",
            "astrid_training.scratch",
            "astrid_training.significance",
            "astrid_training.stamps",
            "astrid_training.stars",
            "astrid_training.surveys.frames",
            "astrid_training.surveys.headers",
            "astrid_training.surveys.model",
            "astrid_training.surveys.photometry",
            "astrid_training.surveys.profiles",
            "astrid_training.surveys.reader",
            "astrid_training.surveys.wcs",
            "astrid_training.tiles",
            "astrid_training.surveys/profiles.yaml",
        ),
    )
)
def preprocess(targets: str, downloaded: Downloaded, recipe: Recipe) -> StampsRef:
    """Cut and scale the stamps of a batch, store them as packs and enter them in the catalogue.

    One task run serves a batch: its stamps become one pack. A worker process makes them.

    Args:
        targets: `targets/<digest>.parquet`.
        downloaded: the batch's files.
        recipe: how pixels are prepared.
    """
    fault_point("preprocess", "before")
    place = places.workplace()
    stamps = workers.run(steps.cut_stamps, place, targets, downloaded, recipe)
    with places.database().begin() as connection:
        register_stamps(connection, place.store(), targets, stamps, recipe.fingerprint)
    get_run_logger().info("%d stamps, %d rejected", stamps.rows, len(stamps.rejects))
    fault_point("preprocess", "after")
    return stamps


def stamps_present(stamps: StampsRef) -> bool:
    """Tell whether the packs and their measurements are still in the store, and whole."""
    return presence.stamps_present(places.database(), places.store(), stamps)
