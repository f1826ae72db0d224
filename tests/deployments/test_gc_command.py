"""Garbage is counted for people and machines, and goes only when that is said."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from astrid_training.packs import put_array
from astrid_training.settings import DERIVED, ENVIRONMENT
from astrid_training.store import Store
from deployments.cli import app

Run = Callable[..., Any]


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """A folder of the store with an old pack of 228 bytes and a young one."""
    store = Store(f"file://{tmp_path}/store")
    old, _ = (put_array(store, "images", np.full(100, n, np.uint8)) for n in range(2))
    folder = tmp_path / "store" / "images"
    os.utime(folder / f"{old}.npy", (0, 0))
    return folder


@pytest.fixture
def run(database: Engine, tmp_path: Path, packs: Path) -> Iterator[Run]:
    """Run a command on an empty database and the store of `packs`."""
    before = dict(os.environ)  # a command sets this process's environment
    for variable in (*ENVIRONMENT.values(), DERIVED):
        os.environ.pop(variable, None)
    os.environ |= {
        "ASTRID_TRAINING_HOME": str(tmp_path),
        "ASTRID_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "ASTRID_STORE_URL": f"file://{packs.parent}",
    }
    yield lambda *arguments: CliRunner().invoke(app, arguments)
    os.environ.clear()
    os.environ |= before


@pytest.mark.parametrize(("options", "left"), [([], 2), (["--delete"], 1)])
def test_garbage_goes_only_when_that_is_said(
    run: Run, packs: Path, options: list[str], left: int
) -> None:
    result = run("gc", *options, "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "deleted": bool(options),
        "objects": 1,
        "bytes": 228,
        "kinds": {"images": {"objects": 1, "bytes": 228}},
    }
    assert len(list(packs.iterdir())) == left
    assert ("would be removed" in result.stderr) is not bool(options)


def test_where_there_is_none_it_says_so(run: Run, packs: Path) -> None:
    run("gc", "--delete")

    assert "0 objects" in run("gc").stderr


def test_no_time_so_short_that_a_running_collection_would_suffer_is_taken(
    run: Run, packs: Path
) -> None:
    assert run("gc", "--delete", "--older-than", "1").exit_code == 2
    assert len(list(packs.iterdir())) == 2
