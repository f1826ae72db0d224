"""Every schema that there was, with rows in all its tables, becomes today's, and its datasets live on."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from astrid_training import migrate as module
from astrid_training.audit import read_audit
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.dataset import splits_from
from astrid_training.migrate import migrate, migrations
from astrid_training.presence import objects_of, problems
from astrid_training.records import PublishedDataset
from astrid_training.samples import read_samples
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.verify import Places, verify_dataset, verify_references
from tests.upgrades.kept import (
    EXPECTED,
    FOLDER,
    ROWS,
    fill,
    make_sources,
    rows_of,
    tensors_digest,
)

pytestmark = pytest.mark.trust

EXPECT = json.loads(EXPECTED.read_text(encoding="utf-8"))
NUMBERS = [step.number for step in migrations()]
DATASETS, LEDGER, TODAY = 2, 3, NUMBERS[-1]
"""The migrations since which there are datasets, and a ledger of their splits."""
PARAMS: dict[str, Any] = {
    "name": "kept",
    "survey_ids": ["sim_kept"],
    "preprocess": {"stamp_size": 16, "margin": 2},
}
each_schema = pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=() if n == LEDGER else pytest.mark.slow) for n in NUMBERS],
)


@pytest.fixture
def upgraded(
    databases: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> Iterator[tuple[Engine, dict[str, list[str]]]]:
    """A database that had this schema and rows when it was migrated, and the columns with rows."""
    engine, all_steps = databases.make(), migrations()
    with monkeypatch.context() as patch:
        patch.setattr(module, "migrations", lambda: [s for s in all_steps if s.number <= number])
        migrate(engine)
    filled = fill(engine)
    before = contents(engine, filled)
    outcomes = dict(migrate(engine))
    assert [n for n, outcome in outcomes.items() if outcome == "applied"] == [
        step.name for step in all_steps if step.number > number
    ]
    assert contents(engine, filled) == before
    yield engine, filled
    databases.drop(engine)


def contents(engine: Engine, filled: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    with engine.connect() as connection:
        return {table: rows_of(connection, table, columns) for table, columns in filled.items()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A copy of the store that was kept."""
    shutil.copytree(FOLDER / "store", tmp_path / "sky" / "store")
    return Store(f"file://{tmp_path}/sky/store")


def test_every_table_has_rows_that_were_kept(database: Engine) -> None:
    tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    with database.connect() as connection:
        there = set(connection.execute(text(tables)).scalars())
    assert there - {"training_migrations"} == {name for name, rows in ROWS.items() if rows}


@each_schema
def test_rows_of_every_schema_stay_and_its_datasets_can_be_used(
    upgraded: tuple[Engine, dict[str, list[str]]], store: Store, tmp_path: Path, number: int
) -> None:
    engine, filled = upgraded
    assert filled["detections"]
    manager = TrainingDatasetManager(engine)
    if number < DATASETS:
        assert manager.list_datasets() == []
        return

    assert [(one.name, one.status) for one in manager.list_datasets()] == [
        ("kept", "active"),
        ("kept", "superseded"),
    ]
    found = manager.get_dataset("kept")
    assert (str(found.id), found.version_id) == (EXPECT["dataset_id"], EXPECT["version_id"])
    assert (found.digests, found.splits) == (EXPECT["digests"], EXPECT["splits"])
    samples = read_samples(store, found.samples_key)
    assert problems(engine, store, objects_of(samples)) == {}
    assert tensors_digest(splits_from(found, store, tmp_path / "cache")) == EXPECT["tensors"]
    assert wrong_with(engine, store, tmp_path) == (
        {"ledger", "rejects"} if number < LEDGER else set()
    )
    assert manager.parent(found) is not None
    assert [sample.sample_key for sample in manager.samples(found)] == sorted(
        samples["sample_key"].to_pylist()
    )


def wrong_with(engine: Engine, store: Store, home: Path) -> set[str]:
    """Return what `verify` finds of all datasets, but for what was not kept: reports and MLflow."""
    places = Places(engine, store, Sources(store), home / "cache", "")
    every = TrainingDatasetManager(engine).list_datasets()
    found = [one for dataset in every for one in verify_dataset(places, dataset)]
    return {str(one.kind) for one in [*found, *verify_references(engine)]} - {"report", "tracking"}


@pytest.mark.slow
@each_schema
def test_a_dataset_of_every_schema_can_be_extended(
    upgraded: tuple[Engine, dict[str, list[str]]],
    store: Store,
    tmp_path: Path,
    make_sky: Any,
    collect_from: Callable[[Any], Callable[..., PublishedDataset]],
    number: int,
) -> None:
    engine, _ = upgraded
    make_sources(engine, store, tmp_path / "truth")
    collect = collect_from(make_sky(engine, tmp_path / "sky", tmp_path / "truth", store))
    more = collect(**PARAMS)

    manager = TrainingDatasetManager(engine)
    newer = manager.get_dataset(more.dataset_id)
    assert newer.total_samples > sum(EXPECT["splits"].values())
    assert read_audit(engine, subject=more.dataset_id)[0].action == "collected"
    if number < DATASETS:
        return
    assert str(newer.parent_id) == EXPECT["dataset_id"]
    older = manager.get_dataset(EXPECT["dataset_id"])
    assert (older.status, older.digests) == ("superseded", EXPECT["digests"])
    assert tensors_digest(splits_from(older, store, tmp_path / "cache")) == EXPECT["tensors"]
    if number >= LEDGER:
        splits = {one.sample_key: one.split for one in manager.samples(newer)}
        kept = {one.sample_key: one.split for one in manager.samples(older)}
        shared = kept.keys() & splits.keys()  # later reviews may take a sample away
        assert len(shared) >= len(kept) - 2
        assert {key: splits[key] for key in shared} == {key: kept[key] for key in shared}
    manager.revoke(str(newer.id), "a bad night", "ada")
    assert read_audit(engine, subject=str(newer.id))[0].by == "ada"
