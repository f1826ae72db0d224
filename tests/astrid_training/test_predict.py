"""Predictions see the pixels of the training, wherever the network is kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.wcs import WCS
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from astrid_training.catalogue import get_dataset
from astrid_training.dataset import TrainingSplits, splits_from
from astrid_training.errors import ModelNotFoundError
from astrid_training.lineage import finish_training_run, start_training_run
from astrid_training.model_sources import find_model
from astrid_training.models import register_trained_model
from astrid_training.networks import (
    METADATA,
    load_network,
    model_name,
    network_alone,
    network_signature,
)
from astrid_training.settings import Settings
from astrid_training.training import TrainingParams, train_unet
from astrid_training.trainings import close_training_run, open_training_run
from deployments.cli import app

Row = dict[str, Any]
PARAMS = TrainingParams(steps=2, batch_size=8, width=2, channels=("difference", "science"))


@dataclass
class Trained:
    """A network, what it was trained on, and where the survey's files lie."""

    folder: Path
    splits: TrainingSplits
    files: Path

    @property
    def rows(self) -> list[Row]:
        """Some reviewed samples of the test split."""
        rows: list[Row] = self.splits.test.table.to_pylist()
        return [row for row in rows if row["label_source"] == "human"]

    def arguments(self, row: Row, *, without: str = "") -> list[str]:
        files = [str(self.files / row["science_path"])]
        for role in ("reference", "difference"):
            if role != without:
                files += [f"--{role}", str(self.files / row[f"{role}_path"])]
        return ["predict", str(self.folder), *files]


@pytest.fixture
def trained(sky: Any, collect: Callable[..., Any], tmp_path: Path) -> Trained:
    """A network of two steps on the small sky: it knows little, and that exactly."""
    record = get_dataset(sky.engine, str(collect().dataset_id))
    splits = splits_from(record, sky.store, tmp_path / "cache", PARAMS.channels)
    train_unet(splits, PARAMS, tmp_path / "model")
    return Trained(tmp_path / "model", splits, sky.home / "store")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which nothing runs."""
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ASTRID_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--json"])


def test_a_prediction_is_what_the_network_said_of_the_sample_in_training(
    trained: Trained, tmp_path: Path
) -> None:
    network = load_network(trained.folder)
    row = trained.rows[0]
    place = trained.splits.test.keys.index(row["sample_key"])
    with torch.no_grad():
        logits = network.model(trained.splits.test[place].image[None])[0, 0]

    at = f"{row['ra_deg']},{row['dec_deg']}"
    done = run(*trained.arguments(row), "--at", at, "--xy", "-500,3", "-o", str(tmp_path / "out"))

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    one, beyond = told["targets"]
    assert told["spec_fingerprint"] == row_fingerprint(trained)
    assert beyond["problem"] == "off_image"
    assert beyond["probability"] is None
    with fits.open(one["file"]) as (pixels, mask):
        np.testing.assert_allclose(pixels.data, logits.sigmoid().numpy(), atol=1e-6)
        assert mask.data.dtype == np.uint8
        assert set(np.unique(mask.data)) <= {0, 1, 255}
        header = pixels.header.copy()
    assert header["SPECFP"] == row_fingerprint(trained)
    assert header["PROB"] == pytest.approx(one["probability"])
    ra, dec = WCS(header).all_pix2world(header["TARGETX"], header["TARGETY"], 1)
    assert (ra, dec) == pytest.approx((row["ra_deg"], row["dec_deg"]), abs=1e-6)
    assert header["TARGETX"] == pytest.approx(33, abs=0.51)
    near = logits[30:35, 30:35].max().item()  # within the radius, and so no less than these
    assert one["probability"] >= network.calibration.probabilities(np.array([near]))[0] - 1e-6
    assert one["is_real"] is (one["probability"] >= 0.5)


def row_fingerprint(trained: Trained) -> str:
    return trained.splits.test.record.spec_fingerprint


@pytest.mark.slow
def test_masks_as_npy_have_their_probabilities_beside_them(
    trained: Trained, tmp_path: Path
) -> None:
    row = trained.rows[0]
    out = tmp_path / "out"

    done = run(*trained.arguments(row), "--xy", "100.2,90.9", "-o", str(out), "--format", "npy")

    assert done.exit_code == 0, done.output
    mask, probability = np.load(out / "mask-0.npy"), np.load(out / "probability-0.npy")
    valid = mask != 255
    np.testing.assert_array_equal(mask[valid] == 1, probability[valid] >= 0.5)


@pytest.mark.slow
def test_an_image_that_the_network_sees_must_be_given(trained: Trained) -> None:
    row = trained.rows[0]

    done = run(*trained.arguments(row, without="difference"), "--xy", "100,90")

    assert done.exit_code == 1
    assert "there is no difference image; give its file" in json.loads(done.stdout)["error"]


@pytest.fixture
def folder(published_few: Any, tmp_path: Path) -> Path:
    """A network of one step on the few samples."""
    splits = splits_from(published_few.record, published_few.store, tmp_path / "cache")
    train_unet(splits, TrainingParams(steps=1, batch_size=4, width=1), tmp_path / "model")
    return tmp_path / "model"


def test_a_network_of_other_pixels_is_not_asked(folder: Path, tmp_path: Path) -> None:
    told = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps(told | {"spec_fingerprint": "e" * 64}))

    done = run("predict", str(folder), str(tmp_path / "science.fits"), "--xy", "1,1")

    assert done.exit_code == 1
    assert "preprocessing differs: expected spec eeeeeeeeeeee" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ([], "no target; give --at RA,DEC or --xy X,Y"),
        (["--at", "150"], "'150' is no target; write two numbers with a comma"),
        (["--xy", "a,b"], "'a,b' is no target"),
    ],
)
def test_targets_that_make_no_sense_are_wrong_usage(targets: list[str], sentence: str) -> None:
    done = run("predict", "model", "science.fits", *targets)

    assert done.exit_code == 2
    assert sentence in json.loads(done.stdout)["error"]


ROW = """
INSERT INTO training_datasets (
    name, status, version_id, collection_params, total_samples, anomaly_ratio, quality_score,
    created_by, splits, classes, funnel, preprocess_spec, spec_fingerprint, query_digest,
    source_digest, label_digest, content_digest, split_digest, samples_key)
