"""Batches on the workers of a warm Dask cluster: two against one, by the flow's own task.

The build stage of 40,000 samples, more than 60 CPU-seconds of it, on a Prefect server and a PostgreSQL of
their own. The scheduler and its workers are processes that are there, and have built two batches, before
the clock starts. Each side builds everything anew; the digests of all must be equal. Three rounds, for a
side takes a minute.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
import psutil
from sqlalchemy import Engine

from astrid_training.settings import prefect_environment, resolve
from benchmarks.rows import Row, at_least
from benchmarks.scale import survey
from deployments.embedded.processes import free_port

SAMPLES, ROUNDS = 40_000, 3
WARM_UP = 2
"""Batches that are built before the clock starts: what a worker loads once is loaded then."""
NO_PROFILE = {"DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false"}
"""On Python 3.11 Dask's profiler can stop a worker for good."""

Side = dict[str, float]


def report(samples: int = SAMPLES) -> list[Row]:
    """Return the row of two workers against one.

    Raises:
        RuntimeError: if the sides have other digests.
    """
    from deployments.embedded.stack import discard, up

    sides: dict[int, list[Side]] = {2: [], 1: []}
    with survey(samples) as (engine, home, _), TemporaryDirectory() as folder:
        servers = Path(folder) / "home"
        try:
            up(servers)
            url = engine.url.render_as_string(hide_password=False)
            settings = resolve(servers, database_url=url, store_url=f"file://{home}/store")
            os.environ.update(prefect_environment(settings))
            # not sooner: Prefect reads its settings when it is imported
            from deployments.bootstrap import save_blocks

            save_blocks(settings)
            for _ in range(ROUNDS):
                for count, measured in sides.items():
                    measured.append(_side(count))
                    _forget(engine, home / "store")
        finally:
            discard(servers)
    contents = {one["content"] for measured in sides.values() for one in measured}
    if len(contents) > 1:
        raise RuntimeError(f"the sides built {contents}")
    wall, cpu = (
        {count: median(one[what] for one in measured) for count, measured in sides.items()}
        for what in ("wall_s", "cpu_s")
    )
    gain = wall[1] / wall[2]
    return [
        Row(
            f"build stage of {samples:,} samples, two Dask workers, wall",
            f"{wall[2]:.1f} s, {cpu[2]:.0f} CPU-s",
            f"one worker {wall[1]:.1f} s, {cpu[1]:.0f} CPU-s",
            gain,
            at_least(gain, 1.5),
        )
    ]


def _side(count: int) -> Side:
    with TemporaryDirectory() as results, _cluster(count) as (address, pids):
        os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = results  # not those of another side
        told = _in_a_process(address, pids)
    sys.stderr.write(f"{count} workers: {told}\n")
    return told


def _forget(engine: Engine, store: Path) -> None:
    """Forget what was built; the survey's files stay."""
    for folder in store.iterdir():
        if folder.name != "raw":
            shutil.rmtree(folder)
    with engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE training_image_catalogue, training_objects")


@contextmanager
def _cluster(count: int) -> Iterator[tuple[str, list[int]]]:
    """Give the block a scheduler's address and its workers' ids, ready, each with what it imports."""
    port, board = free_port(None), free_port(None)
    address = f"tcp://127.0.0.1:{port}"

    def start(kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        silent = subprocess.DEVNULL
        return subprocess.Popen(command, stdout=silent, stderr=silent, env=os.environ | NO_PROFILE)

    with ExitStack() as ends:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        parts = [start("scheduler", *where, "--dashboard-address", f"127.0.0.1:{board}")]
        ends.callback(parts[0].kill)
        for _ in range(count):
            how = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--preload", "flows.collect"]
            parts.append(start("worker", address, *how))
            ends.callback(parts[-1].kill)
        deadline = time.monotonic() + 120
        while _ready(board) < count:
            if time.monotonic() > deadline:
                raise TimeoutError("the cluster is not ready")
            time.sleep(0.5)
        yield address, [one.pid for one in parts[1:]]


def _ready(board: int) -> int:
    try:
        answer = httpx.get(f"http://127.0.0.1:{board}/json/counts.json", trust_env=False)
    except httpx.HTTPError:
        return 0
    found: int = answer.json()["workers"]
    return found


def _cpu(pids: list[int]) -> float:
    """Return the processor time of workers and of the processes that compute for them, seconds."""
    workers = [psutil.Process(pid) for pid in pids]
    every = [*workers, *(child for one in workers for child in one.children())]
    return sum(one.cpu_times().user + one.cpu_times().system for one in every)


def _in_a_process(address: str, pids: list[int]) -> Side:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cluster", "--build", address, json.dumps(pids)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: Side = json.loads(done.stdout.splitlines()[-1])
    return told


def _build(address: str, pids: list[int]) -> None:
    """Select and plan here, build on the cluster, and print how long the cluster took."""
    from datetime import UTC, datetime

    from prefect import flow

    from astrid_training import collection_steps, workers
    from astrid_training.assemble import assemble
    from astrid_training.identity import dataset_digests
    from astrid_training.params import TrainingDataCollectionParams
    from astrid_training.processors import Recipe
    from astrid_training.records import BatchRef, BuiltBatch
    from blocks import places
    from flows.batches import build_batch
    from flows.runners import batch_runner

    params = TrainingDataCollectionParams(
        survey_ids=["sim_ztf"],
        max_samples=1_000_000,
        runner="dask",
        dask_address=address,
    )
    place, recipe = places.workplace(), Recipe.of(params.processor, params.preprocess)
    workers.set_workers(1)
    selected = workers.run(collection_steps.select_subjects, place, params, datetime.now(UTC))
    how = recipe.fingerprint, params
    planned = workers.run(collection_steps.plan_batches, place, selected, *how)

    @flow(name="benchmark of a cluster")
    def build() -> tuple[Side, list[BuiltBatch]]:
        more = {"recipe": recipe, "rule": params.mask, "verify_checksums": True}

        def build_all(batches: list[BatchRef]) -> list[BuiltBatch]:
            futures = [runner.submit(build_batch, {"batch": one, **more}) for one in batches]
            return [future.result() for future in futures]

        with batch_runner(params) as runner:
            built = build_all(planned.batches[:WARM_UP])
            begun, used = time.perf_counter(), _cpu(pids)
            built += build_all(planned.batches[WARM_UP:])
            return {"wall_s": time.perf_counter() - begun, "cpu_s": _cpu(pids) - used}, built

    took, built = build()
    digests = dataset_digests(assemble(place.store(), selected, planned, built).samples)
    sys.stdout.write(json.dumps({**took, "content": digests["content"]}) + "\n")


if __name__ == "__main__" and sys.argv[1:2] == ["--build"]:
    _build(sys.argv[2], json.loads(sys.argv[3]))
