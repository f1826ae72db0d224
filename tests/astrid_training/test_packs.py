"""Packs are `.npy` files named by their bytes, written without a copy and never half."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from astrid_training.digests import digest_bytes
from astrid_training.errors import StoreCorruptError
from astrid_training.packs import PackCache, PackWriter, pack_key, put_array, read_pack
from astrid_training.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty directory store."""
    return Store(f"file://{tmp_path}/store")


@pytest.fixture(scope="module")
def lasting_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store for many examples of one property."""
    return Store(f"file://{tmp_path_factory.mktemp('packs')}")


def saved(array: NDArray[np.generic]) -> bytes:
    """Return the file that NumPy itself makes of `array`."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


@pytest.mark.parametrize("rows", [1, 9, 10, 11, None])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float16, ">f4"])
def test_a_pack_filled_in_place_is_the_file_that_numpy_writes(
    store: Store, rows: int | None, dtype: DTypeLike
) -> None:
    writer = PackWriter(11, (3, 5, 7), dtype)
    writer.rows[:] = np.arange(11 * 105).reshape(11, 3, 5, 7) % 251
    wanted = saved(writer.rows[:rows])

    digest = writer.store(store, "images", rows)

    assert digest == digest_bytes(wanted)
    assert store.get(pack_key("images", digest)) == wanted
    assert digest == put_array(store, "images", writer.rows[:rows])


@given(room=st.integers(1, 12_000), rows=st.integers(0, 12_000))
def test_however_few_rows_of_the_room_are_used_the_file_is_numpys(
    lasting_store: Store, room: int, rows: int
) -> None:
    writer = PackWriter(room, (), np.uint8)
    writer.rows[:] = np.arange(room) % 251

    digest = writer.store(lasting_store, "masks", min(room, rows))

    assert lasting_store.get(pack_key("masks", digest)) == saved(writer.rows[:rows])


def test_storing_leaves_the_rows_as_they_are(store: Store) -> None:
    writer = PackWriter(4, (2,), np.float32)
    writer.rows[:] = 1
    first = writer.store(store, "images", 3)
    writer.rows[3] = 2

    second = writer.store(store, "images")

    packs = PackCache(store, Path())
    assert packs.open("images", first).tolist() == [[1, 1]] * 3
    assert packs.open("images", second).tolist() == [[1, 1]] * 3 + [[2, 2]]


def test_what_bears_its_name_and_is_no_pack_is_corrupt(store: Store) -> None:
    digest = store.put_named_by_content("images", ".npy", b"no pack")

    with pytest.raises(StoreCorruptError, match=f"{digest}.npy is no readable pack"):
        read_pack(store, "images", digest)
