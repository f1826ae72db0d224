"""Cards and exports by command, of a dataset that a database and a store hold."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from astrid_training.cards.stored import CARD, CROISSANT, card_key
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import query
from astrid_training.settings import DERIVED, ENVIRONMENT
from deployments.cli import app
from tests.astrid_training.exports.cut_files import Cut, cut_dataset

Run = Callable[..., Any]


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    return cut_dataset(tmp_path / "home" / "store", rows={0: {"program_id": "2"}})


@pytest.fixture
def run(database: Engine, cut: Cut, tmp_path: Path) -> Iterator[Run]:
    """Run a command where the dataset is published."""
    before = dict(os.environ)  # a command sets this process's environment
    for variable in (*ENVIRONMENT.values(), DERIVED):
        os.environ.pop(variable, None)
    url = database.url.render_as_string(hide_password=False)
    home = str(tmp_path / "home")
    os.environ |= {"ASTRID_TRAINING_HOME": home, "ASTRID_DATABASE_URL": url}
    os.environ["ASTRID_STORE_URL"] = cut.store.url
    known = asdict(cut.record)
    texts = (
        "collection_params",
        "preprocess_spec",
        "splits",
        "classes",
        "funnel",
        "quality_report",
    )
    digests = {f"{name}_digest": value for name, value in cut.record.digests.items()}
    as_text = {name: json.dumps(known[name]) for name in texts}
    with database.begin() as connection:
        connection.execute(
            query("dataset_add"), {**known, **digests, **as_text, "split_policy": "sky-v1"}
        )
    yield lambda *arguments: CliRunner().invoke(app, arguments)
    os.environ.clear()
    os.environ |= before


def test_a_card_is_told_written_and_stored(run: Run, cut: Cut, tmp_path: Path) -> None:
    told = run("card", "cut")

    assert told.exit_code == 0, told.stderr
    assert "# cut, version fedcba9876543210" in told.stdout
    keys = [card_key(cut.record.id, name) for name in (CARD, CROISSANT)]
    assert [cut.store.head(key) for key in keys] == [None, None]
    file = tmp_path / "card.md"
    stored = json.loads(run("card", "cut", "-o", str(file), "--to-store", "--json").stdout)
    assert stored == {"card": told.stdout, "store": keys}
    assert file.read_bytes() == cut.store.get(keys[0]) == told.stdout.encode()
    assert json.loads(cut.store.get(keys[1]))["name"] == "cut"


def test_an_export_says_what_it_takes_leaves_out_and_writes(
    run: Run, cut: Cut, database: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    done = run("export", "cut", "--format", "fits", "--split", "train, val", "-o", str(folder))

    assert done.exit_code == 0, done.stderr
    assert "MB are free" in done.stderr
    n = sum(split != "test" for split in cut.samples["split"].to_pylist()[1:])
    assert f"wrote {n} samples" in done.stderr
    assert "linear" in done.stderr
    assert "not all by their source file: no file raw/gone" in done.stderr
    if cut.samples["split"][0].as_py() != "test":
        assert "left out 1 samples: programme 2, public at a time that is not told" in done.stderr

    told = run(
        "export", "cut", "--format", "npy", "--include-proprietary", "-o", f"{folder}2", "--json"
    )
    assert json.loads(told.stdout)["samples"] == 16
    assert len(np.load(tmp_path / "out2" / "keys.npy")) == 16
    again = run("export", "cut", "-o", str(folder), "--json")
    assert (again.exit_code, "not empty" in json.loads(again.stdout)["error"]) == (1, True)
    assert run("export", "cut", "-o", str(folder), "--overwrite", "--wcs", "linear").exit_code == 0

    TrainingDatasetManager(database).revoke("cut", "wrong labels")
    refused = run("export", str(cut.record.id), "-o", str(tmp_path / "no"), "--json")
    assert (refused.exit_code, "wrong labels" in refused.stdout) == (1, True)
    assert not (tmp_path / "no").exists()


def test_what_makes_no_sense_is_wrong_usage(tmp_path: Path) -> None:
    for wrong in (["--format", "png"], ["--by", "night"], ["--wcs", "best"], ["--split"]):
        asked = ["export", "cut", "-o", str(tmp_path / "out"), *wrong]
        assert CliRunner().invoke(app, asked).exit_code == 2
