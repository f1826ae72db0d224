"""What nothing refers to is cleared away; what anything may still need is not."""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import Engine, text

from astrid_training import gc
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.errors import ForeignStoreError, MissingObjectError
from astrid_training.gc import GRACE, clear_away, find_garbage, total
from astrid_training.packs import pack_key, put_array
from astrid_training.presence import check_objects, objects_of, problems
from astrid_training.publish import CollectionGateError
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.store import Store

Collect = Callable[..., PublishedDataset]
MONTHS = timedelta(days=60)


def age(store: Store, by: timedelta = MONTHS) -> None:
    """Make every object of a directory store older."""
    root = store.local_path("")
    assert root is not None
    then = time.time() - by.total_seconds()
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def age_rows(engine: Engine, by: timedelta = MONTHS) -> None:
    """Make what the database remembers of objects and stamps older."""
    with engine.begin() as connection:
        for table, column in (("objects", "wanted_at"), ("image_catalogue", "at")):
            statement = f"UPDATE training_{table} SET {column} = {column} - :by"
            connection.execute(text(statement), {"by": by})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty directory store."""
    return Store(f"file://{tmp_path}/store")


def test_what_datasets_of_any_status_need_stays_and_the_rest_goes(
    sky: Any, collect: Collect
) -> None:
    first = collect()
    second = collect(bands=["ztf_r"])
    manager = TrainingDatasetManager(sky.engine)
    manager.revoke(second.dataset_id, "a test")
    with pytest.raises(CollectionGateError):  # leaves masks and tables
        collect(quality_score_threshold=1.0, mask={"max_missing": 0.4})
    sky.store.put(f"reports/{first.dataset_id}.html", b"a report")
    sky.store.put(f"reports/{uuid4()}.html", b"of no dataset")
    sky.store.put(f"cards/{first.dataset_id}/README.md", b"a card")
    sky.store.put(f"cards/{uuid4()}/README.md", b"of no dataset")
    age(sky.store)
    age_rows(sky.engine)

    removed = clear_away(sky.engine, sky.store)

    kinds = total(removed)
    assert kinds["reports"] == (1, len(b"of no dataset"))
    assert {"selections", "targets", "labels", "stamps", "mask_tables", "built"} <= set(kinds)
    for published in (first, second):
        record = manager.get_dataset(published.dataset_id, allow_revoked=True)
        check_objects(
            sky.engine, sky.store, objects_of(read_samples(sky.store, record.samples_key))
        )
    assert sky.store.head(f"reports/{first.dataset_id}.html")
    assert sky.store.keys("cards") == [f"cards/{first.dataset_id}/README.md"]
    assert sky.store.keys("raw")  # survey files are nobody's garbage
    assert find_garbage(sky.engine, sky.store) == []
    assert collect(name="again").digests["content"] == first.digests["content"]


def test_looking_removes_nothing(sky: Any, collect: Collect) -> None:
    collect()
    age(sky.store)
    age_rows(sky.engine)
    keys = sky.store.keys("")

    assert find_garbage(sky.engine, sky.store)

    assert sky.store.keys("") == keys


@pytest.mark.parametrize(
    ("written", "wanted", "goes"),
    [
        pytest.param(8, None, True, id="old and never wanted"),
        pytest.param(6, None, False, id="young"),
        pytest.param(8, 8, True, id="old and wanted long ago"),
        pytest.param(80, 6, False, id="wanted of late"),
    ],
)
def test_a_week_protects(
    store: Store, database: Engine, written: int, wanted: int | None, *, goes: bool
) -> None:
    key = pack_key("masks", put_array(store, "masks", np.arange(3)))
    if wanted is not None:
        assert problems(database, store, [key]) == {}
        age_rows(database, timedelta(days=wanted))
    age(store, timedelta(days=written))

    clear_away(database, store)

    assert (store.head(key) is None) is goes


def test_stamps_that_no_dataset_holds_stay_for_a_month_and_go_with_their_entries(
    sky: Any, collect: Collect
) -> None:
    with pytest.raises(CollectionGateError):
        collect(quality_score_threshold=1.0)

    def entries() -> int:
        counted = text("SELECT count(*) FROM training_image_catalogue WHERE image_pack IS NOT NULL")
        with sky.engine.connect() as connection:
            return int(connection.execute(counted).scalar_one())

    built = entries()
    assert built
    age(sky.store, timedelta(days=29))
    age_rows(sky.engine, timedelta(days=29))
    assert "images" not in total(clear_away(sky.engine, sky.store))
    assert entries() == built

    age_rows(sky.engine, timedelta(days=2))
    assert total(clear_away(sky.engine, sky.store))["images"][0] > 0

    assert entries() == 0
    assert sky.store.keys("images") == []
    assert collect().total_samples > 0


def test_who_asks_while_we_clear_away_waits_and_then_sees_that_it_has_gone(
    store: Store, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = pack_key("images", put_array(store, "images", np.arange(3)))
    age(store)
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(dict(problems(database, store, [key]))))
    really = gc._remove

    def remove(store: Store, key: str) -> None:
        asking.start()
        time.sleep(0.3)
        assert not answers
        really(store, key)

    monkeypatch.setattr(gc, "_remove", remove)

    assert [info.key for info in clear_away(database, store)] == [key]

    asking.join(30)
    assert answers == [{key: "missing"}]


@pytest.mark.parametrize("how", ["asked for", "written again"])
def test_what_is_needed_after_it_was_found_is_left(
    store: Store, database: Engine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pack = np.arange(3)
    key = pack_key("images", put_array(store, "images", pack))
    age(store)
    found = find_garbage(database, store)
    assert [info.key for info in found] == [key]
    if how == "asked for":
        assert problems(database, store, [key]) == {}
    else:
        put_array(store, "images", pack)
    monkeypatch.setattr(gc, "find_garbage", lambda *_: found)

    assert clear_away(database, store) == []
    assert store.head(key)


def test_a_kill_between_database_and_store_leaves_no_entry_without_its_pack(
    sky: Any, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CollectionGateError):
        collect(quality_score_threshold=1.0)
    age(sky.store)
    age_rows(sky.engine)
    packs = sky.store.keys("images")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gc, "_remove", die)
        with pytest.raises(KeyboardInterrupt):
            clear_away(sky.engine, sky.store)

    assert sky.store.keys("images") == packs
    with sky.engine.connect() as connection:
        left = connection.execute(
            text("SELECT count(*) FROM training_image_catalogue WHERE image_pack IS NOT NULL")
        ).scalar_one()
    assert left == 0
    clear_away(sky.engine, sky.store)
    assert sky.store.keys("images") == []


def test_what_a_killed_writer_left_goes_and_other_files_stay(
    store: Store, database: Engine, tmp_path: Path
) -> None:
    put_array(store, "images", np.arange(3))
    left = tmp_path / "store" / "images" / f"{'a' * 64}.npy#1"
    ours_not = [tmp_path / "store" / name for name in ("raw/x.fits", "images/notes.txt", "x.npy")]
    for path in (left, *ours_not):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    age(store)
    assert left.name not in str(store.keys("images"))  # no reader ever sees it

    assert total(clear_away(database, store))["images"][0] == 2

    assert not left.exists()
    assert all(path.exists() for path in ours_not)


def test_a_store_of_another_database_is_left_alone(
    sky: Any, collect: Collect, database: Engine
) -> None:
    collect()
    age(sky.store)

    with pytest.raises(ForeignStoreError, match="belong together"):
        clear_away(database, sky.store)


def test_without_a_datasets_table_nothing_is_removed(sky: Any, collect: Collect) -> None:
    published = collect()
    collect(name="other", bands=["ztf_r"])
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    sky.store.delete(record.samples_key)
    age(sky.store)
    age_rows(sky.engine)
    keys = sky.store.keys("")

    with pytest.raises(MissingObjectError, match=record.samples_key):
        clear_away(sky.engine, sky.store)

    assert sky.store.keys("") == keys


def test_the_same_holds_in_a_bucket(s3_server: Any, database: Engine) -> None:
    store = s3_server.make_store()
    kept, gone = (pack_key("images", put_array(store, "images", np.arange(n))) for n in (3, 4))
    assert problems(database, store, [kept]) == {}

    assert find_garbage(database, store, GRACE) == []
    soon = timedelta(seconds=-5)
    with database.begin() as connection:
        later = {"at": datetime.now(UTC) + timedelta(minutes=1)}
        connection.execute(text("UPDATE training_objects SET wanted_at = :at"), later)
    assert [info.key for info in clear_away(database, store, soon)] == [gone]
    assert store.keys("images") == [kept]
