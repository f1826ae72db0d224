"""The log of reviews on AstrID's own database: begun on demand, and complete from then on."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from astrid_training.database import open_database
from astrid_training.label_log import start_label_log
from astrid_training.migrate import MigrationError, migrate
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.selection import select_subjects


def logged(db: Any) -> list[tuple[str, int]]:
    rows: list[tuple[str, int]] = db.rows(
        "SELECT operation, count(*) FROM training_label_events GROUP BY 1 ORDER BY 1"
    )
    return rows


def posteriors(engine: Engine, as_of: datetime) -> dict[str, float]:
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], confidence_threshold=0.5)
    with engine.connect() as connection:
        table = select_subjects(connection, params, as_of)
    return dict(zip(table["sample_key"].to_pylist(), table["p_real"].to_pylist(), strict=True))


def clock(db: Any) -> datetime:
    at: datetime = db.rows("SELECT clock_timestamp()")[0][0]
    return at


def test_it_begins_when_asked_and_only_once(sky: Any, db: Any) -> None:
    events = db.rows("SELECT count(*) FROM validation_events")[0][0]
    assert logged(db) == []

    assert start_label_log(sky.engine) == "started"
    assert start_label_log(sky.engine) == "present"
    assert logged(db) == [("I", events)]
    migrate(sky.engine)
    assert logged(db) == [("I", events)]


def test_from_then_on_an_instant_is_told_as_it_was(sky: Any, db: Any) -> None:
    start_label_log(sky.engine)
    then, before = clock(db), posteriors(sky.engine, clock(db))
    db.execute(
        "UPDATE validation_events SET is_valid = NOT is_valid, updated_at = clock_timestamp() "
        "WHERE validator_id < 'reviewer-04'"
    )
    between, after_first = clock(db), posteriors(sky.engine, clock(db))
    db.execute("DELETE FROM validation_events WHERE validator_id > 'reviewer-06'")

    assert posteriors(sky.engine, then) == before
    assert posteriors(sky.engine, between) == after_first != before
    assert posteriors(sky.engine, clock(db)) != after_first


@pytest.mark.parametrize("sky", ["collector"], indirect=True)
def test_who_may_not_touch_the_reviews_starts_nothing(sky: Any, db: Any) -> None:
    with pytest.raises(MigrationError, match="may not write training_label_events"):
        start_label_log(sky.engine)

    assert logged(db) == []


def test_who_could_not_write_the_log_is_told_before_any_review_is_refused(
    sky: Any, db: Any
) -> None:
    user = sky.engine.url.username
    db.execute(
        "CREATE ROLE reviews_owner LOGIN PASSWORD 'for-this-test-only'",
        "GRANT USAGE, CREATE ON SCHEMA public TO reviews_owner",
        "ALTER TABLE validation_events OWNER TO reviews_owner",
    )
    url = sky.engine.url.set(username="reviews_owner", password="for-this-test-only")
    engine = open_database(url.render_as_string(hide_password=False))
    try:
        with pytest.raises(MigrationError, match="grant it INSERT there"):
            start_label_log(engine)
    finally:
        engine.dispose()
        db.execute(
            f"REASSIGN OWNED BY reviews_owner TO {user}",
            "DROP OWNED BY reviews_owner",
            "DROP ROLE reviews_owner",
        )
    db.execute("UPDATE validation_events SET is_valid = true")
    assert logged(db) == []
