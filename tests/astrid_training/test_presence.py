"""An object that has gone or was damaged is noticed before it is used, without reading all others."""

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from astrid_training import presence
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.packs import pack_key, put_array, put_table
from astrid_training.presence import check_objects, objects_of, problems
from astrid_training.publish import CollectionGateError
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.store import Store

Collect = Callable[..., PublishedDataset]
Damage = Callable[[Path], object]


def swap(path: Path) -> None:
    """Put another whole pack of the same shape in the place of this one."""
    pack = np.load(path)
    with path.open("wb") as stream:
        np.save(stream, pack + 1)


def flip(path: Path) -> None:
    """Turn one bit near the end."""
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)


DAMAGE: dict[str, Damage] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "flipped": flip,
    "swapped": swap,
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store."""
    if request.param == "directory":
        return Store(f"file://{tmp_path}/store")
    made: Store = request.getfixturevalue("s3_server").make_store()
    return made


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys whose bytes are read, as they are."""
    keys: list[str] = []
    really = presence._is_whole

    def note(store: Store, info: Any) -> bool:
        keys.append(info.key)
        return really(store, info)

    monkeypatch.setattr(presence, "_is_whole", note)
    return keys


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("was_hashed", [True, False])
def test_damage_is_noticed_whether_or_not_the_object_was_whole_before(
    store: Store, database: Engine, tmp_path: Path, kind: str, *, was_hashed: bool
) -> None:
    good, bad = (pack_key("masks", put_array(store, "masks", np.arange(n))) for n in (5, 6))
    if was_hashed:
        assert problems(database, store, [good, bad]) == {}

    copy = tmp_path / "copy"
    copy.write_bytes(store.get(bad))
    DAMAGE[kind](copy)
    store.delete(bad)
    if copy.exists():
        store.put(bad, copy.read_bytes())

    expected = "missing" if kind == "gone" else "damaged"
    assert problems(database, store, [good, bad]) == {bad: expected}
    assert problems(database, store, [good, bad]) == {bad: expected}  # and is not forgotten
    error = MissingObjectError if kind == "gone" else StoreCorruptError
    with pytest.raises(error, match="collect again"):
        check_objects(database, store, [bad])

    put_array(store, "masks", np.arange(6))
    check_objects(database, store, [bad, good])


def test_bytes_are_hashed_once_a_month(store: Store, database: Engine, hashed: list[str]) -> None:
    key = pack_key("images", put_array(store, "images", np.arange(9)))

    def later(days: float) -> None:
        with database.begin() as connection:
            connection.execute(
                text("UPDATE training_objects SET hashed_at = hashed_at - :age"),
                {"age": timedelta(days=days)},
            )

    for days, times in ((0, 1), (29, 1), (2, 2), (0, 2)):
        later(days)
        assert problems(database, store, [key]) == {}
        assert hashed == [key] * times


def test_an_object_in_another_store_is_hashed_there(
    database: Engine, tmp_path: Path, hashed: list[str]
) -> None:
    stores = [Store(f"file://{tmp_path}/{name}") for name in "ab"]
    keys = [pack_key("images", put_array(store, "images", np.arange(9))) for store in stores]
    for store in stores:
        assert problems(database, store, keys[:1]) == {}

    assert hashed == [keys[0]] * 2


def test_a_table_names_all_objects_that_its_rows_lie_in() -> None:
    table = pa.table(
        {
            "image_pack": ["a", "a", "b"],
            "mask_pack": ["c", None, "c"],
            "measure_table": ["d", "d", "d"],
            "pack_row": [0, 1, 2],
        }
    )

    assert objects_of(table) == {
        "images/a.npy",
        "images/b.npy",
        "masks/c.npy",
        "measures/d.parquet",
    }


def packs_of(sky: Any, published: PublishedDataset) -> dict[str, int]:
    """Return when each object that holds pixels of a dataset was written, by key."""
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    keys = objects_of(read_samples(sky.store, record.samples_key))
    return {key: (sky.home / "store" / key).stat().st_mtime_ns for key in sorted(keys)}


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        pytest.param("images", "truncated", marks=pytest.mark.slow),
        ("images", "flipped"),
        pytest.param("flags", "swapped", marks=pytest.mark.slow),
        pytest.param("significance", "empty", marks=pytest.mark.slow),
        ("images", "gone"),
    ],
)
def test_a_damaged_pack_is_rebuilt_under_its_name_and_the_dataset_goes_on(
    sky: Any, collect: Collect, folder: str, kind: str
) -> None:
    first = collect()
    packs = packs_of(sky, first)
    bad = next(key for key in packs if key.startswith(folder))
    content = (sky.home / "store" / bad).read_bytes()
    DAMAGE[kind](sky.home / "store" / bad)

    second = collect()

    assert second.digests["content"] == first.digests["content"]
    assert second.dataset_id == first.dataset_id
    assert (sky.home / "store" / bad).read_bytes() == content
    written = {key for key, at in packs_of(sky, second).items() if packs.get(key) != at}
    assert Counter(key.partition("/")[0] for key in written)["images"] == 1
    check_objects(sky.engine, sky.store, packs)


