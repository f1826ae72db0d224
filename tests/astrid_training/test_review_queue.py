"""Who reviews what next: the doubtful first, some by chance, and nobody can see which is which."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, text

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.errors import CollectionRefusedError
from astrid_training.records import PublishedDataset
from astrid_training.review_queue import (
    QueueNotFoundError,
    ReviewQueue,
    ReviewQueueParams,
    as_csv,
    make_review_queue,
    read_review_queue,
)
from astrid_training.samples import read_samples

LATER = datetime(2030, 1, 1, tzinfo=UTC)
PARAMS = ReviewQueueParams(survey_ids=["sim_ztf"], count=40, audit_share=0.1)


def forget_reviews(engine: Engine, share: float) -> set[str]:
    """Leave more detections without any review, as they come from the model; return all such ids."""
    with engine.begin() as connection:
        ids = connection.execute(text("SELECT id FROM detections ORDER BY id")).scalars().all()
        chosen = list(ids[: int(share * len(ids))])
        connection.execute(
            text("DELETE FROM validation_events WHERE detection_id = ANY(:ids)"), {"ids": chosen}
        )
        connection.execute(
            text(
                "UPDATE detections SET status = 'PENDING', human_label = NULL WHERE id = ANY(:ids)"
            ),
            {"ids": chosen},
        )
        left = connection.execute(
            text(
                "SELECT id FROM detections d WHERE NOT EXISTS"
                " (SELECT FROM validation_events v WHERE v.detection_id = d.id)"
            )
        )
        return {str(one) for one in left.scalars()}


@pytest.fixture
def unreviewed(sky: Any) -> set[str]:
    return forget_reviews(sky.engine, 0.3)


def make(sky: Any, params: ReviewQueueParams = PARAMS, as_of: datetime = LATER) -> ReviewQueue:
    return make_review_queue(sky.engine, params, as_of, "a test")


def test_the_queue_holds_what_is_least_known_and_a_share_by_chance(
    sky: Any, unreviewed: set[str]
) -> None:
    queue = make(sky)

    kinds = Counter(one.selected_for for one in queue.items)
    assert kinds == {"queue": 36, "random_audit": 4}
    assert [one.position for one in queue.items] == list(range(1, 41))
    assert len({one.detection_id for one in queue.items}) == 40
    for one in queue.items:
        assert one.score == pytest.approx(one.uncertainty + 0.5 * one.disagreement + one.rarity)
        if one.p_real is None:
            assert one.detection_id in unreviewed
            assert (one.n_votes, one.disagreement) == (0, 0)
        p = one.model_score if one.p_real is None else one.p_real
        assert p is not None
        assert one.uncertainty == pytest.approx(bits(p), abs=1e-9)
    audit = [one for one in queue.items if one.selected_for == "random_audit"]
    assert {one.detection_id for one in audit} <= unreviewed
    least = min(one.score for one in queue.items if one.selected_for == "queue")
    assert all(score <= least + 1e-9 for score in scores_left(sky.engine, queue, unreviewed))


def bits(p: float) -> float:
    return 0.0 if p in (0, 1) else -(p * math.log2(p) + (1 - p) * math.log2(1 - p))


def scores_left(engine: Engine, queue: ReviewQueue, unreviewed: set[str]) -> list[float]:
    """Scores of the detections nobody reviewed that are in no place of the queue, rarity apart."""
    chosen = {one.detection_id for one in queue.items}
    statement = text("SELECT id, CAST(confidence_score AS float8) AS p FROM detections")
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    return [bits(row.p) for row in rows if str(row.id) in unreviewed - chosen]


def test_the_same_request_at_the_same_time_draws_the_same(sky: Any, unreviewed: set[str]) -> None:
    again = PARAMS.model_copy(update={"repeat_after_days": 0.0})

    first, second = make(sky, again), make(sky, again)
    other = make(sky, again.model_copy(update={"salt": "other"}))

    assert [one.detection_id for one in first.items] == [one.detection_id for one in second.items]
    drawn = [
        {one.detection_id for one in queue.items if one.selected_for == "random_audit"}
        for queue in (first, other)
    ]
    assert drawn[0] != drawn[1]


def test_what_was_shown_comes_again_only_later(sky: Any, unreviewed: set[str]) -> None:
    now = datetime.now(UTC)
    first = {one.detection_id for one in make(sky, as_of=now).items}

    assert first.isdisjoint(one.detection_id for one in make(sky, as_of=now).items)
    after = make(sky, as_of=now + timedelta(days=15))
    assert first & {one.detection_id for one in after.items}


def test_a_reviewer_sees_neither_score_nor_reason_and_no_order(
    sky: Any, unreviewed: set[str]
) -> None:
    queue = make(sky)

    rows = list(csv.DictReader(io.StringIO(as_csv(queue, reasons=False))))

    assert set(rows[0]) == {
        *("position", "detection_id", "observation_id", "survey", "band", "observation_time"),
        *("ra_deg", "dec_deg"),
    }
    assert set(json.loads(json.dumps(queue.to_dict(reasons=False)))["items"][0]) == set(rows[0])
    assert "selected_for" in as_csv(queue, reasons=True).splitlines()[0]
    scores = np.array([one.score for one in queue.items])
    assert abs(np.corrcoef(scores, np.arange(len(scores)))[0, 1]) < 0.5


def test_a_rare_class_comes_first(sky: Any, unreviewed: set[str]) -> None:
    again = PARAMS.model_copy(update={"repeat_after_days": 0.0})
    rare = next(
        one.detection_id for one in make(sky, again).items if one.detection_id in unreviewed
    )
    certain = (
        "UPDATE detections SET detection_type = 'TRANSIENT', confidence_score = 0.99 WHERE id = :id"
    )
    with sky.engine.begin() as connection:
        connection.execute(text(certain), {"id": rare})

    (found,) = [one for one in make(sky, again).items if one.detection_id == rare]

    assert found.class_ == "transient_other"
    assert found.rarity > 0.5
    assert found.uncertainty < 0.1


def test_samples_say_that_a_queue_showed_them(
    sky: Any, unreviewed: set[str], collect: Callable[..., PublishedDataset]
) -> None:
    queue = make(sky, as_of=datetime.now(UTC))
    asked = {UUID(one.detection_id): one.selected_for for one in queue.items}
    with sky.engine.begin() as connection:
        for number, detection in enumerate(asked):
            connection.execute(
                text(
                    "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label,"
                    " confidence_level) VALUES (gen_random_uuid(), :id, 'r1', :valid, :label, 'HIGH')"
                ),
                {
                    "id": detection,
                    "valid": number % 2 == 0,
                    "label": ("supernova", "artifact")[number % 2],
                },
            )

    published = collect(survey_ids=["sim_ztf"], confidence_threshold=0.5)

    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    samples = read_samples(sky.store, record.samples_key).to_pylist()
    told = {
        UUID(one["detection_id"]): one["selected_for"] for one in samples if one["detection_id"]
    }
    both = asked.keys() & told.keys()
    assert len(both) > 10
    assert {one: told[one] for one in both} == {one: asked[one] for one in both}
    assert Counter(told.values())["all"] > 10
    seen = read_review_queue(sky.engine, queue.id)
    assert all(one.reviewed for one in seen.items)


def test_nothing_left_and_nothing_there_are_said(sky: Any) -> None:
    with pytest.raises(CollectionRefusedError, match="no survey named nowhere"):
        make(sky, ReviewQueueParams(survey_ids=["nowhere"]))
    with pytest.raises(CollectionRefusedError, match="nothing is left to review"):
        make(sky, as_of=datetime(1990, 1, 1, tzinfo=UTC))
    for wrong in ("no uuid", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(QueueNotFoundError):
            read_review_queue(sky.engine, wrong)
