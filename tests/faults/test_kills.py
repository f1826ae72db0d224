"""Whatever is killed, whenever: the next collection makes the same dataset, and nothing is half there."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from astrid_training.digests import digest_bytes
from astrid_training.gc import FOLDERS, clear_away
from astrid_training.packs import pack_key, put_array
from astrid_training.records import PublishedDataset
from astrid_training.store import Store
from tests.faults.buckets import into_bucket
from tests.faults.processes import CollectOnce
from tests.tally import Tally

PARAMS = {"as_of": datetime(2030, 1, 1, tzinfo=UTC).isoformat()}
CollectFrom = Callable[[Any], Callable[..., PublishedDataset]]


@pytest.fixture
def in_bucket(sky: Any, s3_server: Any) -> Any:
    """The small sky with its files in a bucket, so that they have to be fetched."""
    return into_bucket(sky, s3_server)


@pytest.fixture
def undisturbed(sky: Any, databases: Any, collect_from: CollectFrom) -> Iterator[PublishedDataset]:
    """What a collection makes that nobody kills."""
    sky.engine.dispose()  # else its database cannot be copied
    engine = databases.make(sky.engine.url.database)
    yield collect_from(replace(sky, engine=engine))(**PARAMS)
    databases.drop(engine)


def killed_at(sky: Any, credentials: Any, fault: str) -> None:
    """Collect in another process, which must die of `fault`."""
    done = CollectOnce(sky, PARAMS, credentials, ASTRID_FAULT=fault).end()
    assert done.returncode == -signal.SIGKILL, done.stderr


def check_names(store: Store) -> None:
    """Return if every object has the content that its name promises."""
    for folder in set(FOLDERS) - {"reports", "refusals", "runs"}:
        for key in store.keys(folder):
            assert digest_bytes(store.get(key)) == PurePosixPath(key).stem


@pytest.mark.trust
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("write_file:before", id="during a download", marks=pytest.mark.slow),
        pytest.param("store_pack:before", id="before a pack", marks=pytest.mark.slow),
        pytest.param("store_pack:after", id="between packs", marks=pytest.mark.slow),
        pytest.param("register_stamps:before", id="between packs and catalogue"),
    ],
)
def test_after_a_kill_the_same_dataset_follows(
    in_bucket: Any,
    undisturbed: PublishedDataset,
    collect_from: CollectFrom,
    s3_server: Any,
    tally: Tally,
    fault: str,
) -> None:
    killed_at(in_bucket, s3_server.credentials, f"{fault}:kill")
    check_names(in_bucket.store)

    published = collect_from(in_bucket)(**PARAMS)

    assert published.digests["content"] == undisturbed.digests["content"]
    assert published.funnel == undisturbed.funnel
    check_names(in_bucket.store)
    with in_bucket.engine.connect() as connection:
        datasets = connection.execute(text("SELECT count(*) FROM training_datasets")).scalar_one()
        rows = connection.execute(text("SELECT count(*) FROM training_samples")).scalar_one()
    assert (datasets, rows) == (1, published.total_samples)
    tally("processes killed", 1)
    tally("recoveries", 1)


WRITE = """
import sys
from astrid_training.packs import PackWriter
from astrid_training.store import Store
pack = PackWriter(1 << 12, (1 << 16,), "u1")
pack.rows[:] = 7
while True:
    pack.store(Store(sys.argv[1]), "images")
"""


def test_a_pack_whose_writing_is_killed_is_never_seen(tmp_path: Path, database: Engine) -> None:
    store = Store(f"file://{tmp_path}/store")
    folder = tmp_path / "store" / "images"
    pack = np.full((1 << 12, 1 << 16), 7, np.uint8)
    process = subprocess.Popen([sys.executable, "-c", WRITE, store.url])
    deadline = time.monotonic() + 60
    while not list(folder.glob("*#*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
    process.kill()
    process.wait()
    left = list(folder.glob("*#*"))
    assert len(left) == 1
    assert left[0].stat().st_size < pack.nbytes

    assert store.keys("images") == []
    digest = put_array(store, "images", pack)

    assert store.keys("images") == [pack_key("images", digest)]
    assert digest_bytes(store.get(pack_key("images", digest))) == digest
    clear_away(database, store, -timedelta(minutes=1))
    assert list(folder.iterdir()) == []
