"""What was written in an older format is read to the same bits, in a newer one refused with the cure."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import Engine

from astrid_training import local_cache, packs
from astrid_training.backup import BackupError, back_up, restore
from astrid_training.calibration import Calibration
from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.checkpoints import LAST, CheckpointError, Checkpoints, Progress
from astrid_training.compare import compare_datasets
from astrid_training.dataset import load_training_dataset, splits_from
from astrid_training.errors import StoreCorruptError
from astrid_training.exports import SkyReader, Wanted, export_dataset
from astrid_training.gc import clear_away
from astrid_training.networks import (
    FORMAT_VERSION,
    METADATA,
    NetworkError,
    load_network,
    save_network,
)
from astrid_training.packs import PackCache
from astrid_training.records import TrainingDataset
from astrid_training.settings import resolve
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.streaming import stream_training_dataset
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet
from astrid_training.verify import Places, repair_dataset, verify_dataset
from astrid_training.warming import warm_dataset
from deployments.embedded.postgres import client_program
from tests.upgrades.kept import EXPECTED, FOLDER, fill, tensors_digest

pytestmark = pytest.mark.trust

EXPECT = json.loads(EXPECTED.read_text(encoding="utf-8"))
EVERY = sorted(Path(__file__).parent.glob("format_*"))
"""A folder for each format version that datasets were ever published in."""


@pytest.fixture
def kept(database: Engine, tmp_path: Path) -> tuple[Engine, Store, TrainingDataset]:
    """Today's database with the kept rows, the store that was kept, and the dataset."""
    fill(database)
    shutil.copytree(FOLDER / "store", tmp_path / "store")
    store = Store(f"file://{tmp_path}/store")
    return database, store, get_dataset(database, EXPECT["dataset_id"])


def test_each_format_version_has_its_kept_dataset() -> None:
    assert [one.name for one in EVERY] == [
        f"format_{n}" for n in range(1, packs.FORMAT_VERSION + 1)
    ]
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 310_000


@pytest.mark.parametrize("in_place", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_dataset_of_format_1_is_read_to_the_same_bits(
    kept: tuple[Engine, Store, TrainingDataset], tmp_path: Path, *, in_place: bool
) -> None:
    _, store, record = kept
    splits = splits_from(record, store, tmp_path / "cache", in_place=in_place)

    assert record.format_version == 1
    assert tensors_digest(splits) == EXPECT["tensors"]


@pytest.mark.slow
def test_it_is_found_by_name_as_its_users_do(
    kept: tuple[Engine, Store, TrainingDataset], tmp_path: Path
) -> None:
    engine, store, _ = kept
    url = engine.url.render_as_string(hide_password=False)
    settings = resolve(tmp_path, database_url=url, store_url=store.url)

    splits = load_training_dataset("kept", settings=settings)
    assert tensors_digest(splits) == EXPECT["tensors"]


def test_a_dataset_of_a_later_format_is_refused_everywhere(
    kept: tuple[Engine, Store, TrainingDataset], tmp_path: Path
) -> None:
    engine, store, record = kept
    later = dataclasses.replace(record, format_version=record.format_version + 1)
    url = engine.url.render_as_string(hide_password=False)
    settings = resolve(tmp_path, database_url=url, store_url=store.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE training_datasets SET format_version = 2 WHERE status = 'active'"
        )
    objects, folder = PackCache(store, tmp_path / "cache"), tmp_path / "export"
    chosen = TrainingDatasetManager(engine, store, objects)
    some = chosen.samples(record)
    ways: dict[str, Callable[[], object]] = {
        "load": lambda: splits_from(later, store, tmp_path / "cache"),
        "load by name": lambda: load_training_dataset("kept", settings=settings),
        "stream": lambda: stream_training_dataset("kept", settings=settings),
        "make ready": lambda: warm_dataset(engine, store, later, tmp_path / "cache", 10**9),
        "export": lambda: export_dataset(
            later, objects, folder, Wanted("npy"), SkyReader(), later.created_at
        ),
        "compare": lambda: compare_datasets(store, record, later),
        "choose from": lambda: chosen.create_dataset(some, "chosen"),
    }
    for way, read in ways.items():
        with pytest.raises(StoreCorruptError) as caught:
            read()
        assert "has format 2, this version reads up to 1" in str(caught.value), way
        assert "load it with the version of this package that collected it" in str(caught.value)
    assert not folder.exists()
    places = Places(engine, store, Sources(store), tmp_path / "cache", "")
    (finding,) = verify_dataset(places, later)
    assert finding.cure == "verify it with the version of this package that collected it"
    assert list(repair_dataset(places, later, [finding])) == []
    with pytest.raises(StoreCorruptError, match="what they need is not known here"):
        clear_away(engine, store, timedelta(days=-1))
    assert store.keys("images")


@pytest.fixture
def network(kept: tuple[Engine, Store, TrainingDataset], tmp_path: Path) -> Path:
    """The folder of a network, not trained."""
    params, folder = TrainingParams(width=4), tmp_path / "network"
    model = UNet(len(params.channels), params.width)
    save_network(folder, model, ["sim_kept"], kept[2], params, Calibration(0.5, 2.0), {})
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    told = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    told |= changes
    kept = {name: value for name, value in told.items() if value is not None}
    (folder / METADATA).write_text(json.dumps(kept), encoding="utf-8")


def test_a_network_of_format_1_is_read_without_what_it_had_not(network: Path) -> None:
    before = load_network(network)
    rewrite(network, format_version=1, calibration=None, surveys=None, processor=None)
    after = load_network(network)

    assert before.calibration == Calibration(0.5, 2.0)
    assert (after.calibration, after.surveys) == (Calibration(), ())
    weights = [one.model.state_dict() for one in (before, after)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (FORMAT_VERSION + 1, "has format 3, this version reads up to 2; load it with the version"),
        (None, "is damaged .*; fetch it again"),
        ("new", "is damaged .*; fetch it again"),
    ],
)
def test_a_network_of_another_format_is_refused(network: Path, version: Any, words: str) -> None:
    rewrite(network, format_version=version)

    with pytest.raises(NetworkError, match=words):
        load_network(network)


