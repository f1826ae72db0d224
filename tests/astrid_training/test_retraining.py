"""Training again: each reason holds where it should and nowhere else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from astrid_training.errors import DatasetNotFoundError
from astrid_training.records import PublishedDataset
from astrid_training.retraining import RetrainParams, judge, judge_retraining
from astrid_training.trainings import attach_training_run, close_training_run, open_training_run
from astrid_training.workplace import Workplace
from tests.astrid_training.simulated_samples import sky as simulated_sky
from tests.astrid_training.simulated_samples import with_column

NOW = datetime.now(UTC)
PARAMS = RetrainParams(name="a set")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return simulated_sky(1)


def holding(before: pa.Table | None, after: pa.Table, params: RetrainParams = PARAMS) -> list[str]:
    return [one.name for one in judge(before, after, params) if one.holds]


def test_a_first_training_needs_no_reason_and_the_same_samples_are_none(table: pa.Table) -> None:
    assert holding(None, table) == ["first"]
    assert holding(table, table) == []


@pytest.mark.parametrize(("fewer", "expected"), [(0, ["gold_labels"]), (1, [])])
def test_so_many_new_gold_labels_are_enough(
    table: pa.Table, fewer: int, expected: list[str]
) -> None:
    silver = np.flatnonzero(pc.equal(table["tier"], "silver").to_numpy(zero_copy_only=False))
    tiers = np.array(table["tier"].to_pylist())
    tiers[silver[: 200 - fewer]] = "gold"

    assert holding(table, with_column(table, "tier", tiers)) == expected


def test_of_a_large_set_a_share_of_what_was_trained_on_is_enough(table: pa.Table) -> None:
    train = pc.sum(pc.equal(table["split"], "train")).as_py()
    silver = np.flatnonzero(pc.equal(table["tier"], "silver").to_numpy(zero_copy_only=False))
    tiers = np.array(table["tier"].to_pylist())
    params = PARAMS.model_copy(update={"gold_labels": 1, "gold_share": 0.1})
    enough = int(np.ceil(0.1 * train))
    tiers[silver[: enough - 1]] = "gold"
    assert holding(table, with_column(table, "tier", tiers), params) == []

    tiers[silver[enough - 1]] = "gold"
    assert holding(table, with_column(table, "tier", tiers), params) == ["gold_labels"]


def test_gold_of_another_class_is_a_new_label(table: pa.Table) -> None:
    gold = pc.and_(pc.equal(table["tier"], "gold"), table["is_anomaly"])
    place = np.flatnonzero(gold.to_numpy(zero_copy_only=False))[0]
    kinds = table["anomaly_type"].to_pylist()
    kinds[place] = "agn"
    params = PARAMS.model_copy(update={"gold_labels": 1, "gold_share": 1e-9})

    assert holding(table, with_column(table, "anomaly_type", kinds), params) == ["gold_labels"]


@pytest.mark.parametrize(("places", "expected"), [(30, ["class"]), (29, [])])
def test_a_class_that_comes_to_thirty_places_is_enough(
    table: pa.Table, places: int, expected: list[str]
) -> None:
    kinds = np.array(table["anomaly_type"].to_pylist(), object)
    groups = np.array(table["group_key"].to_pylist())
    real = np.flatnonzero(
        (kinds == "supernova") & (np.array(table["tier"].to_pylist()) == "silver")
    )
    _, first = np.unique(groups[real], return_index=True)
    kinds[real[first[:places]]] = "agn"

    assert holding(table, with_column(table, "anomaly_type", kinds)) == expected


def test_drift_that_is_no_chance_and_matters_is_enough(table: pa.Table) -> None:
    ztf = np.array(table["survey"].to_pylist()) == "ztf"
    worse = np.where(ztf, 1.6, 1.0) * table["fwhm_px"].to_numpy()

    (found,) = [
        one for one in judge(table, with_column(table, "fwhm_px", worse), PARAMS) if one.holds
    ]

    assert found.name == "drift"
    assert "ztf" in found.detail
    assert "fwhm_px" in found.detail


def test_the_newest_is_held_against_what_was_trained_on_last(
    sky: Any, collect: Callable[..., PublishedDataset]
) -> None:
    place = Workplace(
        sky.store.url,
        sky.home / "cache",
        database_url=sky.engine.url.render_as_string(hide_password=False),
    )
    with pytest.raises(DatasetNotFoundError, match="no active dataset 'a set'"):
        judge_retraining(place, PARAMS, NOW)

    first = collect(name="a set", max_samples=60)
    never = judge_retraining(place, PARAMS, NOW)
    assert (never.decision, never.dataset_id, never.trained_on) == ("train", first.dataset_id, None)

    training = open_training_run(sky.engine, first.dataset_id, {}, "a training").id
    attach_training_run(sky.engine, training, "a flow run")
    assert judge_retraining(place, PARAMS, NOW).decision == "cooling_down"
    assert judge_retraining(place, PARAMS, NOW + timedelta(days=2)).decision == "train"
    close_training_run(sky.engine, training, metrics={})
    assert judge_retraining(place, PARAMS, NOW).decision == "nothing_new"

    newer = collect(name="a set")
    few = PARAMS.model_copy(update={"gold_labels": 1, "gold_share": 1e-9})
    assert judge_retraining(place, few, NOW).decision == "cooling_down"
    verdict = judge_retraining(place, few, NOW + timedelta(days=2))
    assert (verdict.decision, verdict.dataset_id) == ("train", newer.dataset_id)
    assert verdict.trained_on == first.dataset_id
    assert "new gold labels" in verdict.message
