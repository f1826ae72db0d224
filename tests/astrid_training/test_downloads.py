"""Files come whole, are the ones that were looked up, and are refused once for all only when bad."""

from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from sqlalchemy import Connection, Engine, text

from astrid_training import fits_guard, source_cache
from astrid_training.batches import TARGETS
from astrid_training.downloads import SourceCache, fetch_sources, quarantine
from astrid_training.errors import FitsRefusedError, MissingObjectError
from astrid_training.fits_guard import GUARD_VERSION
from astrid_training.plan import _quarantined
from astrid_training.records import Downloaded, RefusedFile, SourceFile
from astrid_training.source_cache import Need
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import Credentials, ObjectChangedError, ObjectInfo, Store
from astrid_training.surveys import profile_for


def fits_bytes(value: int, height: int = 5) -> bytes:
    hdu = fits.PrimaryHDU(np.full((height, 7), value, np.float32))
    buffer = BytesIO()
    hdu.writeto(buffer)
    return buffer.getvalue()


ONE, TWO = fits_bytes(1), fits_bytes(2)  # of equal size
TALL = fits_bytes(1, height=9000)


class Bucket:
    """A bucket behind HTTP that says what it was asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.served: list[str] = []
        self.knows_if_match = True
        self.knows_ranges = False
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.answer(self)

            def do_HEAD(self) -> None:
                bucket.answer(self)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        key = request.path.removeprefix("/bucket/")
        content = self.objects.get(key)
        wanted = request.headers.get("If-Match") if self.knows_if_match else None
        etag = f'"{sha256(content or b"").hexdigest()}"'
        refused = content is not None and wanted not in {None, etag}
        body = b"" if content is None or refused else content
        span = request.headers.get("Range", "").removeprefix("bytes=") if self.knows_ranges else ""
        found = 206 if span and body else 200
        request.send_response(404 if content is None else 412 if refused else found)
        if found == 206:
            first, last = (int(number) for number in span.split("-"))
            request.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
            body = body[first : last + 1]
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", etag)
        request.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        request.end_headers()
        if request.command == "GET":
            self.served.append(key)
            request.wfile.write(body)

    def sources(self) -> Sources:
        port = self.server.server_address[1]
        credentials = Credentials(f"http://127.0.0.1:{port}", "key", "secret", "auto")
        return Sources(Store("s3://bucket", credentials))


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.server.shutdown()
    bucket.server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


def head(sources: Sources, path: str) -> ObjectInfo:
    found = sources.head(path)
    assert found is not None
    return found


def looked_up(sources: Sources, path: str) -> SourceFile:
    found = head(sources, path)
    return SourceFile(path, found.etag, found.size)


def targets(sources: Sources, *samples: dict[str, str]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, paths in enumerate(samples):
        row: dict[str, Any] = {"sample_key": f"sample-{number}"}
        for role in ROLES:
            file = looked_up(sources, paths[role]) if role in paths else None
            row[f"{role}_path"] = file and file.path
            row[f"{role}_etag"] = file and file.etag
            row[f"{role}_size"] = file and file.size
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=TARGETS)


def test_a_file_of_a_bucket_is_fetched_once(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects["a.fits"] = ONE
    cache = SourceCache(bucket.sources(), tmp_path)
    file = looked_up(bucket.sources(), "a.fits")

    fetched = cache.fetch(file)

    assert cache.fetch(file) == fetched
    assert fetched.sha256 == sha256(ONE).hexdigest()
    assert cache.path(file).read_bytes() == ONE
    assert bucket.served == ["a.fits"]


@pytest.mark.parametrize("knows_if_match", [True, False])
def test_other_bytes_are_never_cached_under_an_etag(
    bucket: Bucket, tmp_path: Path, *, knows_if_match: bool
) -> None:
    bucket.objects["a.fits"] = ONE
    bucket.knows_if_match = knows_if_match
    cache = SourceCache(bucket.sources(), tmp_path)
    file = looked_up(bucket.sources(), "a.fits")
    bucket.objects["a.fits"] = TWO

    with pytest.raises(ObjectChangedError, match="collect again"):
        cache.fetch(file)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_a_server_gives_in_parts_comes_in_parts(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, knows_ranges: bool
) -> None:
    monkeypatch.setattr(source_cache, "SMALL_BYTES", 0)
    bucket.objects["a.fits"] = TALL
    bucket.knows_ranges = knows_ranges

    begun = SourceCache(bucket.sources(), tmp_path).begin(looked_up(bucket.sources(), "a.fits"))

    assert bool(begun.extents) == knows_ranges
    assert SourceCache(bucket.sources(), tmp_path).holds(begun)


@pytest.mark.parametrize("knows_if_match", [True, False])
def test_parts_of_two_versions_are_never_mixed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, knows_if_match: bool
) -> None:
    monkeypatch.setattr(source_cache, "SMALL_BYTES", 0)
    bucket.objects["a.fits"] = TALL
    bucket.knows_ranges, bucket.knows_if_match = True, knows_if_match
    cache = SourceCache(bucket.sources(), tmp_path)
    begun = cache.begin(looked_up(bucket.sources(), "a.fits"))
    bucket.objects["a.fits"] = TALL[:-1] + b"x"
    need = Need(profile_for("generic"), "science", "raw", [(slice(5000, 5010), slice(0, 7))])

    with pytest.raises(ObjectChangedError, match="collect again"):
        cache.complete(begun, [need])


def test_a_cached_file_of_another_size_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects["a.fits"] = ONE
    cache = SourceCache(bucket.sources(), tmp_path)
    file = looked_up(bucket.sources(), "a.fits")
    cache.path(file).write_bytes(ONE[:100])

    assert cache.fetch(file).sha256 == sha256(ONE).hexdigest()
    assert cache.path(file).read_bytes() == ONE


def test_a_file_over_the_limit_is_refused_unread(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.objects["a.fits"] = ONE
    monkeypatch.setattr("astrid_training.fits.MAX_FILE_BYTES", len(ONE) - 1)

    with pytest.raises(FitsRefusedError, match="too_large"):
        SourceCache(bucket.sources(), tmp_path).fetch(looked_up(bucket.sources(), "a.fits"))

    assert bucket.served == []


def test_a_file_in_place_is_the_one_that_was_looked_up(store: Store, tmp_path: Path) -> None:
    store.put("a.fits", ONE)
    cache = SourceCache(Sources(store), tmp_path / "cache")
    file = looked_up(Sources(store), "a.fits")
    assert cache.fetch(file) == file

    store.put("a.fits", TWO)
    with pytest.raises(ObjectChangedError, match=r"a\.fits changed"):
        cache.fetch(file)
    store.delete("a.fits")
    with pytest.raises(MissingObjectError, match="restore"):
        cache.fetch(file)


def test_a_sample_with_two_bad_files_remembers_both(
    store: Store, tmp_path: Path, database: Engine
) -> None:
    names = {"science": "raw/a: b.fits", "reference": "raw/c.fits", "difference": "raw/d.fits"}
    for name, content in zip(names.values(), (b"<html>", b"", ONE), strict=True):
        store.put(name, content)
    sources = Sources(store)
    table = targets(sources, names, {"science": "raw/d.fits"})

    downloaded = fetch_sources(SourceCache(sources, tmp_path / "cache"), table)
    with database.begin() as connection:
        for _ in range(2):
            quarantine(connection, downloaded)
        known = _quarantined(connection, {path: head(sources, path) for path in names.values()})

    assert [file.path for file in downloaded.files] == ["raw/d.fits"]
    assert [reject.sample_key for reject in downloaded.rejects] == ["sample-0"]
    reasons = {file.path: file.reason for file in downloaded.refused}
    assert reasons == {"raw/a: b.fits": "html_page", "raw/c.fits": "empty"}
    assert {path: reason for path, (reason, _) in known.items()} == reasons


def test_changed_and_missing_files_are_lost_but_not_refused(store: Store, tmp_path: Path) -> None:
    for name in ("a.fits", "b.fits", "c.fits"):
        store.put(name, ONE)
    sources = Sources(store)
    table = targets(sources, *({"science": name} for name in ("a.fits", "b.fits", "c.fits")))
    store.put("a.fits", TWO)
    store.delete("b.fits")

    downloaded = fetch_sources(SourceCache(sources, tmp_path / "cache"), table)

    assert [reject.reason for reject in downloaded.rejects] == ["changed", "missing_object"]
    assert downloaded.refused == []
    assert [file.path for file in downloaded.files] == ["c.fits"]


def test_another_guard_looks_again(
    store: Store, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a.fits", b"<html>")
    info = head(Sources(store), "a.fits")
    refused = Downloaded([], [], [RefusedFile("a.fits", info.etag, "html_page", "a web page")])

    def known(connection: Connection) -> bool:
        return bool(_quarantined(connection, {"a.fits": info}))

    with database.begin() as connection:
        quarantine(connection, refused)
        assert known(connection)
        monkeypatch.setattr(fits_guard, "GUARD_VERSION", GUARD_VERSION + 1)
        assert not known(connection)
        quarantine(connection, refused)
        assert known(connection)
        rows = connection.execute(text("SELECT guard_version FROM training_quarantine")).scalars()
        assert sorted(rows) == [GUARD_VERSION, GUARD_VERSION + 1]


def test_who_verifies_and_who_does_not_never_share_a_verdict(
    store: Store, database: Engine
) -> None:
    store.put("a.fits", ONE)
    info = head(Sources(store), "a.fits")
    refused = Downloaded([], [], [RefusedFile("a.fits", info.etag, "bad_checksum", "other data")])

    with database.begin() as connection:
        quarantine(connection, refused, verify_checksums=True)

        assert _quarantined(connection, {"a.fits": info}, verify_checksums=True)
        assert not _quarantined(connection, {"a.fits": info}, verify_checksums=False)