@pytest.mark.parametrize("kind", [pytest.param("flipped", marks=pytest.mark.slow), "gone"])
def test_a_damaged_mask_pack_is_drawn_again_and_no_stamp_is_cut(
    sky: Any, collect: Collect, kind: str
) -> None:
    first = collect(batch_samples=2048)
    packs = packs_of(sky, first)
    (bad,) = (key for key in packs if key.startswith("masks"))
    DAMAGE[kind](sky.home / "store" / bad)

    second = collect(batch_samples=2048)

    assert second.dataset_id == first.dataset_id
    after = packs_of(sky, second)
    assert after.pop(bad) > packs.pop(bad)
    assert after == packs
    check_objects(sky.engine, sky.store, [bad])


def test_a_dataset_whose_packs_cannot_be_rebuilt_as_they_were_is_superseded_by_its_like(
    sky: Any, collect: Collect
) -> None:
    first = collect()
    for key in packs_of(sky, first):
        (sky.home / "store" / key).unlink()

    second = collect(batch_samples=100)  # other packs, the same pixels

    assert second.dataset_id != first.dataset_id
    assert second.version_id == first.version_id
    assert second.digests["content"] == first.digests["content"]
    check_objects(sky.engine, sky.store, packs_of(sky, second))
    manager = TrainingDatasetManager(sky.engine)
    assert manager.get_dataset(first.dataset_id).status == "superseded"


def test_where_the_sources_are_gone_a_damaged_pack_costs_its_samples_and_says_why(
    sky: Any, collect: Collect
) -> None:
    first = collect()
    bad = next(key for key in packs_of(sky, first) if key.startswith("images"))
    (sky.home / "store" / bad).write_bytes(b"")
    for folder in ("raw", "difference"):
        shutil.rmtree(sky.home / "store" / folder)

    with pytest.raises(CollectionGateError, match="no sample in") as refusal:
        collect()

    reasons = {row.reason: row.count for row in refusal.value.funnel}
    assert reasons["missing_object"] >= first.total_samples


@pytest.mark.parametrize(
    "change", ["label = 'variable_star'", "is_valid = NOT is_valid, label = NULL"]
)
def test_a_changed_review_rewrites_no_pixel_of_a_stamp(
    sky: Any, collect: Collect, change: str
) -> None:
    first = collect(allow_one_class=True)
    before = packs_of(sky, first)
    with sky.engine.begin() as connection:
        connection.execute(text(f"UPDATE validation_events SET {change} WHERE label IS NOT NULL"))

    second = collect(allow_one_class=True)

    after = packs_of(sky, second)
    assert second.digests["content"] != first.digests["content"]
    kept = {key: at for key, at in before.items() if not key.startswith("masks")}
    assert after.items() >= kept.items()


def test_a_second_collection_reads_no_pack_to_know_that_it_is_whole(
    sky: Any, collect: Collect, hashed: list[str]
) -> None:
    first = collect()
    assert set(hashed) >= {key for key in packs_of(sky, first) if key.startswith("images")}
    hashed.clear()

    assert collect(name="another").total_samples == first.total_samples
    assert not [key for key in hashed if key.startswith(("images", "flags", "significance"))]


@pytest.mark.parametrize("gone", ["stamps", "images", "measures"])
def test_a_table_of_stamps_that_is_damaged_counts_as_gone(
    store: Store, database: Engine, gone: str
) -> None:
    from astrid_training.batches import STAMPS
    from astrid_training.records import StampsRef

    packs = [
        put_array(store, kind, np.full(1, n))
        for n, kind in enumerate(("images", "flags", "significance"))
    ]
    measures = put_table(store, "measures", pa.table({"x": [1]}))
    row = dict(zip(STAMPS.names, ["sample", *packs, measures, 0], strict=True))
    stamps = put_table(store, "stamps", pa.Table.from_pylist([row], schema=STAMPS))
    assert presence.stamps_present(database, store, StampsRef(stamps, 1, []))

    keys = {
        "stamps": f"stamps/{stamps}.parquet",
        "images": pack_key("images", packs[0]),
        "measures": f"measures/{measures}.parquet",
    }
    store.put(keys[gone], b"something else")

    assert not presence.stamps_present(database, store, StampsRef(stamps, 1, []))
