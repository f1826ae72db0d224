"""A disk that is full is told with its place and the cure, and costs nothing but the time until there is room."""

from collections.abc import Callable
from typing import Any

import pytest

from astrid_training.records import PublishedDataset
from tests.faults.aftermath import check_after_failure, check_dataset, check_objects
from tests.faults.buckets import into_bucket
from tests.faults.processes import CollectOnce, collected
from tests.small_disk import on_small_disk
from tests.tally import Tally

pytestmark = [pytest.mark.slow, pytest.mark.trust]


@pytest.mark.parametrize("folder", ["images", "samples"])
def test_in_the_store(
    copy_tiny: Callable[[], Any],
    asked: dict[str, Any],
    undisturbed_tiny: PublishedDataset,
    tally: Tally,
    folder: str,
) -> None:
    sky = copy_tiny()
    full = sky.home / "store" / folder
    full.mkdir()

    failed = CollectOnce(sky, asked, within=on_small_disk(full)).end()

    assert failed.returncode == 1
    told = failed.stderr.splitlines()[-1]
    assert told.startswith(f"astrid_training.store.StoreRefusedError: cannot write {folder}/")
    assert "No space left on device (os error 28); check that the folder can be written" in told
    check_after_failure(sky.engine)
    published = collected(CollectOnce(sky, asked).end())
    check_dataset(sky.engine, sky.store, published, undisturbed_tiny)
    check_objects(sky.engine, sky.store, sky.home / "store")
    tally("faults injected", 1)
    tally("recoveries", 1)


def test_where_survey_files_are_kept(
    copy_tiny: Callable[[], Any],
    asked: dict[str, Any],
    s3_server: Any,
    undisturbed_tiny: PublishedDataset,
    tally: Tally,
) -> None:
    sky = into_bucket(copy_tiny(), s3_server)
    full = sky.home / "cache"
    full.mkdir()

    failed = CollectOnce(sky, asked, s3_server.credentials, on_small_disk(full)).end()

    assert failed.returncode == 1
    told = failed.stderr.splitlines()[-1]
    cure = "No space left on device; make room on the disk of this file and run it again"
    assert told.startswith(f"OSError: [Errno 28] {cure}: '{full}/sources/")
    check_after_failure(sky.engine)
    assert list(full.rglob("*")) == []
    published = collected(CollectOnce(sky, asked, s3_server.credentials).end())
    check_dataset(sky.engine, sky.store, published, undisturbed_tiny)
    tally("faults injected", 1)
    tally("recoveries", 1)
