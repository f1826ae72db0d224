"""Batches are built where the parameters say, and come out the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.simulate import SkyPlan
from deployments.bootstrap import save_blocks
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


@pytest.mark.slow
def test_a_cluster_of_this_machine_builds_what_threads_build(ready: Any, collect: Any) -> None:
    pixels = {"softening": 6.0}
    asked = {
        "name": "dask here",
        "survey_ids": ["sim_ztf"],
        "quality_score_threshold": 0,
        "allow_one_class": True,
        "allow_sparse_splits": True,
        "batch_samples": 16,
        "trigger_training": False,
        "preprocess": pixels,
        "runner": "dask",
    }

    ran = subprocess.run(
        [sys.executable, COLLECT, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(ready.home)},
        timeout=300,
    )

    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout.split("OUTCOME ")[1])
    assert outcome["digests"]["content"] == collect(preprocess=pixels).digests["content"]
    assert not [one for one in psutil.process_iter() if "dask" in one.name()]
