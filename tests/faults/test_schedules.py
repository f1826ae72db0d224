"""Whatever befalls a collection, by a schedule drawn from a seed: the tries that follow make the undisturbed dataset.

`ASTRID_FAULT_SEEDS=7,90-99` runs these seeds instead, to see again what one of them found.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine

from astrid_training import errors
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.errors import ForeignStoreError
from astrid_training.gc import clear_away
from astrid_training.patience import Patience
from astrid_training.reconcile import half_published
from astrid_training.records import PublishedDataset
from astrid_training.store import Store, StoreUnavailableError
from tasks.retrying import kind_of
from tests.faults.aftermath import check_after_failure, check_dataset, check_objects
from tests.faults.edges import edges, open_engine
from tests.faults.schedule import CALLS, KINDS, Fault, Injector, Killed, Schedule
from tests.tally import Tally

SEEDS_OF_DEFAULT_SUITE = range(4)
SEEDS = range(180)
PATIENCE = Patience(retries=2, first_wait_s=0, longest_wait_s=0)
OURS = (StoreUnavailableError, *(getattr(errors, name) for name in errors.__all__))
T = TypeVar("T")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests that ask for a seed those that are asked for, else those of the suite."""
    if "seed" not in metafunc.fixturenames:
        return
    seeds = SEEDS if metafunc.config.getoption("--trust") else SEEDS_OF_DEFAULT_SUITE
    asked = os.environ.get("ASTRID_FAULT_SEEDS", f"{seeds[0]}-{seeds[-1]}")
    ranges = [one.split("-") for one in asked.split(",")]
    metafunc.parametrize(
        "seed", [seed for one in ranges for seed in range(int(one[0]), int(one[-1]) + 1)]
    )


@dataclass(frozen=True)
class Case:
    """A collection under a schedule, process after process."""

    injector: Injector
    sky: Any
    """Seen without faults."""
    store: Store

    def tried(self, work: Callable[[Engine], T]) -> T | None:
        """Return what a process's work returns; None if it failed, in words of ours, of what befell it."""
        struck = len(self.injector.struck)
        url = self.sky.engine.url.render_as_string(hide_password=False)
        try:
            return work(open_engine(url, self.injector))
        except Killed:
            return None
        except Exception as error:  # noqa: BLE001 - which it may be is what is looked at
            check_told(error)
            self._check_caused(error, struck)
            return None
        finally:
            self.injector.begin_anew()

    def _check_caused(self, error: Exception, struck: int) -> None:
        """Return if something befell the work since so many faults had struck."""
        if isinstance(error, ForeignStoreError):  # no dataset proves yet whose store it is
            assert not TrainingDatasetManager(self.sky.engine).list_datasets()
            return
        assert len(self.injector.struck) > struck, error

    def look_after(self, remedy: str) -> None:
        """Do what an operator may do after a failure, which may fail too."""
        if remedy == "look":
            self.tried(self._look)
        if remedy == "clear away":
            self.tried(lambda engine: clear_away(engine, self.store, timedelta(0)))

    def _look(self, engine: Engine) -> None:
        with engine.connect() as connection:
            half_published(connection, self.store, datetime.now(UTC))


def check_told(error: Exception) -> None:
    """Return if an error is one of ours, with cause and cure, or one of the database that is documented."""
    assert kind_of(error) is not None or isinstance(error, OURS), repr(error)
    if isinstance(error, OSError):  # ours among them
        assert re.search("; |check ", str(error)), error


Endure = Callable[[Schedule], None]


@pytest.fixture
def endure(
    copy_tiny: Callable[[], Any],
    asked: dict[str, Any],
    collect_from: Any,
    undisturbed_tiny: PublishedDataset,
    tally: Tally,
) -> Endure:
    """Return a function that collects under a schedule until it succeeds, and looks at what is left."""

    def run(schedule: Schedule) -> None:
        injector, sky = Injector(schedule), copy_tiny()
        store = Store("s3://bucket", None, PATIENCE) if schedule.kind == "bucket" else sky.store
        case = Case(injector, sky, store)

        def collect(engine: Engine) -> PublishedDataset:
            found: PublishedDataset = collect_from(replace(sky, engine=engine, store=store))(
                **asked
            )
            return found

        with edges(injector, sky.home / "store"):
            for failures in range(len(schedule.faults) + 1):
                published = case.tried(collect)
                check_after_failure(sky.engine)
                if published is not None:
                    break
                case.look_after(schedule.remedies[failures])
            assert published is not None
            injector.calm_down()
            assert published.digests["source"] == undisturbed_tiny.digests["source"]
            check_dataset(sky.engine, store, published, undisturbed_tiny)
            check_objects(sky.engine, store, sky.home / "store")
        assert injector.calls["store"] > 50 < injector.calls["database"]  # our hands are in it
        tally("fault schedules run", 1)
        tally("faults injected", len(injector.struck))
        tally("recoveries", failures)

    return run


@pytest.mark.trust
def test_a_collection_ends_as_if_nothing_had_befallen_it(endure: Endure, seed: int) -> None:
    endure(Schedule.of(seed))


@pytest.mark.trust
@pytest.mark.slow
@pytest.mark.parametrize("what", KINDS["commit"])
@pytest.mark.parametrize("number", range(CALLS["commit"]))
def test_so_it_does_where_a_commit_fails(endure: Endure, number: int, what: str) -> None:
    endure(Schedule.with_one(Fault("commit", number, what)))


@pytest.mark.trust
def test_so_it_does_where_the_clock_goes_on_and_back_all_the_time(endure: Endure) -> None:
    jumps = tuple(Fault("store", number, "clock") for number in range(0, CALLS["store"], 5))

    endure(Schedule(0, "folder", in_parts=False, faults=jumps, remedies=("nothing",)))
