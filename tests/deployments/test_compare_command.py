"""What people and scripts are told of the difference between two datasets."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from sqlalchemy import Engine
from typer.testing import CliRunner

from astrid_training.settings import DERIVED, ENVIRONMENT
from astrid_training.store import Store
from deployments.cli import app
from tests.astrid_training.simulated_samples import sky, with_column
from tests.deployments.two_datasets import NEWER, OLDER, publish_versions

Run = Callable[..., Any]
FLIPPED = 12


@pytest.fixture(scope="module")
def tables() -> tuple[pa.Table, pa.Table]:
    """A set, and the same without its first 40 samples and with some real ones rejected."""
    before = sky(1, fields=20)
    after = before.slice(40)
    real = after["is_anomaly"].to_numpy()
    flip = np.isin(np.arange(len(real)), np.flatnonzero(real)[:FLIPPED])
    kinds = after["anomaly_type"].to_pylist()
    names = [None if flipped else kind for flipped, kind in zip(flip, kinds, strict=True)]
    after = with_column(with_column(after, "is_anomaly", real & ~flip), "anomaly_type", names)
    return before, after


@pytest.fixture
def run(database: Engine, tmp_path: Path, tables: tuple[pa.Table, pa.Table]) -> Iterator[Run]:
    """Run a command on a database and a store that hold both as versions of `nightly`."""
    before = dict(os.environ)  # a command sets this process's environment
    for variable in (*ENVIRONMENT.values(), DERIVED):
        os.environ.pop(variable, None)
    store = (tmp_path / "store").as_uri()
    os.environ |= {
        "ASTRID_TRAINING_HOME": str(tmp_path),
        "ASTRID_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "ASTRID_STORE_URL": store,
    }
    publish_versions(database, Store(store), *tables)
    yield lambda *arguments: CliRunner().invoke(app, ["compare", *arguments])
    os.environ.clear()
    os.environ |= before


def test_people_read_what_changed_and_what_to_look_at(run: Run, tmp_path: Path) -> None:
    keys = tmp_path / "keys.csv"

    result = run(OLDER, NEWER, "--keys", str(keys))

    assert (result.exit_code, result.stdout) == (0, "")
    told = " ".join(result.stderr.split())
    assert f"nightly {NEWER} of 2026-03-02 12:00: 600 samples, 600 of them in both" in told
    assert "removed 40" in told
    assert f"relabelled {FLIPPED}" in told
    assert f"look at: {FLIPPED} of 600 shared samples (2.0%) have another label" in told
    assert csv.read_csv(keys)["change"].to_pylist() == ["removed"] * 40 + ["relabelled"] * FLIPPED


def test_a_name_alone_is_compared_with_its_parent(run: Run, tmp_path: Path) -> None:
    keys = tmp_path / "keys.parquet"

    result = run("nightly", "--keys", str(keys), "--json")

    told = json.loads(result.stdout)
    assert (told["before"]["version_id"], told["after"]["version_id"]) == (OLDER, NEWER)
    assert [one["kind"] for one in told["findings"]] == ["relabelled"]
    assert (told["changes"]["removed"]["count"], told["samples"]["shared"]) == (40, 600)
    assert len(told["changes"]["removed"]["keys"]) == 20
    assert parquet.read_table(keys).num_rows == 40 + FLIPPED


def test_scripts_are_told_by_the_exit_code_where_they_ask(run: Run) -> None:
    assert run("nightly", "--exit-code").exit_code == 1
    same = run("nightly", NEWER, "--exit-code")
    assert (same.exit_code, "nothing needs a look" in same.stderr) == (0, True)


def test_the_first_of_its_name_has_nothing_to_be_compared_with(run: Run) -> None:
    result = run(OLDER, "--json")

    assert result.exit_code == 1
    assert "has no parent" in json.loads(result.stdout)["error"]


def test_keys_go_to_a_file_of_a_known_kind(run: Run) -> None:
    assert run("nightly", "--keys", "keys.txt").exit_code == 2
