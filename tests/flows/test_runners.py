"""Batches are built where the parameters say, and come out the same."""

import sys
from typing import Any

import dask.config
import psutil
import pytest
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_dask.task_runners import DaskTaskRunner

from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from flows.runners import batch_runner
from tests.deployments.small_survey import run_flow, told


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


@pytest.mark.slow
def test_a_cluster_of_this_machine_builds_what_threads_build(lone_stack: Any, collect: Any) -> None:
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

    outcome = told(run_flow(lone_stack, asked))

    assert outcome["digests"]["content"] == collect(preprocess=pixels).digests["content"]
    assert not [one for one in psutil.process_iter() if "dask" in one.name()]
