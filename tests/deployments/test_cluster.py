"""A Dask cluster on a bucket builds what threads build, whichever of its workers dies.

The scheduler and its two workers are processes of their own, as on other machines: each worker has a home of
its own and knows the Prefect server alone. What steps leave for a rerun lies in the bucket.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterName
from prefect_aws import AwsCredentials, S3Bucket
from sqlalchemy import Engine, text

from astrid_training.settings import resolve
from astrid_training.store import Store, open_store
from deployments.bootstrap import save_blocks
from deployments.embedded.processes import free_port

pytestmark = pytest.mark.slow

COLLECT = Path(__file__).parents[1] / "collect_flow.py"
PACKS = ("images", "flags", "significance", "masks")
STEPS = {"download", "cut", "draw", "score"}
"""How the names of the four steps of a batch begin."""
LINE = re.compile(r"step='(?P<step>[^']+)' .*batch=(?P<batch>\w+)")
ASKED: dict[str, Any] = {
    "survey_ids": ["sim_ztf"],
    "quality_score_threshold": 0,
    "allow_one_class": True,
    "allow_sparse_splits": True,
    "batch_samples": 32,
    "trigger_training": False,
}
OURS = {
    "PREFECT_API_URL",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER",
    "NO_PROXY",
    "no_proxy",
    "PATH",
    "PYTHONPATH",
}
"""What a worker's environment has of this one: how it finds Python and the Prefect server."""


@dataclass(frozen=True)
class Place:
    """The small sky in a database and a bucket of its own; the blocks lead there."""

    sky: Any
    """What it was copied from."""
    store: Store
    engine: Engine


MakePlace = Callable[[], Place]


@pytest.fixture
def make_place(stack: Any, sky: Any, s3_server: Any, databases: Any) -> Iterator[MakePlace]:
    """Return a function that puts the small sky into a new bucket and database, and the blocks there."""
    made: list[Engine] = []

    def make() -> Place:
        keys, bucket = s3_server.credentials, s3_server.make_bucket()
        sky.engine.dispose()  # else its database cannot be copied
        made.append(databases.make(sky.engine.url.database))
        settings = resolve(
            stack.home,
            database_url=made[-1].url.render_as_string(hide_password=False),
            store_url=f"s3://{bucket}/sets",
            store_endpoint_url=keys.endpoint_url,
            store_access_key_id=keys.access_key_id,
            store_secret_access_key=keys.secret_access_key,
        )
        place = Place(sky, open_store(settings), made[-1])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: place.store.put(key, sky.store.get(key)), sky.store.keys("")))
        save_blocks(settings)
        _share_results(bucket)
        return place

    yield make
    save_blocks(stack.settings)
    for engine in made:
        databases.drop(engine)


def _share_results(bucket: str) -> None:
    """Do as the page on clusters says."""
    credentials: Any = AwsCredentials.load("astrid", _sync=True)  # type: ignore[call-arg]  # Prefect's annotation lacks it
    block = S3Bucket(bucket_name=bucket, bucket_folder="results", credentials=credentials)
    block.save("results", overwrite=True, _sync=True)  # type: ignore[call-arg]


@dataclass(frozen=True)
class Worker:
    """A process that takes batches, as on a machine of its own."""

    process: subprocess.Popen[bytes]
    home: Path

    @property
    def steps(self) -> dict[str, set[str]]:
        """What it did for each batch, as its log says."""
        found: dict[str, set[str]] = defaultdict(set)
        log = self.home / "logs" / "flows.log"
        for line in log.read_text().splitlines() if log.exists() else ():
            if said := LINE.search(line):
                found[said["batch"]].add(said["step"].split()[0])
        return found


StartCluster = Callable[..., tuple[str, list[Worker]]]


