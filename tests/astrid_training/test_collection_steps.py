"""A whole collection's steps in a worker: what goes wrong there reaches who asked as what it is."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from astrid_training import collection_steps
from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.workers import Workers
from astrid_training.workplace import Workplace
from tasks.retrying import kind_of

NOW = datetime.now(UTC)


@pytest.fixture
def pool() -> Iterator[Workers]:
    workers = Workers(1)
    yield workers
    workers.close()


@pytest.fixture
def place(sky: Any) -> Workplace:
    url = sky.engine.url.render_as_string(hide_password=False)
    return Workplace(sky.store.url, sky.home / "cache", database_url=url)


def params(**fields: Any) -> TrainingDataCollectionParams:
    return TrainingDataCollectionParams.model_validate({"survey_ids": ["sim_ztf"], **fields})


def test_a_refusal_keeps_its_sentence(pool: Workers, place: Workplace) -> None:
    with pytest.raises(CollectionRefusedError, match="no survey named hubble"):
        pool.run(collection_steps.select_subjects, place, params(survey_ids=["hubble"]), NOW)


def test_a_lost_connection_is_one_that_is_tried_again(
    sky: Any, pool: Workers, place: Workplace
) -> None:
    with sky.engine.connect() as holder, ThreadPoolExecutor(1) as thread:
        holder.execute(text("LOCK TABLE validation_events IN ACCESS EXCLUSIVE MODE"))
        asked = thread.submit(pool.run, collection_steps.select_subjects, place, params(), NOW)
        _end_who_waits(sky)
        with pytest.raises(OperationalError) as caught:
            asked.result(60)

    kind = kind_of(caught.value)
    assert kind
    assert kind.name == "the database is away"
    password = sky.engine.url.password
    assert password
    assert password not in f"{caught.value} {caught.value.__notes__}"


def _end_who_waits(sky: Any) -> None:
    """Do to the waiting statement's connection what a restart of the server does."""
    waiting = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 60
    with sky.engine.connect() as connection:
        while not connection.execute(waiting).all():
            connection.rollback()  # a transaction sees one state of the server's activity
            assert time.monotonic() < deadline
            time.sleep(0.05)
