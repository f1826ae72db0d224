"""A collected dataset, described and logged, of which each test damages a copy."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from astrid_training.catalogue import get_dataset
from astrid_training.records import TrainingDataset
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.verify import Finding, Places, repair_dataset, verify_dataset


@dataclass(frozen=True)
class Collected:
    """A dataset that was collected, and where everything of it is."""

    places: Places
    dataset_id: str
    folder: Path
    """Of the store."""

    @property
    def engine(self) -> Engine:
        return self.places.engine

    @property
    def dataset(self) -> TrainingDataset:
        return get_dataset(self.engine, self.dataset_id, allow_revoked=True)

    def verify(self, *, read_pixels: bool = True) -> list[Finding]:
        return list(verify_dataset(self.places, self.dataset, read_pixels=read_pixels))

    def execute(self, statement: str, **values: object) -> None:
        """Change rows as somebody does whom no foreign key hinders."""
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(statement), {"id": self.dataset_id, **values})

    def copy(self, engine: Engine, home: Path) -> "Collected":
        shutil.copytree(self.folder, home / "store")
        store = Store(f"file://{home}/store")
        places = replace(
            self.places, engine=engine, store=store, sources=Sources(store), cache=home / "cache"
        )
        return Collected(places, self.dataset_id, home / "store")


@pytest.fixture(scope="module")
def _collected(
    databases: Any,
    _simulated: Any,
    make_sky: Any,
    collect_from: Callable[[Any], Callable[..., Any]],
    mlflow_uri: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Collected]:
    home = tmp_path_factory.mktemp("collected")
    shutil.copytree(_simulated.home / "store", home / "store")
    store, engine = Store(f"file://{home}/store"), databases.make(_simulated.engine.url.database)
    sky = make_sky(engine, home, _simulated.truth, store)
    published = collect_from(sky)(name="verified")
    places = Places(engine, store, Sources(store), home / "cache", mlflow_uri)
    collected = Collected(places, published.dataset_id, home / "store")
    unlogged = collected.verify(read_pixels=False)
    assert {one.kind for one in unlogged} == {"report", "tracking"}
    assert len(list(repair_dataset(places, collected.dataset, unlogged))) == 1
    engine.dispose()  # else its database cannot be copied
    yield collected
    databases.drop(engine)


@pytest.fixture
def collected(databases: Any, _collected: Collected, tmp_path: Path) -> Iterator[Collected]:
    """A copy of the collected dataset that a test may damage; MLflow is one for all."""
    engine = databases.make(_collected.engine.url.database)
    yield _collected.copy(engine, tmp_path)
    databases.drop(engine)
