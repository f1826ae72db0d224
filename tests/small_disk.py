"""A process that sees a disk of some kilobytes where all others see the real one."""

import functools
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

__all__ = ["on_small_disk"]

MOUNTED = 'mount -t tmpfs -o size=16k small "$1" && head -c 12k /dev/zero > "$1/full" && shift && exec "$@"'


def on_small_disk(folder: Path) -> list[str]:
    """Return the command that runs another one to which `folder` is an almost full disk of its own.

    A namespace is what lets an ordinary user mount something; it ends with the process. Where the
    system allows none, the test that asks is skipped.
    """
    if not _may_mount():
        pytest.skip("this system lets no ordinary user mount a small disk: unshare -Urm fails")
    return [*_within(folder)]


def _within(folder: Path) -> list[str]:
    return ["unshare", "-Urm", "sh", "-c", MOUNTED, "sh", str(folder)]


@functools.cache
def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    with TemporaryDirectory() as folder:
        return subprocess.run([*_within(Path(folder)), "true"], check=False).returncode == 0
