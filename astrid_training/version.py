"""Which code this is: the package's version and, in a checkout, its commit."""

import os
import shutil
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

__all__ = ["PACKAGE", "VERSION_VARIABLE", "code_version"]

PACKAGE = "astrid-training"
VERSION_VARIABLE = "ASTRID_VERSION"
"""Names the version where neither package nor commit can: in an image that was built elsewhere."""
ROOT = Path(__file__).resolve().parents[1]


def code_version() -> str:
    """Return `$ASTRID_VERSION`, else the package's version and, in a checkout, `+g` and its commit."""
    return os.environ.get(VERSION_VARIABLE) or _installed()


@cache
def _installed() -> str:
    installed = version(PACKAGE)
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return installed
    command = [git, "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  no input
    return f"{installed}+g{answer.stdout.strip()}" if answer.returncode == 0 else installed
