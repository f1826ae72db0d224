"""A disk that is full is told with its place and the cure, and costs nothing but the time until there is room.

A collection's process sees a disk of some kilobytes where others see the real one.
"""

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from astrid_training.records import PublishedDataset
from tests.faults.aftermath import check_after_failure, check_dataset, check_objects
from tests.faults.buckets import into_bucket
from tests.faults.processes import CollectOnce, collected
from tests.tally import Tally

MOUNTED = 'mount -t tmpfs -o size=16k full "$1" && shift && exec "$@"'
"""A namespace of its own is what lets an ordinary user mount something; it ends with the process."""
WITHIN = ("unshare", "-Urm", "sh", "-c", MOUNTED, "sh")

pytestmark = [pytest.mark.slow, pytest.mark.trust]


@pytest.fixture(scope="module", autouse=True)
def _small_disks(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("disk")
    if shutil.which("unshare") is None or subprocess.run([*WITHIN, place, "true"]).returncode:
        pytest.skip("this system lets no ordinary user mount a small disk: unshare -Urm fails")


@pytest.mark.parametrize("folder", ["selections", "images", "masks", "samples"])
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
    filled = ["sh", "-c", 'head -c 16000 /dev/zero > "$1/full"; shift; exec "$@"', "sh", full]

    failed = CollectOnce(sky, asked, within=[*WITHIN, full, *filled]).end()

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

    failed = CollectOnce(sky, asked, s3_server.credentials, [*WITHIN, full]).end()

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
