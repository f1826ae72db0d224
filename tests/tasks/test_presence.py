"""A step's cached result counts only as long as what it names is there and nothing more may be had."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from astrid_training.batches import STAMPS
from astrid_training.downloads import SourceCache
from astrid_training.packs import pack_key, put_array, put_table
from astrid_training.records import Downloaded, Reject, SourceFile, StampsRef
from astrid_training.sources import Sources
from astrid_training.store import Store
from blocks import places
from tasks.download_fits import files_present
from tasks.preprocess import stamps_present


@pytest.fixture
def store(tmp_path: Path, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that the tasks work with."""
    store = Store(f"file://{tmp_path}/store")
    monkeypatch.setattr(places, "store", lambda: store)
    monkeypatch.setattr(places, "database", lambda: database)
    monkeypatch.setattr(places, "source_cache", lambda: SourceCache(Sources(store), tmp_path))
    return store


@pytest.mark.parametrize(
    ("reason", "counts"),
    [("truncated", True), ("bad_header", True), ("missing_object", False), ("changed", False)],
)
def test_what_may_be_restored_is_looked_for_again(
    store: Store, reason: str, *, counts: bool
) -> None:
    store.put("a.fits", b"pixels")
    files = [SourceFile("a.fits", "etag", 6)]
    rejects = [Reject("sample", "download_fits", reason, "b.fits: why")]

    assert files_present(Downloaded(files, rejects, [])) is counts


def test_files_that_have_gone_do_not_count(store: Store) -> None:
    assert not files_present(Downloaded([SourceFile("gone.fits", "etag", 6)], [], []))


@pytest.mark.parametrize("gone", ["images", "flags", "significance", "measures", "stamps", None])
def test_stamps_count_as_long_as_all_their_objects_are_there(
    store: Store, gone: str | None
) -> None:
    image_pack = put_array(store, "images", np.zeros(1))
    flag_pack = put_array(store, "flags", np.ones(1))
    lit_pack = put_array(store, "significance", np.full(1, 2.0))
    measures = put_table(store, "measures", pa.table({"x": [1]}))
    row = ["sample", image_pack, flag_pack, lit_pack, measures, 0]
    table = pa.Table.from_pylist([dict(zip(STAMPS.names, row, strict=True))], schema=STAMPS)
    stamps = put_table(store, "stamps", table)
    keys = {
        "images": pack_key("images", image_pack),
        "flags": pack_key("flags", flag_pack),
        "significance": pack_key("significance", lit_pack),
        "measures": f"measures/{measures}.parquet",
        "stamps": f"stamps/{stamps}.parquet",
    }
    if gone is not None:
        store.delete(keys[gone])

    assert stamps_present(StampsRef(stamps, 1, [])) is (gone is None)
