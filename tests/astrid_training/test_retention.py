"""Old files go, young ones and those in use stay, and a log that is cut goes on."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from astrid_training.retention import (
    Removed,
    RetentionParams,
    cut_logs,
    forget_files,
    forget_objects,
)

DAY = 86_400
MONTH = timedelta(days=30)


def put(folder: Path, name: str, days: float, size: int = 10) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_files_go_when_they_are_old(tmp_path: Path) -> None:
    put(tmp_path, "images/old.npy", 31)
    put(tmp_path, "sources/a/old.fits", 40)
    put(tmp_path, "images/young.npy", 29)

    counted = forget_files("cache", tmp_path, MONTH, dry_run=True)
    assert (counted, len(left(tmp_path))) == (Removed("cache", 2, 20), 3)

    assert forget_files("cache", tmp_path, MONTH, dry_run=False) == counted
    assert left(tmp_path) == {"images/young.npy"}
    assert forget_files("cache", tmp_path, MONTH, dry_run=False) == Removed("cache", 0, 0)


def test_beyond_the_limit_those_unread_longest_go_first(tmp_path: Path) -> None:
    for days in range(1, 6):
        put(tmp_path, f"{days}", days + 0.5, size=100)

    assert forget_files("cache", tmp_path, MONTH, 250, dry_run=False) == Removed("cache", 3, 300)
    assert left(tmp_path) == {"1", "2"}


def test_what_somebody_may_be_at_stays_whatever_the_limit(tmp_path: Path) -> None:
    put(tmp_path, "fresh", 0.5, size=1000)

    assert forget_files("cache", tmp_path, MONTH, 1, dry_run=False).number == 0
    assert left(tmp_path) == {"fresh"}


def test_spared_folders_and_links_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "cache/loader/copy.npy", 99)
    outside = put(tmp_path, "outside/file", 99)
    (tmp_path / "cache" / "link").symlink_to(outside.parent)
    (tmp_path / "cache" / "file").symlink_to(outside)

    assert (
        forget_files("c", tmp_path / "cache", MONTH, spared=["loader"], dry_run=False).number == 0
    )
    assert outside.exists()
    assert forget_files("c", tmp_path / "nowhere", MONTH, dry_run=False) == Removed("c", 0, 0)


def test_a_large_log_is_begun_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    small = put(tmp_path, "small.log", 0, size=10)
    descriptor = os.open(tmp_path / "large.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"before" * 100)

    assert cut_logs(tmp_path, 500, dry_run=True) == Removed("logs begun anew", 1, 600)
    assert cut_logs(tmp_path, 500, dry_run=False).number == 1

    os.write(descriptor, b"after")
    os.close(descriptor)
    assert (tmp_path / "large.log").read_bytes() == b"after"
    assert (tmp_path / "large.log.1").read_bytes() == b"before" * 100
    assert small.stat().st_size == 10


def test_what_a_dataset_holds_stays_and_what_nothing_holds_goes(sky: Any, collect: Any) -> None:
    dataset = collect()
    stray = sky.store.put_named_by_content("images", ".npy", b"nobody's")
    then = time.time() - 8 * DAY
    for path in (sky.home / "store").rglob("*"):
        os.utime(path, (then, then))

    counted = forget_objects(sky.engine, sky.store, timedelta(days=7), dry_run=True)
    removed = forget_objects(sky.engine, sky.store, timedelta(days=7), dry_run=False)

    assert counted == removed
    assert Removed("store: images", 1, len(b"nobody's")) in removed
    assert sky.store.head(f"images/{stray}.npy") is None
    assert collect().dataset_id == dataset.dataset_id


@pytest.mark.parametrize("field", ["object_days", "cache_days", "result_days"])
def test_nobody_can_ask_for_what_was_made_today(field: str) -> None:
    with pytest.raises(ValidationError):
        RetentionParams.model_validate({field: 1})
