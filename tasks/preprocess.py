"""Step 3: pixels as inference sees them."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.build import build_stamps, register_stamps
from astrid_training.faults import fault_point
from astrid_training.packs import pack_key, read_table
from astrid_training.processors import Recipe
from astrid_training.records import Downloaded, StampsRef
from blocks import places
from tasks.caching import step_options

__all__ = ["preprocess", "stamps_present"]


@task(
    **step_options(
        "preprocess",
        version=2,
        modules=(
            "astrid_training.background",
            "astrid_training.build",
            "astrid_training.cosmic_rays",
            "astrid_training.exposures",
            "astrid_training.fits",
            "astrid_training.fits_content",
            "astrid_training.fits_guard",
            "astrid_training.measure",
            "astrid_training.positions",
            "astrid_training.registration",
            "astrid_training.processor",
            "astrid_training.processors",
            "astrid_training.psf",
            "astrid_training.scaling",
            "astrid_training.significance",
            "astrid_training.stamps",
            "astrid_training.stars",
            "astrid_training.surveys.frames",
            "astrid_training.surveys.headers",
            "astrid_training.surveys.model",
            "astrid_training.surveys.photometry",
            "astrid_training.surveys.profiles",
            "astrid_training.surveys.reader",
            "astrid_training.surveys/profiles.yaml",
        ),
    )
)
def preprocess(targets: str, downloaded: Downloaded, recipe: Recipe) -> StampsRef:
    """Cut and scale the stamps of a batch, store them as packs and enter them in the catalogue.

    One task run serves a batch: its stamps become one pack.

    Args:
        targets: `targets/<digest>.parquet`.
        downloaded: the batch's files.
        recipe: how pixels are prepared.
    """
    fault_point("preprocess", "before")
    store = places.store()
    stamps = build_stamps(store, places.source_cache(), targets, downloaded, recipe.load())
    with places.database().begin() as connection:
        register_stamps(connection, store, targets, stamps, recipe.fingerprint)
    get_run_logger().info("%d stamps, %d rejected", stamps.rows, len(stamps.rejects))
    fault_point("preprocess", "after")
    return stamps


def stamps_present(stamps: StampsRef) -> bool:
    """Tell whether the packs and their measurements are still in the store."""
    store = places.store()
    if store.head(f"stamps/{stamps.stamps}.parquet") is None:
        return False
    rows = read_table(store, "stamps", stamps.stamps)
    packs = {
        pack_key(kind, digest)
        for kind, column in (
            ("images", "image_pack"),
            ("flags", "flag_pack"),
            ("significance", "significance_pack"),
        )
        for digest in set(rows[column].to_pylist())
    }
    tables = {f"measures/{digest}.parquet" for digest in set(rows["measure_table"].to_pylist())}
    return all(store.head(key) is not None for key in packs | tables)
