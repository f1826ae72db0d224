"""Batches on the workers of a warm Dask cluster: two against one, by the flow's own task.

The build stage of 50,000 samples, more than 60 CPU-seconds of it, on a Prefect server and a PostgreSQL of
their own. The scheduler and its workers are processes that are there before the clock starts. Each side is
measured once, for it takes minutes; the digests of both sides must be equal.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from astrid_training.settings import prefect_environment, resolve
from benchmarks.rows import Row, at_least
from benchmarks.scale import survey
from deployments.embedded.processes import free_port

SAMPLES = 50_000


def report(samples: int = SAMPLES) -> list[Row]:
    """Return the row of two workers against one.

    Raises:
        RuntimeError: if the two sides have other digests.
    """
    from deployments.embedded.stack import discard, up

    with TemporaryDirectory() as folder:
        servers = Path(folder) / "home"
        try:
            up(servers)
            two, one = (_side(servers, samples, count) for count in (2, 1))
        finally:
            discard(servers)
    if two["content"] != one["content"]:
        raise RuntimeError(f"two workers built {two['content']}, one built {one['content']}")
    gain = one["wall_s"] / two["wall_s"]
    return [
        Row(
            f"build stage of {samples:,} samples, two Dask workers, wall",
            f"{two['wall_s']:.1f} s, {two['cpu_s']:.0f} CPU-s",
            f"one worker {one['wall_s']:.1f} s, {one['cpu_s']:.0f} CPU-s",
            gain,
            at_least(gain, 1.5),
        )
    ]


def _side(servers: Path, samples: int, count: int) -> dict[str, float]:
    from deployments.bootstrap import save_blocks

    with survey(samples) as (engine, home, _):
        url = engine.url.render_as_string(hide_password=False)
        settings = resolve(servers, database_url=url, store_url=f"file://{home}/store")
        os.environ.update(prefect_environment(settings))
        save_blocks(settings)
        with _cluster(count) as (address, workers):
            before = _cpu(workers)
            told = _in_a_process(address)
            told["cpu_s"] = _cpu(workers) - before
    sys.stderr.write(f"{count} workers: {told}\n")
    return told


@contextmanager
def _cluster(count: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Give the block a scheduler's address and its workers, ready, each with what it imports."""
    port, board = free_port(None), free_port(None)
    address = f"tcp://127.0.0.1:{port}"

    def start(kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        silent = subprocess.DEVNULL
        return subprocess.Popen(command, stdout=silent, stderr=silent)

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
        yield address, [psutil.Process(one.pid) for one in parts[1:]]


def _ready(board: int) -> int:
    try:
        answer = httpx.get(f"http://127.0.0.1:{board}/json/counts.json", trust_env=False)
    except httpx.HTTPError:
        return 0
    found: int = answer.json()["workers"]
    return found


def _cpu(workers: list[psutil.Process]) -> float:
    """Return the processor time of workers and of the processes that compute for them, seconds."""
    every = [*workers, *(child for one in workers for child in one.children())]
    return sum(one.cpu_times().user + one.cpu_times().system for one in every)


def _in_a_process(address: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cluster", "--build", address],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _build(address: str) -> None:
    """Select and plan here, build on the cluster, and print how long the cluster took."""
    from datetime import UTC, datetime

    from prefect import flow

    from astrid_training import collection_steps, workers
    from astrid_training.assemble import assemble
    from astrid_training.identity import dataset_digests
    from astrid_training.params import TrainingDataCollectionParams
    from astrid_training.processors import Recipe
    from astrid_training.records import BuiltBatch
    from blocks import places
    from flows.batches import build_batch
    from flows.runners import batch_runner

    params = TrainingDataCollectionParams(
        survey_ids=["sim_ztf"],
        max_samples=1_000_000,
        batch_samples=512,
        runner="dask",
        dask_address=address,
    )
    place, recipe = places.workplace(), Recipe.of(params.processor, params.preprocess)
    workers.set_workers(1)
    selected = workers.run(collection_steps.select_subjects, place, params, datetime.now(UTC))
    how = recipe.fingerprint, params
    planned = workers.run(collection_steps.plan_batches, place, selected, *how)

    @flow(name="benchmark of a cluster")
    def build() -> tuple[float, list[BuiltBatch]]:
        more = {"recipe": recipe, "rule": params.mask, "verify_checksums": True}
        with batch_runner(params) as runner:
            begun = time.perf_counter()
            futures = [
                runner.submit(build_batch, {"batch": one, **more}) for one in planned.batches
            ]
            built = [future.result() for future in futures]
            return time.perf_counter() - begun, built

    took, built = build()
    digests = dataset_digests(assemble(place.store(), selected, planned, built).samples)
    sys.stdout.write(json.dumps({"wall_s": took, "content": digests["content"]}) + "\n")


if __name__ == "__main__" and sys.argv[1:2] == ["--build"]:
    _build(sys.argv[2])
