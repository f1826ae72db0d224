"""One real stack for the whole session; a fresh migrated database for every test that asks."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from astrid_training.database import open_database
from astrid_training.migrate import migrate
from astrid_training.packs import PackCache
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import PublishedDataset
from astrid_training.settings import (
    DERIVED,
    ENVIRONMENT,
    Settings,
    prefect_environment,
    resolve,
)
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.store import Sources, Store
from deployments.embedded import postgres
from deployments.embedded.processes import free_port
from deployments.embedded.stack import discard, up

os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"  # a test without a server must say so
_numbers = count(1)
SMALL_SKY = SkyPlan(fields=6, epochs=3, frame_size=(220, 260), stars=40, galaxies=10, artifacts=4)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL in which databases may be made; a second starts without Prefect."""
    home = tmp_path_factory.mktemp("postgres")
    cluster, port = postgres.prepare(home), free_port(None)
    postgres.start(cluster, port, {}, home / "log")
    deadline = time.monotonic() + 60
    while not postgres.answers(cluster, port):
        assert time.monotonic() < deadline, (home / "log").read_text()
        time.sleep(0.05)
    yield postgres.cluster_url(cluster, port, "postgres")
    postgres.discard(home)


@dataclass(frozen=True)
class Stack:
    """The embedded stack of a home, running, with this process set up to use it."""

    home: Path
    settings: Settings


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The embedded stack, migrated; this process's environment points to it for the session."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_HOME,
        PREFECT_RESULTS_DEFAULT_SERIALIZER,
        temporary_settings,
    )

    home = tmp_path_factory.mktemp("stack") / "home"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as cleanup:
        for variable in (*ENVIRONMENT.values(), DERIVED):
            patch.delenv(variable, raising=False)
        cleanup.callback(discard, home)
        up(home)
        settings = resolve(home)
        for name, value in prefect_environment(settings).items():
            patch.setenv(name, value)
        migrate(open_database(settings.database_url))
        cleanup.enter_context(
            temporary_settings(
                {
                    PREFECT_API_URL: settings.prefect_api_url,
                    PREFECT_HOME: home / "prefect",
                    PREFECT_RESULTS_DEFAULT_SERIALIZER: "json",
                }
            )
        )
        yield Stack(home, settings)
        EventsWorker.drain_all(timeout=10)  # what is said late is said to nobody
        APILogWorker.drain_all(timeout=10)


@dataclass(frozen=True)
class Databases:
    """Makes databases by copying others, which is faster than filling each."""

    admin: Engine

    def make(self, template: str | None = None) -> Engine:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        copied = "" if template is None else f" TEMPLATE {template}"
        with self.admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}{copied}"))
        return create_engine(self.admin.url.set(database=name))

    def drop(self, engine: Engine) -> None:
        engine.dispose()
        with self.admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {engine.url.database} WITH (FORCE)"))


@pytest.fixture(scope="session")
def databases(postgres_url: str) -> Iterator[Databases]:
    """Where tests get their databases from."""
    admin = create_engine(make_url(postgres_url), isolation_level="AUTOCOMMIT")
    yield Databases(admin)
    admin.dispose()


@pytest.fixture(scope="session")
def _migrated(databases: Databases) -> Iterator[str]:
    engine = databases.make()
    migrate(engine)
    engine.dispose()
    yield str(engine.url.database)
    databases.drop(engine)


@pytest.fixture
def database(databases: Databases, _migrated: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated, empty database."""
    engine = databases.make(_migrated)
    yield engine
    databases.drop(engine)


@dataclass(frozen=True)
class Sky:
    """A simulated survey: rows in a database, files in a store."""

    engine: Engine
    home: Path
    truth: Path

    @property
    def store(self) -> Store:
        return Store(f"file://{self.home}/store")

    @property
    def packs(self) -> PackCache:
        return PackCache(self.store, self.home / "cache")


@pytest.fixture(scope="session")
def _simulated(
    databases: Databases, _migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sky]:
    home = tmp_path_factory.mktemp("sky")
    sky = Sky(databases.make(_migrated), home, home / "truth.jsonl")
    store = sky.store

    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    with sky.engine.begin() as connection:
        simulate(SMALL_SKY, connection, put, sky.truth)
    sky.engine.dispose()
    yield sky
    databases.drop(sky.engine)


@pytest.fixture
def sky(databases: Databases, _simulated: Sky, tmp_path: Path) -> Iterator[Sky]:
    """A copy of a small simulated survey that a test may change."""
    shutil.copytree(_simulated.home / "store", tmp_path / "sky" / "store")
    engine = databases.make(str(_simulated.engine.url.database))
    yield Sky(engine, tmp_path / "sky", _simulated.truth)
    databases.drop(engine)


Collect = Callable[..., PublishedDataset]


@pytest.fixture
def collect(sky: Sky) -> Collect:
    """Collect from the small sky by the library alone, in the order of the flow."""
    return partial(collect_from, sky)


def collect_from(sky: Sky, **fields: object) -> PublishedDataset:
    """Collect from a simulated survey, leniently unless `fields` say otherwise."""
    from astrid_training import build, downloads, plan, selection
    from astrid_training.assemble import assemble
    from astrid_training.leaks import check_leaks, divide
    from astrid_training.packs import put_table, read_table
    from astrid_training.processor import AstronomicalImageProcessor
    from astrid_training.publish import Collected, publish
    from astrid_training.records import BuiltBatch, Selection, StampsRef

    lenient = {
        "survey_ids": ["sim_ztf"],
        "quality_score_threshold": 0,
        "allow_one_class": True,
        "batch_samples": 64,
    }
    params = TrainingDataCollectionParams.model_validate({**lenient, **fields})
    as_of, store = params.as_of or datetime.now(UTC), sky.store
    processor = AstronomicalImageProcessor(params.preprocess)
    cache = downloads.SourceCache(Sources(store), sky.home / "cache" / "sources")
    with sky.engine.begin() as connection:
        table = selection.select_subjects(connection, params, as_of)
        digest = put_table(store, "selections", table)
        selected = Selection(digest, as_of, table.num_rows, table["reason"].null_count)
        planned = plan.plan_batches(
            connection,
            store,
            Sources(store),
            selected,
            processor.fingerprint,
            params.batch_samples,
        )
    built = []
    for batch in planned.batches:
        stamps, rejects = StampsRef(batch.targets, batch.samples, []), []
        if not batch.built:
            targets = read_table(store, "targets", batch.targets)
            files = downloads.fetch_sources(cache, targets)
            stamps = build.build_stamps(store, cache, batch.targets, files, processor)
            with sky.engine.begin() as connection:
                downloads.quarantine(connection, files)
                build.register_stamps(
                    connection, store, batch.targets, stamps, processor.fingerprint
                )
            rejects = files.rejects + stamps.rejects
        masks = build.build_masks(store, sky.packs, stamps, batch.labels, params.mask)
        quality = build.build_samples(store, masks)
        rejects = rejects + masks.rejects + quality.rejects
        built.append(BuiltBatch(quality.samples, quality.rows, rejects, {}))
    assembled = assemble(store, selected, planned, built)
    with sky.engine.connect() as connection:
        side = params.preprocess.stamp_size
        divided = divide(connection, assembled.samples, params.split, side)
    leaks = check_leaks(divided, sky.packs, params.preprocess)
    run = Collected(params, as_of, planned.source_digest, "tester", "no-flow-run", [])
    return publish(sky.engine, store, sky.packs, assembled, leaks, run)
