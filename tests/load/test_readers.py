"""Two hundred people read the REST API at once, and each is answered."""

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from astrid_training.settings import DERIVED, ENVIRONMENT
from tests.load.readers import read_at_once
from tests.load.served_api import ServedApi, serve_api

pytestmark = [pytest.mark.slow, pytest.mark.trust]

READERS, DATASETS = 200, 300
COPY = text(
    "INSERT INTO training_datasets SELECT (jsonb_populate_record(d, jsonb_build_object("
    "'id', gen_random_uuid(), 'name', 'copy ' || n, 'created_at', d.created_at - make_interval(mins => n)"
    "))).* FROM training_datasets d, generate_series(1, :copies) AS n"
)
GROWTH_MB, GROWTH_HANDLES = 50.0, 12
"""What a server may keep of what it was asked."""


@pytest.fixture
def served(
    sky: Any, collect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ServedApi, list[str]]]:
    """An API as a process, over hundreds of datasets, and what there is to read."""
    from astrid_training.catalogue import TrainingDatasetManager

    published = collect(name="first")
    with sky.engine.begin() as connection:
        connection.execute(COPY, {"copies": DATASETS - 1})
    for variable in (*ENVIRONMENT.values(), DERIVED):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ASTRID_DATABASE_URL", sky.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("ASTRID_STORE_URL", sky.store.url)
    copies = TrainingDatasetManager(sky.engine).list_datasets({}, limit=20)
    places = ["/training/datasets", "/training/datasets?limit=200&survey=sim_ztf"]
    places += [f"/training/datasets/{one.id}" for one in copies]
    places += [f"/training/datasets/{one.id}/quality" for one in copies]
    places += [f"/training/datasets/{published.dataset_id}/lineage"]
    with serve_api(tmp_path / "home", tmp_path / "api.log") as api:
        yield api, places


def test_two_hundred_readers_at_once_are_all_answered(
    served: tuple[ServedApi, list[str]],
    thorough: bool,  # noqa: FBT001 - a fixture
    tally: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api, places = served
    read_at_once(
        api, places, READERS, 5
    )  # what is imported late is imported now, and all threads have begun
    before = weigh(api.process)

    answers = read_at_once(api, places, READERS, 15 if thorough else 10)

    after = weigh(api.process)
    assert answers.failures == []
    assert set(answers.statuses) == {200}
    assert median(answers.health_s) < median(answers.took_s), answers.told()
    assert after[0] - before[0] < GROWTH_MB, (before, after)
    assert after[1] - before[1] < GROWTH_HANDLES, (before, after)
    said = api.log.read_text()
    assert "Traceback" not in said
    assert "QueuePool" not in said
    tally("requests served", answers.statuses.total())
    with capsys.disabled():
        sys.stdout.write(f"\n{READERS} readers: {answers.told()}; {after[0]:.0f} MB\n")


def weigh(process: psutil.Process) -> tuple[float, int]:
    """Return a process's own memory in MB and its open handles."""
    return process.memory_full_info().uss / 1e6, process.num_fds()
