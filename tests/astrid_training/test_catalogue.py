"""Which dataset a name, a version or an id means, and which row a training gets."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.errors import DatabaseUnavailableError, DatasetRevokedError
from astrid_training.trainings import (
    attach_training_run,
    close_training_run,
    open_training_run,
    training_runs,
)

VERSION = "a" * 16
ROW = """
INSERT INTO training_datasets (
    id, name, status, version_id, created_at, collection_params, total_samples, anomaly_ratio,
    quality_score, created_by, splits, classes, funnel, preprocess_spec, spec_fingerprint,
    query_digest, source_digest, label_digest, content_digest, split_digest, samples_key)
VALUES (
    :id, :name, :status, :version, now() - make_interval(days => :age), '{}', 1, 0.5, 0.9, 'test',
    '{}', '{}', '[]', '{}', '', '', '', '', '', '', 'samples/x')
"""


def publish(
    database: Engine, name: str, status: str = "active", *, age: int = 0, version: str = VERSION
) -> str:
    """Enter a dataset that is `age` days old and return its id."""
    values = {"id": uuid4(), "name": name, "status": status, "version": version, "age": age}
    with database.begin() as connection:
        connection.execute(text(ROW), values)
    return str(values["id"])


def fail_as_flow_run(database: Engine, row_id: str) -> None:
    attach_training_run(database, row_id, f"flow run of {row_id}")
    close_training_run(database, row_id, error="out of memory")


@pytest.mark.parametrize("status", ["revoked", "superseded"])
@pytest.mark.parametrize("age", [1, 9])
def test_a_version_means_its_active_dataset_before_a_withdrawn_twin(
    database: Engine, status: str, age: int
) -> None:
    active = publish(database, "kept", age=5)
    publish(database, "withdrawn", status, age=age)

    assert str(get_dataset(database, VERSION).id) == active


def test_of_withdrawn_twins_the_superseded_one_is_found(database: Engine) -> None:
    old = publish(database, "old", "superseded", age=5)
    publish(database, "bad", "revoked")

    assert str(get_dataset(database, VERSION).id) == old


def test_an_id_means_that_dataset_alone(database: Engine) -> None:
    publish(database, "kept")
    revoked = publish(database, "withdrawn", "revoked")

    with pytest.raises(DatasetRevokedError):
        get_dataset(database, revoked)


def test_a_version_goes_before_a_dataset_that_bears_it_as_its_name(database: Engine) -> None:
    meant = publish(database, "kept", age=5)
    publish(database, VERSION, version="b" * 16)

    assert str(get_dataset(database, VERSION).id) == meant


def test_a_database_that_is_not_migrated_is_named_with_its_cure(databases: Any) -> None:
    bare = databases.make()
    try:
        manager = TrainingDatasetManager(bare)
        with pytest.raises(DatabaseUnavailableError, match="run `astrid-training migrate`"):
            manager.list_datasets()
        with pytest.raises(DatabaseUnavailableError, match="run `astrid-training migrate`"):
            manager.get_dataset("demo")
        with bare.begin() as connection:  # AstrID's own table, which lacks our columns
            connection.execute(text("CREATE TABLE training_datasets (id uuid, created_at date)"))
        with pytest.raises(DatabaseUnavailableError, match="run `astrid-training migrate`"):
            manager.get_dataset("demo")
    finally:
        databases.drop(bare)


def test_a_training_asked_for_again_is_the_same_while_it_runs_and_when_it_is_done(
    database: Engine,
) -> None:
    dataset = publish(database, "d")
    first = open_training_run(database, dataset, {}, "key")
    attach_training_run(database, first.id, "flow run")

    assert open_training_run(database, dataset, {}, "key") == first
    close_training_run(database, first.id, metrics={})
    done = open_training_run(database, dataset, {}, "key")

    assert (done.id, done.status) == (first.id, "completed")
    assert len(training_runs(database, dataset)) == 1


def test_a_training_that_failed_is_tried_anew_under_a_key_of_its_own(database: Engine) -> None:
    dataset, other = publish(database, "d"), publish(database, "e", version="b" * 16)
    fail_as_flow_run(database, open_training_run(database, other, {}, "key-of-another").id)
    rows = []
    for _ in range(3):
        rows.append(open_training_run(database, dataset, {}, "key"))
        fail_as_flow_run(database, rows[-1].id)

    assert [row.idempotency_key for row in rows] == ["key", "key-2", "key-3"]
    assert {row.status for row in rows} == {"running"}
    assert [run.status for run in training_runs(database, dataset)] == ["failed"] * 3


def test_a_training_whose_start_failed_keeps_its_row(database: Engine) -> None:
    dataset = publish(database, "d")
    first = open_training_run(database, dataset, {}, "key")
    close_training_run(database, first.id, error="could not be started: no server")

    assert open_training_run(database, dataset, {}, "key") == first


def test_those_who_try_anew_at_once_share_one_row(database: Engine) -> None:
    dataset = publish(database, "d")
    fail_as_flow_run(database, open_training_run(database, dataset, {}, "key").id)

    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: open_training_run(database, dataset, {}, "key"), range(8)))

    assert {row.idempotency_key for row in rows} == {"key-2"}
    assert len({row.id for row in rows}) == 1
