"""A closed batch goes into one dataset, however often it is told and whoever claims at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from uuid import UUID, uuid5

import pytest
from sqlalchemy import Engine, text

from astrid_training.claims import (
    ClaimedBatch,
    claim_batches,
    claimants,
    receive_batch,
    settle_batches,
)

CLOSED = datetime(2024, 5, 1, 12, tzinfo=UTC)
DETECTIONS = [uuid5(UUID(int=0), str(number)) for number in range(3)]


def receive(database: Engine, *batch_ids: str) -> None:
    with database.begin() as connection:
        for batch_id in batch_ids:
            receive_batch(connection, batch_id, CLOSED)


def claim(database: Engine, run: str, *void: str) -> list[str]:
    with database.begin() as connection:
        return [batch.batch_id for batch in claim_batches(connection, run, void)]


@pytest.fixture
def dataset(database: Engine) -> str:
    """The id of a published dataset."""
    row = (
        "INSERT INTO training_datasets (name, collection_params, total_samples, anomaly_ratio,"
        " quality_score, created_by) VALUES ('d', '{}', 1, 1, 1, 'test') RETURNING id"
    )
    with database.begin() as connection:
        return str(connection.execute(text(row)).scalar_one())


@pytest.mark.parametrize("detection_ids", [None, DETECTIONS, []], ids=["all", "named", "none"])
def test_a_batch_is_claimed_as_it_was_told(
    database: Engine, detection_ids: list[UUID] | None
) -> None:
    with database.begin() as connection:
        assert receive_batch(connection, "b1", CLOSED, detection_ids)

    with database.begin() as connection:
        assert claim_batches(connection, "run") == [ClaimedBatch("b1", CLOSED, detection_ids)]


def test_a_batch_told_twice_is_one_batch_and_keeps_what_was_told_first(database: Engine) -> None:
    with database.begin() as connection:
        receive_batch(connection, "b1", CLOSED, DETECTIONS)
        again = receive_batch(connection, "b1", CLOSED.replace(year=2025))

        assert not again
        assert claim_batches(connection, "run") == [ClaimedBatch("b1", CLOSED, DETECTIONS)]


def test_batches_come_in_the_order_in_which_they_closed(database: Engine) -> None:
    with database.begin() as connection:
        receive_batch(connection, "a", CLOSED.replace(hour=13))
        receive_batch(connection, "c", CLOSED)
        receive_batch(connection, "b", CLOSED)

    assert claim(database, "run") == ["b", "c", "a"]


def test_a_claimed_batch_is_not_given_to_another_run_but_again_to_its_own(database: Engine) -> None:
    receive(database, "b1")

    assert claim(database, "first") == ["b1"]
    assert claim(database, "second") == []
    assert claim(database, "first") == ["b1"]


def test_the_batches_of_a_run_that_ended_without_a_dataset_are_pending_again(
    database: Engine,
) -> None:
    receive(database, "b1")
    claim(database, "dead")
    receive(database, "b2")
    claim(database, "alive")

    with database.connect() as connection:
        assert claimants(connection) == ["alive", "dead"]
    assert claim(database, "next", "dead") == ["b1"]
    with database.connect() as connection:
        assert claimants(connection) == ["alive", "next"]


def test_a_settled_batch_is_never_claimed_again_and_keeps_its_dataset(
    database: Engine, dataset: str
) -> None:
    receive(database, "b1", "b2")
    claim(database, "run")

    with database.begin() as connection:
        assert settle_batches(connection, ["b1"], dataset) == ["b1"]
        assert settle_batches(connection, ["b1"], dataset) == []

    assert claim(database, "next", "run") == ["b2"]


def test_a_claim_that_is_rolled_back_was_none(database: Engine) -> None:
    receive(database, "b1")
    with database.connect() as connection:
        claim_batches(connection, "killed")
        connection.rollback()

    assert claim(database, "next") == ["b1"]


def test_runs_that_claim_at_once_never_share_a_batch(database: Engine) -> None:
    batches = [f"b{number:03}" for number in range(60)]
    runs = [f"run{number}" for number in range(6)]
    receive(database, *batches)
    start = Barrier(len(runs))

    def claim_when_all_are_ready(run: str) -> list[str]:
        with database.begin() as connection:
            start.wait(timeout=30)
            return [batch.batch_id for batch in claim_batches(connection, run)]

    with ThreadPoolExecutor(len(runs)) as pool:
        claimed = list(pool.map(claim_when_all_are_ready, runs))

    assert sorted(batch for one in claimed for batch in one) == batches


def test_a_claim_passes_over_batches_that_another_run_is_taking(database: Engine) -> None:
    receive(database, "b1")
    with database.begin() as taking:
        assert [batch.batch_id for batch in claim_batches(taking, "first")] == ["b1"]

        assert claim(database, "second") == []


@pytest.mark.parametrize(
    ("batch_id", "closed_at", "cause"),
    [
        ("b1", CLOSED.replace(tzinfo=None), "has no time zone"),
        ("", CLOSED, "0 characters"),
        ("b" * 256, CLOSED, "256 characters"),
    ],
)
def test_a_batch_that_cannot_be_noted_is_refused(
    database: Engine, batch_id: str, closed_at: datetime, cause: str
) -> None:
    with database.begin() as connection, pytest.raises(ValueError, match=cause):
        receive_batch(connection, batch_id, closed_at)
