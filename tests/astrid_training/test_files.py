"""A file of this machine is whole or not there, and a disk that is full is named."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from astrid_training.files import telling_what_is_full, write_atomically

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told_with_the_file_and_the_cure(tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"

    with (
        pytest.raises(OSError, match=r"No space left on device; make room .* and run") as caught,
        telling_what_is_full(wanted),
        FULL.open("wb", buffering=0) as file,
    ):
        file.write(b"content")

    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(wanted)


def test_another_failure_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, telling_what_is_full(tmp_path / "wanted"):
        (tmp_path / "absent").read_bytes()

    assert caught.value.filename == str(tmp_path / "absent")


def test_what_fails_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"before")

    def broken() -> Iterator[bytes]:
        yield b"after"
        raise ConnectionError("the server has gone")

    with pytest.raises(ConnectionError):
        write_atomically(path, broken())

    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
