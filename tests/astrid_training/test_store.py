"""Objects are written whole, named by content, and never read damaged."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from astrid_training.errors import MissingObjectError, StoreCorruptError, UnusablePathError
from astrid_training.files import write_atomically
from astrid_training.packs import PackCache, pack_key, put_array, put_table, read_table
from astrid_training.sources import Sources
from astrid_training.store import Credentials, ObjectChangedError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


def test_bytes_come_back(store: Store) -> None:
    store.put("a/b.bin", b"one")
    store.put("a/b.bin", b"two")

    assert store.get("a/b.bin") == b"two"
    assert store.keys("a") == ["a/b.bin"]
    found = store.head("a/b.bin")
    assert found is not None
    assert found.size == 3


def test_a_missing_object_is_named_with_its_cure(store: Store) -> None:
    assert store.head("none") is None
    with pytest.raises(MissingObjectError, match=r"no object none in file://.*restore it"):
        store.get("none")
    store.delete("none")


@pytest.mark.parametrize("there", [b"content", b"cont", b"c0ntent", b"", None])
def test_storing_content_again_mends_it_and_makes_it_young(
    store: Store, tmp_path: Path, there: bytes | None
) -> None:
    digest = store.put_named_by_content("x", ".bin", b"content")
    path = tmp_path / "store" / "x" / f"{digest}.bin"
    if there is None:
        path.unlink()
    else:
        path.write_bytes(there)
        os.utime(path, (0, 0))

    assert store.put_named_by_content("x", ".bin", b"content") == digest

    assert store.get_verified("x", ".bin", digest) == b"content"
    found = store.head(f"x/{digest}.bin")
    assert found
    assert found.modified
    assert datetime.now(UTC) - found.modified < timedelta(minutes=1)


def test_damaged_bytes_are_refused(store: Store) -> None:
    digest = store.put_named_by_content("x", ".bin", b"content")
    store.put(f"x/{digest}.bin", b"c0ntent")

    with pytest.raises(StoreCorruptError, match="other bytes than its name promises"):
        store.get_verified("x", ".bin", digest)


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "nonsense"])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ASTRID_STORE_URL"):
        Store(url)


def test_secrets_stay_out_of_the_repr() -> None:
    shown = repr(Credentials("https://x", "key-id", "secret"))

    assert "secret" not in shown
    assert "key-id" not in shown


@pytest.mark.parametrize("form", ["{key}", "{path}", "file://{path}"])
def test_each_form_of_a_path_leads_to_the_file(store: Store, tmp_path: Path, form: str) -> None:
    store.put("raw/a b.fits", b"pixels")
    path = form.format(key="raw/a b.fits", path=tmp_path / "store/raw/a b.fits")

    sources = Sources(store)
    sources.save(path, 6, "", tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == b"pixels"
    assert sources.head(path) is not None
    assert sources.local_path(path) == tmp_path / "store/raw/a b.fits"


@pytest.mark.parametrize("form", ["{key}", "{path}", "{uri}"])
@pytest.mark.parametrize("name", ["a#1.fits", "a?b=c.fits", "a%20b.fits", "é:1.fits"])
def test_each_character_of_a_path_counts(
    store: Store, tmp_path: Path, form: str, name: str
) -> None:
    store.put(f"raw/{name}", b"pixels")
    lies = tmp_path / "store/raw" / name
    path = form.format(key=f"raw/{name}", path=lies, uri=lies.as_uri())

    assert Sources(store).head(path) is not None
    assert Sources(store).local_path(path) == lies


@pytest.mark.parametrize("scheme", ["s3", "r2", "S3"])
def test_a_key_of_another_bucket_is_taken_as_it_is(store: Store, scheme: str) -> None:
    found, key = Sources(store, Credentials("https://r2.example")).locate(
        f"{scheme}://bucket/raw/a%20b#1?.fits"
    )

    assert (found.url, key) == ("s3://bucket", "raw/a%20b#1?.fits")


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("", "empty part"),
        ("raw//x.fits", "empty part"),
        ("raw/", "empty part"),
        ("./x.fits", "empty part"),
        ("s3://bucket", "empty part"),
        ("s3:///key", "leads to no store"),
        ("s3:key", "leads to no store"),
        ("gs://bucket/x.fits", "leads to no store"),
        ("obs:1.fits", "leads to no store"),
        ("file://host/x.fits", "leads to no store"),
        ("https://example.org/x.fits", "may not be asked"),
        ("raw/../../etc/passwd", "climbs out"),
        ("file:///tmp/%2E%2E/etc/passwd", "climbs out"),
        ("raw/x\n.fits", "control characters"),
        ("file:///tmp/%00", "control characters"),
        ("raw/" + "x" * 256, "over 255 bytes"),
        ("raw/x.fits#12", "ends in # and digits"),
    ],
)
def test_a_path_that_names_no_object_is_refused(store: Store, path: str, cause: str) -> None:
    with pytest.raises(UnusablePathError, match=cause):
        Sources(store).head(path)


def test_only_the_object_that_was_looked_up_is_read(store: Store) -> None:
    store.put("a", b"one")
    found = store.head("a")
    assert found is not None
    assert store.get("a", found.etag) == b"one"

    store.put("a", b"two")

    with pytest.raises(ObjectChangedError, match="collect again"):
        store.get("a", found.etag)
    assert store.get("a", "") == b"two"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "taken", b"content")
    write_atomically(tmp_path / "deep/new", b"content")

    assert {path.name for path in tmp_path.rglob("*")} == {"taken", "deep", "new"}
    assert (tmp_path / "deep/new").read_bytes() == b"content"


def test_a_pack_is_mapped_read_only(store: Store, tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    digest = put_array(store, "images", array)

    mapped = PackCache(store, tmp_path / "cache").open("images", digest)

    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, array)


def test_a_pack_that_is_gone_or_damaged_is_never_replaced_by_anything(
    store: Store, tmp_path: Path
) -> None:
    packs = PackCache(store, tmp_path / "cache")
    digest = put_array(store, "images", np.zeros((2, 2), np.float32))
    packs.verify("images", digest)
    path = tmp_path / "store" / pack_key("images", digest)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreCorruptError):
        packs.verify("images", digest)
    path.write_bytes(b"")
    with pytest.raises(StoreCorruptError):
        packs.open("images", digest)
    path.unlink()
    with pytest.raises(MissingObjectError, match="collect the dataset again"):
        packs.open("images", digest)


def test_a_table_comes_back_with_its_types(store: Store) -> None:
    table = pa.table({"key": ["a", None], "n": pa.array([1, 2], pa.int32())})

    assert read_table(store, "tables", put_table(store, "tables", table)).equals(table)
