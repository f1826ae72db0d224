"""How long reviews wait is told from the reviews and from what collections have looked at."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from astrid_training.errors import CollectionRefusedError
from astrid_training.freshness import Freshness, FreshnessParams, measure_freshness

HOUR = timedelta(hours=1)


def measure(sky: Any, now: datetime | None = None, **fields: Any) -> Freshness:
    params = FreshnessParams.model_validate({"survey_ids": ["sim_ztf"], **fields})
    with sky.engine.connect() as connection:
        return measure_freshness(connection, sky.store, params, now or datetime.now(UTC))


def kinds(found: Freshness) -> list[str]:
    return [one.kind for one in found.breaches]


def review(sky: Any, at: datetime, count: int = 1) -> None:
    """Enter reviews of detections that agree with what was said of them."""
    again = text(
        "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, created_at,"
        " updated_at) SELECT gen_random_uuid(), detection_id, validator_id, is_valid, label, :at, :at"
        " FROM (SELECT DISTINCT ON (detection_id) * FROM validation_events"
        " ORDER BY detection_id, created_at DESC, id LIMIT :count) AS former"
    )
    with sky.engine.begin() as connection:
        connection.execute(again, {"at": at, "count": count})


def test_without_a_dataset_every_review_waits(sky: Any) -> None:
    found = measure(sky)

    (survey,) = found.surveys
    assert survey.seen_to is None
    assert survey.backlog > 50
    assert survey.oldest_waiting is not None
    assert survey.newest_used is None
    assert kinds(found) == ["waiting"]
    assert not found.is_fresh


def test_after_a_collection_nothing_waits_until_somebody_reviews(sky: Any, collect: Any) -> None:
    collect()
    now = datetime.now(UTC)
    assert measure(sky, now).is_fresh
    (survey,) = measure(sky, now).surveys
    assert (survey.backlog, survey.oldest_waiting) == (0, None)
    assert survey.newest_used == survey.newest_review

    review(sky, now, count=3)
    (survey,) = measure(sky, now + HOUR).surveys
    assert (survey.backlog, survey.oldest_waiting) == (3, now)

    assert measure(sky, now + 35 * HOUR).is_fresh
    assert kinds(measure(sky, now + 37 * HOUR)) == ["waiting"]
    assert kinds(measure(sky, now + HOUR, max_backlog=2)) == ["backlog"]


def test_reviews_that_change_nothing_were_looked_at_all_the_same(sky: Any, collect: Any) -> None:
    first = collect()
    now = datetime.now(UTC)
    with sky.engine.begin() as connection:  # a review that says nothing of a class
        connection.execute(
            text(
                "INSERT INTO surveys (id, name, is_active) VALUES (gen_random_uuid(), 'other', true)"
            )
        )
    again = collect(as_of=now)
    assert (again.dataset_id, again.reused) == (first.dataset_id, True)

    (survey,) = measure(sky).surveys
    assert survey.seen_to == now


def test_labels_grow_old_where_nobody_reviews(sky: Any, collect: Any) -> None:
    collect()

    assert kinds(measure(sky, max_label_age_hours=1)) == ["label_age"]
    assert measure(sky, max_label_age_hours=1e6).is_fresh


def test_a_dataset_of_another_survey_looks_at_nothing_here(sky: Any, collect: Any) -> None:
    collect()
    with sky.engine.begin() as connection:
        connection.execute(
            text("""UPDATE training_datasets SET collection_params = '{"survey_ids": ["hst"]}'""")
        )

    assert kinds(measure(sky)) == ["waiting"]


def test_bands_whose_newest_exposures_are_unlike_the_others_are_told(
    sky: Any, collect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect()
    monkeypatch.setattr("astrid_training.rolling.LEAST_HISTORY", 2)

    found = measure(sky, max_mads=1e-9, recent_exposures=3)

    assert set(kinds(found)) == {"quality"}
    assert all(one.band and "usual" in one.detail for one in found.breaches)
    assert measure(sky, datasets=0).is_fresh


def test_a_survey_that_is_not_there_is_refused(sky: Any) -> None:
    with pytest.raises(CollectionRefusedError, match="no survey named hubble"):
        measure(sky, survey_ids=["hubble"])


def test_the_table_tells_ages_and_all_is_json(sky: Any) -> None:
    now = datetime.now(UTC)
    review(sky, now - 2 * HOUR)

    found = measure(sky, now)

    (row,) = found.table()
    assert (row["survey"], row["newest review"], row["stale"]) == ("sim_ztf", "2.0 h", "waiting")
    assert (row["newest used"], row["published"]) == ("none", "none")
    assert row["waiting"].endswith(" d")
    assert found.to_dict()["surveys"][0]["newest_review"] == (now - 2 * HOUR).isoformat()
