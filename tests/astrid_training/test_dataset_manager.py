"""Datasets are found by what they are, learn nothing but metrics, and are withdrawn for a reason."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.database import query
from astrid_training.errors import DatasetNotFoundError, DatasetRevokedError

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ROW = """
INSERT INTO training_datasets (
    id, name, status, version_id, created_at, collection_params, total_samples, anomaly_ratio,
    quality_score, quality_report, created_by, splits, classes, funnel, preprocess_spec,
    spec_fingerprint, query_digest, source_digest, label_digest, content_digest, split_digest,
    samples_key)
VALUES (
    :id, :name, :status, :version, :at, '{}', 1, 0.5, :quality, CAST(:report AS jsonb), :who, '{}',
    '{}', '[]', '{}', '', '', '', '', '', '', 'samples/x')
"""
Add = Callable[..., str]


@pytest.fixture
def add(database: Engine) -> Add:
    """Enter a dataset that is `day` days younger than the first and return its id."""

    def enter(
        name: str = "d",
        status: str = "active",
        *,
        day: float = 0,
        version: str = "a" * 16,
        quality: float = 0.9,
        who: str = "ada",
        surveys: tuple[str, ...] = ("ztf",),
    ) -> str:
        values = {
            "id": uuid4(),
            "name": name,
            "status": status,
            "version": version,
            "at": DAY + timedelta(days=day),
            "quality": quality,
            "report": json.dumps({"survey_coverage": dict.fromkeys(surveys, 1)}),
            "who": who,
        }
        with database.begin() as connection:
            connection.execute(text(ROW), values)
        return str(values["id"])

    return enter


@pytest.fixture
def manager(database: Engine) -> TrainingDatasetManager:
    return TrainingDatasetManager(database)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        pytest.param({}, "dcba", id="no filter"),
        pytest.param({"status": "active"}, "db", id="status"),
        pytest.param({"name": "x"}, "ba", id="name"),
        pytest.param({"created_by": "bob"}, "db", id="creator"),
        pytest.param({"survey": "hst"}, "dc", id="a survey among others"),
        pytest.param({"survey": "hs"}, "", id="no survey of that name"),
        pytest.param({"least_quality": 0.8}, "cb", id="quality, the limit included"),
        pytest.param({"created_from": DAY + timedelta(days=2)}, "dc", id="from, included"),
        pytest.param({"created_to": DAY + timedelta(days=2)}, "ba", id="to, excluded"),
        pytest.param({"created_to": datetime(2026, 3, 3)}, "ba", id="naive times are UTC"),  # noqa: DTZ001
        pytest.param({"status": None, "name": "x", "created_by": "bob"}, "b", id="several"),
    ],
)
def test_datasets_are_listed_by_what_they_are_newest_first(
    manager: TrainingDatasetManager, add: Add, filters: dict[str, Any], found: str
) -> None:
    ids = {
        add("x", "superseded", day=0, quality=0.7, version="a" * 16): "a",
        add("x", "active", day=1, quality=0.8, version="b" * 16, who="bob"): "b",
        add("y", "revoked", day=2, version="c" * 16, surveys=("ztf", "hst")): "c",
        add("y", day=3, quality=0.1, version="d" * 16, who="bob", surveys=("hst",)): "d",
    }

    page = manager.page(filters)

    assert "".join(ids[str(one.id)] for one in page.datasets) == found
    assert page.total == len(found)
    assert manager.list_datasets(filters) == page.datasets


def test_pages_follow_each_other_and_know_how_many_there_are(
    manager: TrainingDatasetManager, add: Add
) -> None:
    for number in range(5):
        add(f"d{number}", day=number)

    pages = [manager.page({"status": "active"}, limit=2, offset=offset) for offset in (0, 2, 4, 6)]

    assert [[one.name for one in page.datasets] for page in pages] == [
        ["d4", "d3"],
        ["d2", "d1"],
        ["d0"],
        [],
    ]
    assert {page.total for page in pages} == {5}


@pytest.mark.parametrize(
    ("filters", "paging", "message"),
    [
        ({"state": "active"}, {}, "no filter state; use status, name"),
        ({"status": "done"}, {}, "no status 'done'; use active, superseded, revoked"),
        ({}, {"offset": -1}, "give numbers from 0"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_by_name(
    manager: TrainingDatasetManager, filters: dict[str, Any], paging: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        manager.list_datasets(filters, **paging)


def test_metrics_stand_apart_from_the_report_that_the_dataset_was_judged_by(
    manager: TrainingDatasetManager, add: Add
) -> None:
    one = add()
    judged = get_dataset(manager._engine, one).quality_report

    manager.update_dataset_metrics(one, {"model_f1": 0.93, "note": "good", "audit_done": True})
    manager.update_dataset_metrics(one, {"model_f1": 0.94, "note": None})

    found = manager.get_dataset(one)
    assert found.metrics == {"model_f1": 0.94, "audit_done": True}
    assert found.quality_report == judged


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        pytest.param({"quality_score": 1.0}, ValueError, id="what it was judged by"),
        pytest.param({"splits": {"train": 1}}, ValueError, id="splits"),
        pytest.param({"total_samples": 3}, ValueError, id="samples"),
        pytest.param({"model_f1; drop": 3}, ValueError, id="no name"),
        pytest.param({"model_labels": {"a": 1}}, TypeError, id="no single value"),
        pytest.param({"drift_psi": float("nan")}, ValueError, id="no number"),
        pytest.param({"model_f1": 0.9, "labels": 1}, ValueError, id="one of two"),
    ],
)
def test_nothing_else_can_be_updated(
    manager: TrainingDatasetManager,
    add: Add,
    metrics: dict[str, Any],
    error: type[Exception],
) -> None:
    one = add()

    with pytest.raises(error):
        manager.update_dataset_metrics(one, metrics)

    assert manager.get_dataset(one).metrics == {}


@pytest.mark.parametrize("wanted", ["6a1f0d0e-0000-4000-8000-000000000000", "no id"])
def test_metrics_of_no_dataset_are_refused(manager: TrainingDatasetManager, wanted: str) -> None:
    with pytest.raises(DatasetNotFoundError):
        manager.update_dataset_metrics(wanted, {"note": "x"})


def test_a_revoked_dataset_says_who_withdrew_it_when_and_why(
    manager: TrainingDatasetManager, add: Add
) -> None:
    one = add("night")

    event = manager.revoke("night", " wrong reference images ", "eve")

    assert (event.event, event.reason, event.by) == ("revoked", "wrong reference images", "eve")
    assert manager.events(one) == [event]
    with pytest.raises(
        DatasetRevokedError,
        match=rf"revoked by eve at {event.at:%Y-%m-%d %H:%M} UTC: wrong reference images; use a newer",
    ):
        manager.get_dataset(one)
    assert manager.get_dataset(one, allow_revoked=True).status == "revoked"
    with pytest.raises(DatasetNotFoundError):  # a name means an active version
        manager.get_dataset("night")


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_is_withdrawn_without_a_reason(
    manager: TrainingDatasetManager, add: Add, reason: str
) -> None:
    one = add()

    with pytest.raises(ValueError, match="say why"):
        manager.revoke(one, reason)

    assert manager.get_dataset(one).status == "active"


def is_somebody_waiting(database: Engine) -> bool:
    """Tell whether a session waits for a lock; each look needs a transaction of its own."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    with database.connect() as watch:
        return bool(watch.execute(text(f"{waiting}current_database()")).scalar_one())


