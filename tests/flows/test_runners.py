"""Batches are built where the parameters say, and come out the same."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask.config
import httpx
import psutil
import pytest
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.simulate import SkyPlan
from deployments.bootstrap import save_blocks
from deployments.embedded.processes import free_port
from deployments.simulated import simulate_sky
from flows.runners import batch_runner

SKY = SkyPlan(fields=6, epochs=3, frame_size=(220, 260), stars=40, galaxies=10, artifacts=4)
"""The same as that of the fixture `sky`, whose collection is the one to compare with."""

COLLECT = Path(__file__).parents[1] / "collect_flow.py"


def params(**fields: Any) -> TrainingDataCollectionParams:
    return TrainingDataCollectionParams.model_validate(fields)


def test_threads_of_this_machine_unless_told_otherwise() -> None:
    assert isinstance(batch_runner(params()), ThreadPoolTaskRunner)


def test_dask_uses_the_cluster_that_is_named_or_one_of_its_own_on_loopback() -> None:
    named = batch_runner(params(runner="dask", dask_address="tcp://scheduler:8786"))
    own = batch_runner(params(runner="dask", workers=3))

    assert isinstance(named, DaskTaskRunner)
    assert isinstance(own, DaskTaskRunner)
    assert named.address == "tcp://scheduler:8786"
    assert own.cluster_kwargs["n_workers"] == 3
    assert own.cluster_kwargs["host"] == "127.0.0.1"
    assert not dask.config.get("distributed.worker.profile.enabled")  # its workers inherit it


def test_without_dask_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)

    with pytest.raises(CollectionRefusedError, match=r"pip install 'astrid-training\[dask\]'"):
        batch_runner(params(runner="dask"))


@pytest.fixture(scope="module")
def ready(stack: Any) -> Any:
    save_blocks(stack.settings)
    simulate_sky(stack.settings, SKY, lambda _line: None)
    return stack


@pytest.fixture
def cluster(ready: Any) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process of its own, as on other machines."""
    environment = os.environ | {"ASTRID_TRAINING_HOME": str(ready.home)}
    port, board = free_port(None), free_port(None)
    address = f"tcp://127.0.0.1:{port}"

    def start(*command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    with ExitStack() as ends:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        parts = [start("scheduler", *where, "--dashboard-address", f"127.0.0.1:{board}")]
        ends.callback(parts[0].kill)
        for _ in range(2):
            how = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
            parts.append(start("worker", address, *how))
            ends.callback(parts[-1].kill)
        deadline = time.monotonic() + 120
        while _workers(board) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield address, parts[1:]


def _workers(board: int) -> int:
    try:
        told = httpx.get(f"http://127.0.0.1:{board}/json/counts.json", trust_env=False).json()
    except httpx.HTTPError:
        return 0
    found: int = told["workers"]
    return found


def asked(pixels: dict[str, float], **fields: Any) -> dict[str, Any]:
    return {
        "survey_ids": ["sim_ztf"],
        "quality_score_threshold": 0,
        "allow_one_class": True,
        "allow_sparse_splits": True,
        "batch_samples": 16,
        "trigger_training": False,
        "preprocess": pixels,
        **fields,
    }


def start_flow(ready: Any, fields: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, COLLECT, json.dumps(fields)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(ready.home)},
    )


def outcome_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    outcome: dict[str, Any] = json.loads(told.split("OUTCOME ")[1])
    return outcome


@pytest.mark.slow
def test_a_cluster_of_this_machine_builds_what_threads_build(ready: Any, collect: Any) -> None:
    pixels = {"softening": 6.0}
    outcome = outcome_of(start_flow(ready, asked(pixels, name="dask here", runner="dask")))

    assert outcome["digests"]["content"] == collect(preprocess=pixels).digests["content"]
    assert not [one for one in psutil.process_iter() if "dask" in one.name()]


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_loses_nothing(
    ready: Any, cluster: tuple[str, list[subprocess.Popen[bytes]]], collect: Any
) -> None:
    address, workers = cluster
    pixels = {"softening": 6.5}
    images = ready.home / "store" / "images"
    before = len(list(images.iterdir())) if images.exists() else 0
    process = start_flow(
        ready, asked(pixels, name="dask killed", runner="dask", dask_address=address)
    )
    deadline = time.monotonic() + 120
    while not images.exists() or len(list(images.iterdir())) < before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers[0].send_signal(signal.SIGKILL)

    outcome = outcome_of(process)

    assert outcome["digests"]["content"] == collect(preprocess=pixels).digests["content"]
