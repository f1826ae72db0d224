"""`import-alerts` on the command line: one JSON document, true exit codes, nothing half done."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from deployments.cli import app

CANDIDS = ("2475433850015015000", "2475433850015015001")


@pytest.fixture
def run(database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Call the command on this test's database and store."""
    url = database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ASTRID_DATABASE_URL", url)
    monkeypatch.setenv("ASTRID_STORE_URL", str(tmp_path / "store"))
    monkeypatch.setattr("deployments.console.apply_environment", lambda _settings: None)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["import-alerts", *arguments])

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of two alerts, of which one has its file."""
    folder = tmp_path / "alerts"
    folder.mkdir()
    images = np.random.default_rng(1).normal(0, 1, (3, 63, 63)).astype(np.float32)
    names = ("SCIENCE", "TEMPLATE", "DIFFERENCE")
    hdus = [fits.ImageHDU(image, name=name) for image, name in zip(images, names, strict=True)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(folder / f"{CANDIDS[0]}.fits")
    alike = {"jd": 2460229.9338542, "fid": 1, "field": 505, "rcid": 0, "isdiffpos": "t"}
    rows = [
        {
            "candid": candid,
            "file": f"{candid}.fits",
            "ra": 47.36,
            "dec": 9.7,
            "label": 1,
            "label_tier": tier,
            **alike,
        }
        for candid, tier in zip(CANDIDS, ("human_scan", "machine"), strict=True)
    ]
    with (folder / "alerts.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_json_says_what_became_of_each_alert(run: object, folder: Path) -> None:
    assert callable(run)
    done = run(str(folder), "--json")

    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert (document["read"], document["imported"], document["duplicates"]) == (2, 1, 0)
    assert document["labels"] == {"human_scan": 1}
    (rejected,) = document["rejected"]
    assert rejected["path"] == f"{folder}/alerts.csv#1"
    assert rejected["reason"] == "no_file"


def test_people_read_the_same_in_sentences(run: object, folder: Path) -> None:
    assert callable(run)
    done = run(str(folder), "--label-tiers", "machine", "--accept-machine-labels")

    assert done.exit_code == 0
    assert "2 read: 1 imported, 0 there already, 1 rejected" in done.stderr
    assert "alerts.csv#1: no_file: no file" in done.stderr
    assert "1 labels of tier human_scan left out" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere"], 1, "no file or folder nowhere"),
        ([".", "--labels", "nowhere.csv"], 1, "nowhere.csv"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    run: object, arguments: list[str], code: int, sentence: str
) -> None:
    assert callable(run)
    done = run(*arguments)

    assert done.exit_code == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
