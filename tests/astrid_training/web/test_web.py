"""Files of the web come whole, are those that were looked up, and what passes is asked again."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from astrid_training.downloads import SourceCache
from astrid_training.errors import FitsRefusedError, MissingObjectError
from astrid_training.patience import Patience
from astrid_training.records import SourceFile
from astrid_training.sources import Sources
from astrid_training.store import NoRangesError, ObjectChangedError, Store, StoreUnavailableError
from astrid_training.web import Web, WebRefusedError
from deployments.embedded.processes import free_port

CHANGED = "Mon, 01 Jan 2024 00:00:00 GMT"


def test_a_file_of_a_listed_host_is_looked_up_and_copied(
    archive: Any, web: Web, tmp_path: Path
) -> None:
    found = web.head(archive.url())
    assert found
    assert (found.size, found.etag) == (len(archive.body), archive.etag)

    web.save(archive.url(), found.size, found.etag, tmp_path / "deep" / "a.fits")

    assert (tmp_path / "deep" / "a.fits").read_bytes() == archive.body
    assert archive.headers["Host"] == archive.host
    assert archive.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("headers", "etag"),
    [
        ({"ETag": '"one"', "Last-Modified": CHANGED}, '"one"'),
        ({"Last-Modified": CHANGED}, f"{CHANGED} 256009"),
        ({}, ""),
    ],
)
def test_what_changes_with_the_file_is_its_etag_else_its_date(
    archive: Any, web: Web, tmp_path: Path, headers: dict[str, str], etag: str
) -> None:
    archive.serve("/a.fits", headers=headers)

    found = web.head(archive.url())

    assert found
    assert found.etag == etag
    web.save(archive.url(), found.size, found.etag, tmp_path / "a.fits")


@pytest.mark.parametrize(
    "page",
    [
        {"refused": {"HEAD"}},
        {"refused": {"HEAD"}, "knows_ranges": False},
        {"length": None},
    ],
)
def test_where_head_does_not_tell_the_size_a_first_byte_does(
    archive: Any, web: Web, page: dict[str, Any]
) -> None:
    archive.serve("/a.fits", **page)

    found = web.head(archive.url())

    assert found
    assert found.size == len(archive.body)
    assert [method for method, _ in archive.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize(
    "headers", [{"ETag": '"one"'}, {"ETag": 'W/"one"'}, {"Last-Modified": CHANGED}]
)
def test_a_range_holds_the_bytes_of_the_file_that_was_looked_up(
    archive: Any, web: Web, headers: dict[str, str]
) -> None:
    archive.serve("/a.fits", headers=headers)
    found = web.head(archive.url())
    assert found

    assert web.get_range(archive.url(), found.etag, 500, 900) == archive.body[500:900]
    archive.serve("/a.fits", headers={"ETag": '"two"'})
    with pytest.raises(ObjectChangedError, match="changed since"):
        web.get_range(archive.url(), found.etag, 500, 900)


@pytest.mark.parametrize("page", [{"knows_ranges": False}, {"told": "0-399"}])
def test_a_server_that_gives_another_part_gives_none(
    archive: Any, web: Web, page: dict[str, Any]
) -> None:
    archive.serve("/a.fits", **page)

    with pytest.raises(NoRangesError, match="does not give parts"):
        web.get_range(archive.url(), archive.etag, 500, 900)


def test_a_part_of_a_file_that_has_gone_is_missing(archive: Any, web: Web) -> None:
    with pytest.raises(MissingObjectError, match="any more"):
        web.get_range(archive.url("/b.fits"), archive.etag, 500, 900)


def test_a_file_of_unknown_size_is_refused(archive: Any, web: Web) -> None:
    archive.serve("/a.fits", length=None, knows_ranges=False)

    with pytest.raises(WebRefusedError, match="does not tell its size; store the file"):
        web.head(archive.url())


def test_a_file_that_is_gone_is_missing(archive: Any, web: Web, tmp_path: Path) -> None:
    assert web.head(archive.url("/none.fits")) is None
    with pytest.raises(MissingObjectError, match=r"/none\.fits any more"):
        web.save(archive.url("/none.fits"), 1, "", tmp_path / "none")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_final_and_concerns_the_file_alone(
    archive: Any, web: Web, tmp_path: Path, status: int
) -> None:
    archive.serve("/a.fits", faults=[status] * 9)

    with pytest.raises(WebRefusedError, match=f"answers {status} .*; store the file") as caught:
        web.head(archive.url())
    assert [method for method, _ in archive.seen] == ["HEAD", "GET"]
    with pytest.raises(WebRefusedError, match=f"answers {status}"):
        web.save(archive.url(), 1, "", tmp_path / "a")

    assert caught.value.reason == "web_refused"
    assert len(archive.seen) == 3


@pytest.mark.parametrize("fault", [500, 503, 429, 408, "reset", "silence", "cut"])
def test_a_failure_that_passes_is_not_seen(
    archive: Any, tmp_path: Path, fault: str, patience: Patience
) -> None:
    web = Web([archive.host], replace(patience, silence_s=0.5) if fault == "silence" else patience)
    archive.pages["/a.fits"].faults = [fault]
    web.save(archive.url(), len(archive.body), archive.etag, tmp_path / "a.fits")
    archive.pages["/a.fits"].faults = [fault]

    assert web.head(archive.url())

    assert (tmp_path / "a.fits").read_bytes() == archive.body
    assert [method for method, _ in archive.seen][:3] == ["GET", "GET", "HEAD"]


@pytest.mark.parametrize("fault", [503, "reset", "cut"])
def test_a_failure_that_stays_is_told_and_leaves_nothing(
    archive: Any, web: Web, tmp_path: Path, fault: str, patience: Patience
) -> None:
    archive.pages["/a.fits"].faults = [fault] * 9

    with pytest.raises(StoreUnavailableError, match="run it again later, or without its host"):
        web.save(archive.url(), len(archive.body), archive.etag, tmp_path / "a.fits")

    assert len(archive.seen) == 1 + patience.retries
    assert list(tmp_path.iterdir()) == []


def test_a_dead_host_is_known_soon(patience: Patience) -> None:
    host = f"127.0.0.1:{free_port(None)}"
    before = time.monotonic()

    with pytest.raises(StoreUnavailableError, match=f"cannot read http://{host}/a"):
        Web([host], patience).head(f"http://{host}/a")

    assert time.monotonic() - before < patience.retry_s


def test_a_server_that_trickles_is_left(archive: Any, tmp_path: Path, patience: Patience) -> None:
    web = Web([archive.host], replace(patience, whole_s=0.0, retries=0))

    with pytest.raises(StoreUnavailableError, match="does not end within 0 s"):
        web.save(archive.url(), len(archive.body), archive.etag, tmp_path / "a.fits")


@pytest.mark.parametrize(
    "page",
    [
        {"headers": {"ETag": '"two"'}},
        {"size": 256_010, "length": None},
        {"size": 256_008, "length": None},
    ],
)
def test_another_file_than_the_one_looked_up_is_not_copied(
    archive: Any, web: Web, tmp_path: Path, page: dict[str, Any]
) -> None:
    body = bytes(page.pop("size", len(archive.body)))
    archive.serve("/a.fits", body=body, **page)

    with pytest.raises(ObjectChangedError):
        web.save(archive.url(), len(archive.body), archive.etag, tmp_path / "a.fits")

    assert list(tmp_path.iterdir()) == []


def test_a_file_over_the_limit_is_refused_unread(
    archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources(Store(f"file://{tmp_path}/store"), hosts=[archive.host])
    found = sources.head(archive.url())
    assert found
    monkeypatch.setattr("astrid_training.fits.MAX_FILE_BYTES", len(archive.body) - 1)

    with pytest.raises(FitsRefusedError, match="too_large"):
        SourceCache(sources, tmp_path).fetch(SourceFile(archive.url(), found.etag, found.size))

    assert [method for method, _ in archive.seen] == ["HEAD"]


def test_a_web_page_in_place_of_a_file_is_refused_as_such(archive: Any, tmp_path: Path) -> None:
    archive.serve("/a.fits", body=b"<html>Sorry</html>", length=18)
    sources = Sources(Store(f"file://{tmp_path}/store"), hosts=[archive.host])

    with pytest.raises(FitsRefusedError, match="html_page"):
        SourceCache(sources, tmp_path / "cache").fetch(SourceFile(archive.url(), archive.etag, 18))