VALUES (
    'd', 'active', 'aaaaaaaaaaaaaaaa', '{}', 1, 0.5, 0.9, 'test', '{}', '{}', '[]', '{}', '', '',
    '', '', '', '', 'samples/x')
RETURNING id
"""


def test_a_network_is_found_by_its_training_its_run_and_its_registered_name(
    folder: Path, database: Engine, mlflow_uri: str, published_few: Any, tmp_path: Path
) -> None:
    record, params = published_few.record, TrainingParams(width=1)
    run_id = start_training_run(record, {}, mlflow_uri)
    with network_alone(folder) as files:
        made = register_trained_model(
            run_id,
            mlflow_uri,
            files,
            name=model_name(record),
            dataset=record,
            metrics={"test_f1": 0.9},
            signature=network_signature(record, params),
        )
    finish_training_run(run_id, mlflow_uri, [folder / "unet.pt", folder / METADATA])
    with database.begin() as connection:
        dataset = str(connection.execute(text(ROW)).scalar_one())
    training, running = (open_training_run(database, dataset, {}, key).id for key in "ab")
    close_training_run(database, training, metrics={}, mlflow_run_id=run_id)
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(tmp_path, {"database_url": url, "mlflow_tracking_uri": mlflow_uri}, {})

    names = [training, run_id, f"{made.name}/{made.version}", made.uri, str(folder)]
    for number, name in enumerate(names):
        into = tmp_path / f"fetched{number}"
        into.mkdir()
        assert load_network(find_model(name, settings, into)).dataset_version == record.version_id
    for name, why in {
        running: "is running and has left no network",
        "0" * 8 + training[8:]: "does not exist",
        "f" * 32: "holds no network",
        f"{made.name}/99": "MLflow has no model",
        "nonsense": "give a folder with unet.json",
    }.items():
        with pytest.raises(ModelNotFoundError, match=why):
            find_model(name, settings, tmp_path)
