"""Collections as processes of their own, for tests that kill them, starve them, or let them race."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from astrid_training.records import FunnelRow, PublishedDataset
from astrid_training.store import Credentials

__all__ = ["CollectOnce", "collected"]

HERE = Path(__file__).parent


class CollectOnce:
    """A collection of a sky by the library alone, under way.

    Args:
        sky: in a folder or a bucket.
        params: of the collection.
        credentials: of the bucket.
        within: a command that runs the one it is given.
        environment: of the process, beside this one's.
    """

    def __init__(
        self,
        sky: Any,
        params: Mapping[str, Any],
        credentials: Credentials | None = None,
        within: Sequence[str | Path] = (),
        **environment: str,
    ) -> None:
        asked = {
            "conftest": str(HERE.parent / "conftest.py"),
            "store_url": sky.store.url,
            "credentials": asdict(credentials or Credentials()),
            "database_url": sky.engine.url.render_as_string(hide_password=False),
            "home": str(sky.home),
            "params": dict(params),
        }
        self._process = subprocess.Popen(
            [*within, sys.executable, HERE / "collect_once.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked))
        self._process.stdin.close()
        self._process.stdin = None

    def end(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end."""
        out, said = self._process.communicate(timeout=120)
        return subprocess.CompletedProcess([], self._process.returncode, out, said)


def collected(done: subprocess.CompletedProcess[str]) -> PublishedDataset:
    """Return what a collection made that must have ended well."""
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return PublishedDataset(**{**told, "funnel": [FunnelRow(**row) for row in told["funnel"]]})
