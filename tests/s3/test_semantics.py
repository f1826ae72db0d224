"""What we need of any S3 server, on each that we can start."""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from astrid_training.buckets import PART_BYTES
from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError
from astrid_training.sources import Sources
from astrid_training.store import ObjectChangedError, Store, StoreUnavailableError


@pytest.fixture
def store(server: Any) -> Store:
    made: Store = server.make_store()
    return made


def test_bytes_come_back_with_their_size_and_an_etag(store: Store) -> None:
    store.put("a/b.bin", b"one")
    first = store.head("a/b.bin")
    store.put("a/b.bin", b"three")
    second = store.head("a/b.bin")

    assert store.get("a/b.bin") == b"three"
    assert first
    assert second
    assert (first.size, second.size) == (3, 5)
    assert first.etag != second.etag
    assert store.local_path("a/b.bin") is None


def test_a_missing_object_is_named_and_deleting_it_changes_nothing(store: Store) -> None:
    assert store.head("none") is None
    with pytest.raises(MissingObjectError, match=r"no object none in s3://.*restore it"):
        store.get("none")
    store.put("some", b"x")

    store.delete("some")
    store.delete("some")

    assert store.head("some") is None


@pytest.mark.parametrize("there", [b"cont", b"c0ntent", b""])
def test_a_damaged_object_is_mended_when_its_content_is_stored_again(
    store: Store, there: bytes
) -> None:
    digest = digest_bytes(b"content")
    store.put(f"x/{digest}.bin", there)

    assert store.put_named_by_content("x", ".bin", b"content") == digest

    assert store.get_verified("x", ".bin", digest) == b"content"


def test_many_may_store_the_same_content_at_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = list(
            pool.map(lambda _: store.put_named_by_content("x", ".bin", b"content"), range(8))
        )

    assert set(digests) == {digest_bytes(b"content")}
    assert store.get_verified("x", ".bin", digests[0]) == b"content"


def test_only_the_object_that_was_looked_up_is_read(store: Store, tmp_path: Path) -> None:
    store.put("a", b"one")
    found = store.head("a")
    assert found
    assert store.get("a", found.etag) == b"one"
    store.save("a", 3, found.etag, tmp_path / "copy")
    store.put("a", b"two")

    with pytest.raises(ObjectChangedError, match="collect again"):
        store.get("a", found.etag)
    with pytest.raises(ObjectChangedError, match="collect again"):
        store.save("a", 3, found.etag, tmp_path / "another")

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("copy", b"one")]


def test_a_list_of_several_pages_is_whole_and_sorted(server: Any, store: Store) -> None:
    keys = [f"many/{number:05d}" for number in range(server.page + 5)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), keys))
    store.put("other/one", b"x")

    assert store.keys("many") == keys
    assert store.keys("none") == []
    (listed,), looked_up = store.objects("other"), store.head("other/one")
    assert looked_up is not None
    assert looked_up == replace(listed, modified=looked_up.modified)
    assert listed.modified  # of another resolution on some servers


def test_a_large_object_is_sent_in_equal_parts(server: Any, store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * (2 * PART_BYTES // 256) + b"the rest"

    digest = store.put_named_by_content("images", ".npy", data)

    key = f"images/{digest}.npy"
    info = store.head(key)
    assert info
    assert info.etag.strip('"').endswith("-3")  # S3's way to say: of three parts
    assert store.get_verified("images", ".npy", digest) == data
    store.save(key, len(data), info.etag, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    bucket = store.url.removeprefix("s3://")
    sizes = [
        server.client.head_object(Bucket=bucket, Key=key, PartNumber=number)["ContentLength"]
        for number in (1, 2, 3)
    ]
    assert sizes == [PART_BYTES, PART_BYTES, len(b"the rest")]


@pytest.mark.parametrize(
    "key", ["raw/a b.fits", "raw/a#b?c=d.fits", "raw/a%20b.fits", "é/1:2.fits"]
)
def test_each_character_of_a_key_counts(server: Any, store: Store, key: str) -> None:
    store.put(key, b"pixels")

    found = Sources(Store("s3://elsewhere"), server.credentials).head(f"{store.url}/{key}")

    assert store.keys(key.split("/", maxsplit=1)[0]) == [key]
    assert found
    assert found.size == 6


def test_a_prefix_is_a_store_of_its_own(server: Any) -> None:
    bucket = server.make_bucket()
    whole, one, two = (
        Store(f"s3://{bucket}{prefix}", server.credentials) for prefix in ("", "/one", "/two")
    )

    one.put("a", b"1")
    two.put("a", b"2")

    assert (one.get("a"), two.get("a")) == (b"1", b"2")
    assert whole.keys("one") == ["one/a"]


def test_bare_keys_lie_in_the_source_bucket(server: Any, store: Store) -> None:
    bucket = server.make_bucket()
    Store(f"s3://{bucket}", server.credentials).put("raw/a.fits", b"SIMPLE")

    sources = Sources(store, server.credentials, bucket)

    assert sources.head("raw/a.fits")
    assert sources.head(f"r2://{bucket}/raw/a.fits")
    assert store.head("raw/a.fits") is None


@pytest.mark.parametrize("verb", ["write", "read", "list", "delete"])
def test_a_bucket_that_is_not_there_is_no_missing_object(server: Any, verb: str) -> None:
    if verb == "delete" and "key-of-tests" in server.credentials.access_key_id:
        pytest.skip("moto does not mind")
    store = Store("s3://no-such-bucket", server.credentials)
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: store.put("a", b"x"),
        "read": lambda: store.get("a"),
        "list": lambda: store.keys("a"),
        "delete": lambda: store.delete("a"),
    }

    with pytest.raises(
        StoreUnavailableError, match=rf"cannot {verb} .*NoSuchBucket.*make the bucket"
    ):
        calls[verb]()


@pytest.mark.s3
def test_a_wrong_secret_is_told_without_telling_any_key(swift_server: Any) -> None:
    bucket = swift_server.make_bucket()
    keys = replace(swift_server.credentials, secret_access_key="planted-secret")

    with pytest.raises(StoreUnavailableError, match="SignatureDoesNotMatch") as caught:
        Store(f"s3://{bucket}", keys).put("a", b"x")

    told = "".join(traceback.format_exception(caught.value))
    assert "CLOUDFLARE_R2_SECRET_ACCESS_KEY" in told
    assert "planted-secret" not in told
    assert str(keys.access_key_id) not in told