def test_who_revokes_while_another_does_waits_and_is_told_the_others_reason(
    database: Engine, manager: TrainingDatasetManager, add: Add
) -> None:
    one = {"dataset_id": add()}

    with ThreadPoolExecutor(1) as pool:
        with database.begin() as first:
            first.execute(query("dataset_lock"), one)
            second = pool.submit(manager.revoke, one["dataset_id"], "too late", "ada")
            deadline = time.monotonic() + 30
            while not is_somebody_waiting(database):
                assert time.monotonic() < deadline, "the second did not wait"
                time.sleep(0.02)
            first.execute(query("dataset_retire"), {**one, "status": "revoked"})
            event = {"event": "revoked", "reason": "in time", "by": "eve"}
            first.execute(query("dataset_event_add"), {**one, **event})
        told = second.result(timeout=30)

    assert (told.reason, told.by) == ("in time", "eve")
    assert manager.events(one["dataset_id"]) == [told]


def test_of_many_who_revoke_one_does_and_all_are_told_the_same(
    manager: TrainingDatasetManager, add: Add
) -> None:
    one = add()

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda n: manager.revoke(one, f"reason {n}", f"user {n}"), range(8)))

    assert len(set(told)) == 1
    assert manager.events(one) == told[:1]


def test_a_superseded_dataset_still_loads_and_can_be_revoked_but_not_the_reverse(
    manager: TrainingDatasetManager, add: Add
) -> None:
    one = add()

    manager.supersede(one, "a better one is elsewhere", "ada")
    assert manager.get_dataset(one).status == "superseded"
    manager.revoke(one, "and it was wrong", "eve")

    assert [event.event for event in manager.events(one)] == ["superseded", "revoked"]
    with pytest.raises(DatasetRevokedError):
        manager.supersede(one, "again", "ada")


def test_datasets_of_the_same_content_are_kin_until_they_are_revoked(
    manager: TrainingDatasetManager, add: Add
) -> None:
    one, twin = add("one"), add("twin")
    add("other", version="b" * 16)
    add("gone", "revoked")

    kin = manager.kin(manager.get_dataset(one))

    assert [str(dataset.id) for dataset in kin] == [twin]
