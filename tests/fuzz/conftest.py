"""What reads hostile files within bounds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
READER = Path(__file__).with_name("bounded_reader.py")


class BoundedReader:
    """A process that reads each file in a child of its own, and says what came of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(READER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "ASTRID_TRAINING_HOME": str(folder)},
        )

    def read(self, kind: str, path: Path) -> dict[str, Any]:
        """Return outcome, seconds and peak_mb of what lies at a path."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"kind": kind, "path": str(path)}), file=self._process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def read_bytes(self, kind: str, name: str, content: bytes) -> dict[str, Any]:
        """Return what `read` returns of a file of this name and content."""
        path = self._folder / name
        path.write_bytes(content)
        return self.read(kind, path)

    def write(self, name: str, content: bytes) -> None:
        """Put a file beside those that `read_bytes` reads."""
        (self._folder / name).write_bytes(content)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


@pytest.fixture(scope="session")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoundedReader]:
    """What reads hostile files within bounds."""
    reader = BoundedReader(tmp_path_factory.mktemp("bounded"))
    yield reader
    reader.close()