@pytest.fixture
def start_cluster(stack: Any, tmp_path: Path) -> Iterator[StartCluster]:
    """Return a function that starts a scheduler and two workers; the first may have a fault."""
    with ExitStack() as ends:

        def start(environment: dict[str, str], kind: str, *options: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
            silent = subprocess.DEVNULL
            process = subprocess.Popen(command, stdout=silent, stderr=silent, env=environment)
            ends.callback(process.wait)
            ends.callback(process.kill)
            return process

        def start_all(fault: str = "") -> tuple[str, list[Worker]]:
            port, board = free_port(None), free_port(None)
            address = f"tcp://127.0.0.1:{port}"
            where = ["--host", "127.0.0.1", "--port", str(port)]
            common = {name: os.environ[name] for name in OURS & os.environ.keys()}
            start(common, "scheduler", *where, "--dashboard-address", f"127.0.0.1:{board}")
            workers = []
            for name, what in (("first", fault), ("second", "")):
                home = tmp_path / name
                own = {
                    "HOME": str(home),
                    "ASTRID_TRAINING_HOME": str(home),
                    "ASTRID_FAULT": what,
                    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
                }
                how = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
                how += ["--local-directory", str(tmp_path)]
                workers.append(Worker(start(common | own, "worker", address, *how), home))
            until(lambda: _count_workers(board) == 2)
            return address, workers

        assert stack
        yield start_all


def _count_workers(board: int) -> int:
    try:
        told = httpx.get(f"http://127.0.0.1:{board}/json/counts.json", trust_env=False).json()
    except httpx.HTTPError:
        return 0
    found: int = told["workers"]
    return found


def until(holds: Callable[[], Any], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def start_flow(stack: Any, name: str, **fields: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, COLLECT, json.dumps(ASKED | {"name": name} | fields)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "ASTRID_TRAINING_HOME": str(stack.home),
            "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "s3-bucket/results",
        },
    )


def outcome_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    outcome: dict[str, Any] = json.loads(told.split("OUTCOME ")[1])
    return outcome


def steps_of(client: SyncPrefectClient, flow_run_id: UUID) -> Counter[tuple[str, str]]:
    """Return how many task runs there are of each kind in each state."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    runs = client.read_task_runs(flow_run_filter=of_run, limit=200)
    return Counter((run.task_key.rsplit("-", 1)[0], run.state_name or "") for run in runs)


def flow_run_of(client: SyncPrefectClient, name: str) -> UUID:
    """Return the one flow run of a dataset's name."""
    named = FlowRunFilter(name=FlowRunFilterName(like_=f"collect {name}:"))
    (run,) = client.read_flow_runs(flow_run_filter=named)
    return run.id


def test_each_batch_is_built_by_one_worker_as_threads_build_it(
    stack: Any, make_place: MakePlace, start_cluster: StartCluster, collect: Any
) -> None:
    make_place()
    by_threads = outcome_of(start_flow(stack, "by threads"))
    place = make_place()
    address, (first, second) = start_cluster()

    outcome = outcome_of(start_flow(stack, "on a cluster", runner="dask", dask_address=address))

    assert outcome["version_id"] == by_threads["version_id"]  # of content and split
    done = [first.steps, second.steps]
    assert all(done)
    assert done[0].keys().isdisjoint(done[1])
    assert all(steps == STEPS for one in done for steps in one.values())
    check_as_undisturbed(place, outcome, collect)


def test_a_killed_worker_costs_the_step_that_it_was_at(
    stack: Any,
    client: SyncPrefectClient,
    make_place: MakePlace,
    start_cluster: StartCluster,
    collect: Any,
    check_one_dataset: Any,
    reconcile: Any,
    tmp_path: Path,
) -> None:
    place = make_place()
    gate = tmp_path / "gate"
    gate.touch()
    address, (first, second) = start_cluster(f"make_masks:before:wait={gate}")

    flow = start_flow(stack, "killed", runner="dask", dask_address=address)
    until(lambda: gate.read_text() == f"{first.process.pid}\n")
    run_id = flow_run_of(client, "killed")
    until(lambda: ("make_masks", "Running") in steps_of(client, run_id))
    first.process.kill()
    outcome = outcome_of(flow)

    check_one_dataset(place.engine, "killed", outcome)
    check_as_undisturbed(place, outcome, collect)
    (taken_over,) = first.steps.keys() & second.steps.keys()
    assert first.steps[taken_over] == {"download", "cut"}
    assert second.steps[taken_over] == STEPS
    states = steps_of(client, run_id)
    batches = len(first.steps | second.steps)
    # what the UI says: the batch is one task run, which is done; the step that was cut off never ends
    assert states["build_batch", "Completed"] == states["make_masks", "Completed"] == batches
    assert states["make_masks", "Running"] == 1
    assert client.read_flow_run(run_id).state_name == "Completed"
    # its stamps are known by the shared results; its files lie on the machine that has gone
    assert states["preprocess", "Cached"] == 1
    assert states["download_fits", "Completed"] == batches + 1
    assert [kind for kind, what in reconcile() if "draw masks" in what] == ["task run left running"]
    assert steps_of(client, run_id)["make_masks", "Crashed"] == 1


def check_as_undisturbed(place: Place, outcome: dict[str, Any], collect: Any) -> None:
    """Check that content, packs and catalogue are those of a collection that nothing happened to."""
    undisturbed = collect(batch_samples=ASKED["batch_samples"])
    assert outcome["digests"]["content"] == undisturbed.digests["content"]
    assert outcome["total_samples"] == undisturbed.total_samples > 0
    assert {kind: place.store.keys(kind) for kind in PACKS} == {
        kind: place.sky.store.keys(kind) for kind in PACKS
    }
    tables = [len(one.keys("measures")) for one in (place.store, place.sky.store)]
    assert tables[0] == tables[1]  # their last bits are those of one thread of BLAS or of several
    assert catalogued(place.engine) == catalogued(place.sky.engine)


def catalogued(engine: Engine) -> list[tuple[Any, ...]]:
    statement = text(
        "SELECT sample_key, image_pack, pack_row, reason FROM training_image_catalogue ORDER BY 1"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement)]
