"""Step 2: the survey's files, here and sound."""

from prefect import task
from prefect.logging import get_run_logger

from astrid_training.downloads import PASSING, fetch_sources, quarantine
from astrid_training.faults import fault_point
from astrid_training.packs import read_table
from astrid_training.params import PreprocessSpec
from astrid_training.records import Downloaded
from blocks import places
from tasks.caching import step_options

__all__ = ["download_fits", "files_present"]


@task(
    **step_options(
        "download_fits",
        version=2,
        run_name="download files",  # of how many exposures, its caller knows
        modules=(
            "astrid_training.downloads",
            "astrid_training.fits",
            "astrid_training.fits_content",
            "astrid_training.fits_guard",
            "astrid_training.fits_headers",
            "astrid_training.fits_images",
            "astrid_training.fits_tiles",
            "astrid_training.needs",
            "astrid_training.parts",
            "astrid_training.source_cache",
        ),
    )
)
def download_fits(
    targets: str,
    spec: PreprocessSpec | None,
    verify_checksums: bool,  # noqa: FBT001 - Prefect takes what it is called with
) -> Downloaded:
    """Bring the files of a batch to this machine, as far as they are needed, and return their names.

    One task run serves a batch, so that its files are shared by all its samples and stay on the
    worker that cuts them.

    Args:
        targets: `targets/<digest>.parquet`.
        spec: how pixels are prepared, which tells what is needed; None: files come whole.
        verify_checksums: compare files with the sums that they state.
    """
    fault_point("download_fits", "before")
    table = read_table(places.store(), "targets", targets)
    downloaded = fetch_sources(
        places.source_cache(), table, spec, verify_checksums=verify_checksums
    )
    if downloaded.refused:
        with places.database().begin() as connection:
            quarantine(connection, downloaded, verify_checksums=verify_checksums)
    get_run_logger().info(
        "%d files, %d samples lost", len(downloaded.files), len(downloaded.rejects)
    )
    fault_point("download_fits", "after")
    return downloaded


def files_present(downloaded: Downloaded) -> bool:
    """Tell whether the files are still on this machine, and none may be had that could not be."""
    if any(reject.reason in PASSING for reject in downloaded.rejects):
        return False
    cache = places.source_cache()
    return all(cache.holds(file) for file in downloaded.files)
