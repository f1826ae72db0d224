"""One real stack for the whole session; a fresh migrated database for every test that asks."""

import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
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
from astrid_training.sources import Sources
from astrid_training.store import Credentials, Store
from deployments.embedded import postgres
from deployments.embedded.processes import free_port
from deployments.embedded.stack import discard, up
from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.skies import SMALL_SKY
from tests.tally import (
    pytest_addoption,
    pytest_configure,
    pytest_pyfunc_call,
    pytest_terminal_summary,
    tally,
    thorough,
)

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_pyfunc_call",
    "pytest_terminal_summary",
    "pytest_xdist_make_scheduler",
    "tally",
    "thorough",
]

os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"  # a test without a server must say so
# two test processes share two cores: threads of each would wait
for _library in ("OMP", "OPENBLAS"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
_numbers = count(1)


@pytest.fixture(autouse=True)
def _environment_of_its_own() -> Iterator[None]:
    """What a command sets in this process ends with its test."""
    before = os.environ.copy()
    yield
    for variable in os.environ.keys() - before.keys():
        del os.environ[variable]
    for variable, value in before.items():
        if os.environ.get(variable) != value:
            os.environ[variable] = value


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


RunStack = Callable[[Path], AbstractContextManager[Stack]]


@pytest.fixture(scope="session")
def stack(run_stack: RunStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The embedded stack, migrated; this process's environment points to it for the session."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    with run_stack(tmp_path_factory.mktemp("stack") / "home") as running:
        yield running
        EventsWorker.drain_all(timeout=10)  # what is said late is said to nobody
        APILogWorker.drain_all(timeout=10)


@pytest.fixture(scope="session")
def run_stack() -> RunStack:
    """What runs the stack of a home while a block lasts, for tests that kill its parts."""
    return _run_stack


@pytest.fixture(scope="module")
def lone_stack(run_stack: RunStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of a file's own, with the sky of the fixture `sky` and no other survey.

    What is collected of it is what `collect` collects: a place of the sky is free of objects only if
    no survey has one there.
    """
    from deployments.bootstrap import bootstrap
    from deployments.simulated import simulate_sky

    with run_stack(tmp_path_factory.mktemp("lone") / "home") as running:
        bootstrap(running.settings)
        simulate_sky(running.settings, SMALL_SKY, lambda _line: None)
        yield running


@contextmanager
def _run_stack(home: Path) -> Iterator[Stack]:
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_HOME,
        PREFECT_RESULTS_DEFAULT_SERIALIZER,
        temporary_settings,
    )

    from tasks.forking import let_children_end

    let_children_end()
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


ASTRID = Path(__file__).with_name("astrid")
AstridDatabase = Callable[..., Engine]


@pytest.fixture
def astrid(databases: Databases) -> Iterator[AstridDatabase]:
    """Return a function that makes a database as AstrID's own migrations leave it, with rows."""
    made: list[Engine] = []

    def make(*, training_tables: bool, schema: str = "public") -> Engine:
        made.append(databases.make())
        names = ["schema", "rows", "training_tables"] if training_tables else ["schema", "rows"]
        with made[-1].begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
            connection.execute(text(f"SET LOCAL search_path = {schema}"))
            for name in names:
                connection.exec_driver_sql((ASTRID / f"{name}.sql").read_text(encoding="utf-8"))
        return made[-1]

    yield make
    for engine in made:
        databases.drop(engine)


@dataclass(frozen=True)
class S3Server:
    """An S3 server on this machine, in which buckets may be made."""

    credentials: Credentials
    page: int
    """Keys that it lists at once."""

    @property
    def client(self) -> Any:
        """Another client than ours, to look at what ours did."""
        return _boto3_client(self.credentials)

    def make_bucket(self) -> str:
        bucket = f"bucket-{os.getpid()}-{next(_numbers)}"
        here = {"LocationConstraint": "auto"}
        self.client.create_bucket(Bucket=bucket, CreateBucketConfiguration=here)
        return bucket

    def make_store(self) -> Store:
        return Store(f"s3://{self.make_bucket()}", self.credentials)


@functools.cache
def _boto3_client(credentials: Credentials) -> Any:
    import boto3
    from botocore.config import Config

    when = {
        f"{what}_checksum_{verb}": "when_required"
        for what, verb in (("request", "calculation"), ("response", "validation"))
    }
    return boto3.client(
        "s3",
        endpoint_url=credentials.endpoint_url,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        region_name="auto",
        config=Config(proxies={}, **when),
    )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Moto as a process of its own; a second to start."""
    port = free_port(None)
    address = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        wait_for_http(address, log)
        yield S3Server(Credentials(address, "key-of-tests", "secret-of-tests"), page=1000)
    finally:
        process.kill()
        process.wait()


@dataclass
class WebHook:
    """A web hook on this machine, and what was posted to it."""

    url: str
    posted: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    """What it answers from now on."""


@pytest.fixture
def web_hook() -> Iterator[WebHook]:
    """A web hook that takes JSON documents."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.status < 300:
                hook.posted.append(json.loads(body))
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = WebHook(f"http://127.0.0.1:{server.server_port}/hook/t0ken")
        Thread(target=server.serve_forever, daemon=True).start()
        yield hook
        server.shutdown()


def wait_for_http(address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(address, trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


@dataclass(frozen=True)
class Sky:
    """A simulated survey: rows in a database, files in a store."""

    engine: Engine
    home: Path
    truth: Path
    store: Store

    @property
    def packs(self) -> PackCache:
        return PackCache(self.store, self.home / "cache")


@pytest.fixture(scope="session")
def make_sky() -> type[Sky]:
    """The class of simulated surveys, for tests that have one of their own."""
    return Sky


@pytest.fixture(scope="session")
def simulated(
    databases: Databases, _migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[SkyPlan], Sky]]:
    """Return what simulates a survey; nobody is connected to its database, so that it can be copied."""
    made: list[Sky] = []

    def make(plan: SkyPlan) -> Sky:
        home = tmp_path_factory.mktemp("sky")
        store = Store(f"file://{home}/store")
        sky = Sky(databases.make(_migrated), home, home / "truth.jsonl", store)
        made.append(sky)

        def put(key: str, data: bytes) -> str:
            store.put(key, data)
            return key

        with sky.engine.begin() as connection:
            simulate(plan, connection, put, sky.truth)
        sky.engine.dispose()
        return sky

    yield make
    for sky in made:
        databases.drop(sky.engine)


@pytest.fixture(scope="session")
def _simulated(simulated: Callable[[SkyPlan], Sky]) -> Sky:
    return simulated(SMALL_SKY)


@pytest.fixture
def sky(databases: Databases, _simulated: Sky, tmp_path: Path) -> Iterator[Sky]:
    """A copy of a small simulated survey that a test may change."""
    home = tmp_path / "sky"
    shutil.copytree(_simulated.home / "store", home / "store")
    engine = databases.make(str(_simulated.engine.url.database))
    yield Sky(engine, home, _simulated.truth, Store(f"file://{home}/store"))
    databases.drop(engine)


Collect = Callable[..., PublishedDataset]


@pytest.fixture
def collect(sky: Sky, collect_from: Callable[[Sky], Collect]) -> Collect:
    """Collect from the small sky by the library alone, in the order of the flow."""
    return collect_from(sky)


@pytest.fixture(scope="session")
def collect_from() -> Callable[[Sky], Collect]:
    """Make what collects from a sky by the library alone, in the order of the flow."""
    return _collect_from


def _collect_from(sky: Sky) -> Collect:
    def run(**fields: object) -> PublishedDataset:
        from astrid_training import plan, selection
        from astrid_training.assemble import assemble
        from astrid_training.build_here import BuildPlace, build_here
        from astrid_training.division import divide
        from astrid_training.downloads import SourceCache
        from astrid_training.leaks import check_leaks
        from astrid_training.packs import put_table
        from astrid_training.processors import Recipe
        from astrid_training.publish import Collected, publish
        from astrid_training.records import Selection

        lenient = {
            "survey_ids": ["sim_ztf"],
            "quality_score_threshold": 0,
            "allow_one_class": True,
            "allow_sparse_splits": True,
            "batch_samples": 64,
        }
        params = TrainingDataCollectionParams.model_validate({**lenient, **fields})
        as_of, store = params.as_of or datetime.now(UTC), sky.store
        recipe = Recipe.of(params.processor, params.preprocess)
        with sky.engine.begin() as connection:
            table = selection.select_subjects(connection, params, as_of)
            digest = put_table(store, "selections", table)
            selected = Selection(digest, as_of, table.num_rows, table["reason"].null_count)
        planned = plan.plan_batches(
            sky.engine,
            store,
            Sources(store),
            selected,
            recipe.fingerprint,
            params.batch_samples,
            verify_checksums=params.verify_checksums,
        )
        sources = SourceCache(Sources(store), sky.home / "cache" / "sources")
        place = BuildPlace(sky.engine, sky.packs, sources)
        built = [build_here(place, params, recipe, batch) for batch in planned.batches]
        assembled = assemble(store, selected, planned, built)
        with sky.engine.connect() as connection:
            divided = divide(connection, assembled.samples, params)
        leaks = check_leaks(divided, sky.packs, params.preprocess)
        run = Collected(
            params, as_of, planned.source_digest, recipe.fingerprint, "tester", "no-flow-run", []
        )
        return publish(sky.engine, store, sky.packs, assembled, run, leaks)

    return run
