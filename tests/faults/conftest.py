"""A survey so small that hundreds of collections of it take minutes."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from astrid_training.records import PublishedDataset
from astrid_training.simulate import SkyPlan
from astrid_training.store import Store

TINY_SKY = SkyPlan(
    fields=4,
    epochs=2,
    frame_size=(160, 170),
    stars=25,
    galaxies=5,
    saturated_stars=1,
    transients=2,
    variables=1,
    asteroids=1,
    artifacts=3,
)
ASKED: dict[str, Any] = {
    "as_of": datetime(2030, 1, 1, tzinfo=UTC).isoformat(),
    "batch_samples": 16,
    "allow_low_coverage": True,
}
CopySky = Callable[[], Any]


@pytest.fixture(scope="session")
def asked() -> dict[str, Any]:
    """The parameters by which the tiny sky is collected."""
    return ASKED


@pytest.fixture(scope="session")
def tiny(simulated: Callable[[SkyPlan], Any]) -> Any:
    """A survey that is collected in less than half a second."""
    return simulated(TINY_SKY)


@pytest.fixture
def copy_tiny(databases: Any, tiny: Any, tmp_path: Path) -> Iterator[CopySky]:
    """Return a function that makes a copy of the tiny survey, which ends with the test."""
    made: list[Engine] = []

    def make() -> Any:
        made.append(databases.make(str(tiny.engine.url.database)))
        return copied(tiny, made[-1], tmp_path / f"copy{len(made)}")

    yield make
    for engine in made:
        databases.drop(engine)


@pytest.fixture(scope="module")
def undisturbed_tiny(
    databases: Any,
    tiny: Any,
    collect_from: Callable[[Any], Callable[..., PublishedDataset]],
    tmp_path_factory: pytest.TempPathFactory,
) -> PublishedDataset:
    """What a collection of the tiny sky makes that nothing befalls."""
    engine = databases.make(str(tiny.engine.url.database))
    sky = copied(tiny, engine, tmp_path_factory.mktemp("undisturbed"))
    published = collect_from(sky)(**ASKED)
    databases.drop(engine)
    return published


def copied(sky: Any, engine: Engine, home: Path) -> Any:
    """Return the sky with files of its own; what replaces one leaves the original."""
    shutil.copytree(sky.home / "store", home / "store", copy_function=os.link)
    return replace(sky, engine=engine, home=home, store=Store(f"file://{home}/store"))
