"""Whatever a path or a name says, nothing outside the allowed folders is read or written."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from astrid_training.alerts.importing import import_alerts
from astrid_training.backup import back_up
from astrid_training.errors import FitsRefusedError, MissingObjectError, UnusablePathError
from astrid_training.exports import export
from astrid_training.records import SourceFile
from astrid_training.source_cache import SourceCache
from astrid_training.sources import Sources
from astrid_training.store import Store, StoreUnavailableError
from deployments.embedded.postgres import client_program
from tests.astrid_training.alerts import conftest as packets
from tests.fuzz.amounts import cases
from tests.fuzz.fits_mutations import sound_files

CANARY = b"the canary sings"


@dataclass(frozen=True)
class Place:
    """A store, a folder that may be read, and a folder that may not."""

    root: Path

    @property
    def sources(self) -> Sources:
        return Sources(Store((self.root / "store").as_uri()), folders=[str(self.root / "allowed")])

    @property
    def cache(self) -> SourceCache:
        return SourceCache(self.sources, self.root / "cache")

    def seen(self) -> dict[str, bytes]:
        """Return what lies outside the cache."""
        files = (one for one in self.root.rglob("*") if one.is_file() and not one.is_symlink())
        return {
            str(one): one.read_bytes() for one in files if self.root / "cache" not in one.parents
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for folder in ("store/raw", "allowed", "outside", "allowed-not", "cache"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("store/raw", "allowed", "outside", "allowed-not"):
        (tmp_path / folder / "a.fits").write_bytes(sound_files()["plain"])
    (tmp_path / "outside" / "secret").write_bytes(CANARY)
    for folder in ("store/raw", "allowed"):
        (tmp_path / folder / "link.fits").symlink_to(tmp_path / "outside" / "a.fits")
        (tmp_path / folder / "secret").symlink_to(tmp_path / "outside" / "secret")
        (tmp_path / folder / "folder").symlink_to(tmp_path / "outside")
        (tmp_path / folder / "loop").symlink_to(tmp_path / folder / "loop")
        (tmp_path / folder / "zero").symlink_to("/dev/zero")
        os.mkfifo(tmp_path / folder / "pipe.fits")
    return Place(tmp_path)


def fetched(place: Place, path: str) -> bytes | str:
    """Return the bytes of a file that a row names, or why it cannot be had."""
    try:
        found = place.sources.head(path)
        if found is None:
            return "missing_object"
        file = place.cache.fetch(SourceFile(path, found.etag, found.size))
        return place.cache.path(file).read_bytes()
    except (
        UnusablePathError,
        MissingObjectError,
        StoreUnavailableError,
        FitsRefusedError,
    ) as error:
        told = str(error)
        reason = str(getattr(error, "reason", type(error).__name__))
    assert CANARY[:9].decode() not in told
    return reason


def test_files_of_store_and_listed_folders_are_read(place: Place) -> None:
    for path in (
        "raw/a.fits",
        f"{place.root}/allowed/a.fits",
        f"file://{place.root}/allowed/a.fits",
    ):
        assert fetched(place, path) == sound_files()["plain"]


@pytest.mark.trust
@pytest.mark.parametrize(
    "path",
    [
        *("{root}/outside/a.fits", "file://{root}/outside/a.fits", "FILE://{root}/outside/a.fits"),
        *("{root}/allowed-not/a.fits", "{root}/allowed/folder/a.fits", "{root}/allowed/link.fits"),
        *("raw/link.fits", "raw/folder/a.fits", "raw/secret", "{root}/allowed/secret"),
        *("file://{root}/allowed/%2e%2e/outside/a.fits", "{root}/allowed/../outside/a.fits"),
        *("../outside/a.fits", "raw/../../outside/a.fits", "%2e%2e/outside/a.fits", "/etc/passwd"),
        *("..\\outside\\a.fits", "file:///etc/passwd", "/proc/self/environ", "file:/etc/passwd"),
        *("file://localhost/etc/passwd", "file:////etc/passwd", "//etc/passwd", "~/a.fits"),
        *("raw/a.fits\0", "raw\0/a.fits", "/dev/zero", "/dev/stdin", "raw/pipe.fits", "raw/loop"),
        *("{root}/allowed/pipe.fits", "raw/zero", "{root}/allowed/zero", "{root}/allowed", "raw"),
        *(
            "",
            ".",
            "/",
            "file://",
            "file:///",
            "raw/" + "x" * 300,
            "raw/a.fits#1",
            "$HOME/a",
            "`id`",
        ),
    ],
)
def test_a_path_leads_nowhere_else(place: Place, path: str) -> None:
    before = place.seen()
    found = fetched(place, path.format(root=place.root))

    assert isinstance(found, str), path
    assert place.seen() == before
    assert list((place.root / "cache").iterdir()) == []


PARTS = st.sampled_from(
    [
        *(
            "..",
            ".",
            "",
            "raw",
            "a.fits",
            "outside",
            "allowed",
            "folder",
            "link.fits",
            "secret",
            "%2e%2e",
        ),
        *(
            "%2f",
            "%5c",
            "\\",
            "..\\",
            "..;",
            "\u2025",
            "\uff0e\uff0e",
            "file:",
            "FILE:",
            "s3:",
            "~",
            "\0",
        ),
    ]
)


@pytest.mark.trust
@cases(50)
@given(
    start=st.sampled_from(["", "/", "{root}/", "file://", "file://{root}/", "{root}/allowed/"]),
    parts=st.lists(PARTS | st.text(max_size=4), max_size=6),
)
def test_no_path_of_parts_leads_outside(place: Place, start: str, parts: list[str]) -> None:
    path = start.format(root=place.root) + "/".join(parts)
    inside = [place.root / "store", place.root / "allowed"]
    try:
        local = place.sources.local_path(path)
    except UnusablePathError:
        return

    assert local is not None
    assert any(folder in Path(os.path.realpath(local)).parents for folder in inside)


NAMES = (
    *(
        "../../evil",
        "/tmp/evil",
        "..",
        ".",
        "a/../../evil",
        "..\\evil",
        "%2e%2e/evil",
        "a\0b",
        "~root",
    ),
    *("file:///evil", "\u202egnp.exe", "a\nb", "x" * 300, "con", "-rf", "$(touch evil)", "", " "),
)


@pytest.mark.trust
@pytest.mark.parametrize("name", NAMES)
def test_no_name_makes_a_file_elsewhere(name: str, tmp_path: Path) -> None:
    made = export._file_name("train", name)

    assert os.path.normpath(tmp_path / made) == f"{tmp_path}/{made}"
    assert "\0" not in made


@pytest.mark.trust
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_survey_of_any_name_is_refused_or_lies_among_the_stamps(
    database: Engine, tmp_path: Path, name: str
) -> None:
    path = packets.write_parquet(tmp_path / "a.parquet", packets.ztf_record())
    sources = Sources(Store((tmp_path / "store").as_uri()))
    with suppress(UnusablePathError):
        import_alerts(database, sources, [path], survey=name)

    elsewhere = [one for one in tmp_path.rglob("*") if one.is_file() and one != path]
    assert all(tmp_path / "store" / "stamps" in one.parents for one in elsewhere)


@pytest.mark.trust
@pytest.mark.slow
def test_a_backup_takes_no_file_that_only_a_link_leads_to(
    sky: Any, databases: Any, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(CANARY)
    images = sky.home / "store" / "images"
    images.mkdir(exist_ok=True)
    (images / "link.npy").symlink_to(outside / "secret")
    (images / "folder").symlink_to(outside)
    os.mkfifo(images / "pipe.npy")
    url = sky.engine.url.render_as_string(hide_password=False)

    back_up(url, sky.store, tmp_path / "copy", client_program)

    held = [one for one in (tmp_path / "copy").rglob("*") if one.is_file()]
    assert not any(one.is_symlink() or CANARY in one.read_bytes() for one in held)


def test_no_object_is_listed_that_only_a_link_leads_to(place: Place) -> None:
    store = Store((place.root / "store").as_uri())
    (place.root / "store" / "raw" / "loop").unlink()
    (place.root / "store" / "images").symlink_to(place.root / "allowed")  # another disk
    (place.root / "allowed" / "loop").unlink()

    assert store.keys("raw") == ["raw/a.fits"]
    assert store.keys("images") == ["images/a.fits"]