@pytest.mark.parametrize(
    "lost",
    ["key", *(pytest.param(n, marks=pytest.mark.slow) for n in ("losses", "optimiser", "random"))],
)
def test_a_checkpoint_of_another_format_says_how_to_go_on(tmp_path: Path, lost: str) -> None:
    model = torch.nn.Linear(1, 1)
    optimiser, scaler = torch.optim.SGD(model.parameters()), torch.amp.GradScaler(enabled=False)
    checkpoints = Checkpoints(tmp_path, "key")
    checkpoints.save(Progress(), model, optimiser, scaler)
    state = torch.load(tmp_path / LAST, weights_only=True)
    del state[lost]
    torch.save(state, tmp_path / LAST)

    with pytest.raises(CheckpointError, match="remove it to train from the start"):
        checkpoints.resume(model, optimiser, scaler)


@pytest.mark.slow
def test_a_copy_of_another_format_is_not_used(
    kept: tuple[Engine, Store, TrainingDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store, record = kept
    copies = tmp_path / "cache" / "loader"
    splits_from(record, store, tmp_path / "cache", in_place=False)
    (before,) = [path for path in copies.iterdir() if path.is_dir()]
    monkeypatch.setattr(local_cache, "FORMAT_VERSION", local_cache.FORMAT_VERSION + 1)
    splits = splits_from(record, store, tmp_path / "cache", in_place=False)

    assert len([path for path in copies.iterdir() if path.is_dir()]) == 2
    assert before.is_dir()
    assert tensors_digest(splits) == EXPECT["tensors"]


@pytest.mark.slow
def test_a_backup_into_a_newer_database_is_refused(
    database: Engine, databases: Any, tmp_path: Path
) -> None:
    store = Store(f"file://{tmp_path}/store")
    older, newer = database.url, databases.make(str(database.url.database))
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM training_migrations WHERE number = 16")
    back_up(older.render_as_string(hide_password=False), store, tmp_path / "copy", client_program)

    with pytest.raises(
        BackupError, match="the database is newer than the copy, which lacks 0016_audit"
    ):
        restore(
            newer.url.render_as_string(hide_password=False),
            store,
            tmp_path / "copy",
            client_program,
        )
    databases.drop(newer)
