"""Which subjects a collection takes from a database, and under what reason the others leave."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from astrid_training.cone import inside_cone
from astrid_training.params import Cone, TrainingDataCollectionParams
from astrid_training.selection import read_notes, select_subjects

NOW = datetime(2040, 1, 1, tzinfo=UTC)  # after all that tests do
START = datetime(2024, 5, 1, tzinfo=UTC)
Select = Callable[..., pa.Table]


@pytest.fixture
def select(sky: Any) -> Select:
    """Select from the small sky, everything unless told otherwise."""

    def run(as_of: datetime = NOW, **fields: Any) -> pa.Table:
        wide = {"survey_ids": ["sim_ztf"], "confidence_threshold": 0.5}
        params = TrainingDataCollectionParams.model_validate({**wide, **fields})
        with sky.engine.connect() as connection:
            return select_subjects(connection, params, as_of)

    return run


def execute(engine: Engine, statement: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def reasons(table: pa.Table) -> Counter[str | None]:
    return Counter(table["reason"].to_pylist())


def labels_of(table: pa.Table) -> dict[str, float]:
    return dict(zip(table["sample_key"].to_pylist(), table["p_real"].to_pylist(), strict=True))


def test_nothing_leaves_the_small_sky_but_for_what_its_reviews_say(select: Select) -> None:
    assert set(reasons(select())) <= {
        None,
        "ambiguous",
        "contradiction",
        "unmapped_label",
        "needs_second_review",
    }


@pytest.mark.parametrize(
    ("damage", "fields", "reason"),
    [
        ("UPDATE detections SET prediction_metadata = '{\"program_id\": 2}'", {}, "proprietary"),
        (
            'UPDATE detections SET prediction_metadata = \'{"proprietary_until": "2050-01-01"}\'',
            {},
            "proprietary",
        ),
        (
            'UPDATE detections SET prediction_metadata = \'{"proprietary_until": "soon"}\'',
            {},
            "proprietary",
        ),
        ("UPDATE observations SET seeing = 3", {"max_seeing_arcsec": 2.9}, "poor_seeing"),
        ("UPDATE observations SET seeing = NULL", {"max_seeing_arcsec": 9}, "poor_seeing"),
        ("UPDATE observations SET airmass = 2.1", {"max_airmass": 2}, "high_airmass"),
        ("UPDATE observations SET airmass = NULL", {"max_airmass": 9}, "high_airmass"),
        ("UPDATE validation_events SET label = 'blob'", {}, "unmapped_label"),
        ("UPDATE validation_events SET label = 'SN', is_valid = false", {}, "contradiction"),
        (
            "UPDATE validation_events SET confidence_level = 'LOW', label = '?'",
            {"confidence_threshold": 0.999},
            "below_confidence",
        ),
        (
            "UPDATE validation_events SET is_valid = true, label = 'SN'",
            {"anomaly_types": ["agn"]},
            "class_not_selected",
        ),
        (
            "UPDATE validation_events SET is_valid = true, label = NULL",
            {"anomaly_types": ["agn"]},
            "class_unknown",
        ),
        ("UPDATE detections SET confidence_score = 0.3", {"min_model_score": 0.4}, "below_model_score"),
        (
            "UPDATE detections SET prediction_metadata = '{\"has_score\": false}'",
            {"min_model_score": 0.1},
            "below_model_score",
        ),
        ("UPDATE detections SET updated_at = '2041-01-01'", {"strict_as_of": True}, "mutated_after_as_of"),
        ("UPDATE difference_runs SET status = 'FAILED'", {}, "no_difference"),
        ("UPDATE observations SET fits_file_path = NULL, fits_url = ''", {"source_policy": "raw"}, "no_science"),
        ("DELETE FROM preprocess_runs", {"source_policy": "processed"}, "no_processed"),
    ],
)  # fmt: skip
def test_each_way_to_leave_has_its_reason_and_tells_the_facts(
    sky: Any, select: Select, damage: str, fields: dict[str, Any], reason: str
) -> None:
    before = reasons(select())[reason]
    execute(sky.engine, damage)

    table = select(**fields)

    rows = [row for row in table.to_pylist() if row["reason"] == reason]
    assert len(rows) > before
    assert all(row["detail"] and row["step"] == "fetch_validated_detections" for row in rows)
    assert reasons(table)[None] + sum(
        count for name, count in reasons(table).items() if name
    ) == len(table)


def test_proprietary_data_are_taken_when_asked_for_and_once_they_are_public(
    sky: Any, select: Select
) -> None:
    execute(
        sky.engine,
        'UPDATE detections SET prediction_metadata = \'{"program_id": 2, '
        '"proprietary_until": "2040-02-01T00:00:00Z"}\'',
    )

    assert reasons(select())["proprietary"] == len(select())
    assert reasons(select(include_proprietary=True))["proprietary"] == 0
    later = select(datetime(2040, 2, 2, tzinfo=UTC))
    assert reasons(later)["proprietary"] == 0
    assert set(later["program_id"].to_pylist()) == {"2"}


def test_the_largest_score_of_a_subjects_detections_is_what_a_limit_is_held_against(
    sky: Any, select: Select
) -> None:
    table = select(min_model_score=0.5)

    kept = [row for row in table.to_pylist() if row["reason"] is None]
    left = [row for row in table.to_pylist() if row["reason"] == "below_model_score"]
    assert min(row["model_score"] for row in kept) >= 0.5 > max(row["model_score"] for row in left)
    assert {row["selected_for"] for row in kept} == {"score_cut"}
    assert read_notes(table)["min_model_score"] == 0.5


def test_labels_do_not_depend_on_thresholds_but_on_what_is_in_scope(select: Select) -> None:
    assert labels_of(select()) == labels_of(
        select(confidence_threshold=0.9, max_samples=7, min_model_score=0.8)
    )


def test_a_cap_takes_evenly_and_says_so(select: Select) -> None:
    table = select(max_samples=40)

    kept = [row for row in table.to_pylist() if row["reason"] is None]
    assert len(kept) == 40
    assert {row["selected_for"] for row in kept} == {"stratified"}
    classes = Counter(row["anomaly_type"] if row["is_anomaly"] else "bogus" for row in kept)
    assert max(classes.values()) - sorted(classes.values())[-2] <= 1
    assert set(select()["selected_for"].to_pylist()) == {"all"}


def test_what_the_earliest_review_says_why_a_subject_was_shown_is_kept(
    sky: Any, select: Select
) -> None:
    keys = select()["detection_id"].to_pylist()[:2]
    for number, (key, why) in enumerate(((keys[0], "random_audit"), (keys[1], "queue"))):
        for later, reason in ((0, why), (1, "queue"), (2, "whim")):
            execute(
                sky.engine,
                "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, tags, "
                "created_at) VALUES (gen_random_uuid(), :key, :who, true, CAST(:tags AS jsonb), :at)",
                key=key,
                who=f"auditor-{number}-{later}",
                tags=json.dumps({"selected_for": reason}),
                at=START - timedelta(days=300 - later),
            )

    table = select()

    shown = dict(
        zip(table["detection_id"].to_pylist(), table["selected_for"].to_pylist(), strict=True)
    )
    assert [shown[key] for key in keys] == ["random_audit", "queue"]
    assert set(shown.values()) == {"random_audit", "queue", "all"}


def test_a_cone_takes_whole_subjects_within_it(select: Select) -> None:
    everything = select().to_pylist()
    centre = everything[0]
    cone = Cone(ra_deg=centre["ra_deg"], dec_deg=centre["dec_deg"], radius_deg=0.03)

    table = select(cone=cone)

    found = set(table["sample_key"].to_pylist())
    ra, dec = (
        pa.array([row[f"{name}_deg"] for row in everything]).to_numpy() for name in ("ra", "dec")
    )
    inside = inside_cone(cone, ra, dec)
    assert 0 < len(found) < len(everything)
    assert found == {
        row["sample_key"] for row, is_in in zip(everything, inside, strict=True) if is_in
    }
    votes = {row["sample_key"]: row["votes"] for row in everything}
    assert all(row["votes"] == votes[row["sample_key"]] for row in table.to_pylist())


def test_adjudicated_verdicts_are_marked_by_a_tag(sky: Any, select: Select) -> None:
    real = next(row for row in select().to_pylist() if row["is_anomaly"] and row["reason"] is None)
    execute(
        sky.engine,
        "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, label, tags) "
        "VALUES (gen_random_uuid(), :key, 'panel', false, 'dipole', '{\"label_source\": \"gold\"}')",
        key=real["detection_id"],
    )
    later = datetime.now(UTC) + timedelta(minutes=1)

    after = {row["sample_key"]: row for row in select(later).to_pylist()}[real["sample_key"]]

    assert (after["is_anomaly"], after["p_real"], after["tier"]) == (False, 0.0, "gold")
    assert (after["anomaly_type"], after["weight"]) == ("dipole", 1.0)


@pytest.mark.parametrize("change", ["UPDATE validation_events SET is_valid = NOT is_valid", "DELETE FROM validation_events"])  # fmt: skip
def test_a_review_that_was_changed_or_deleted_since_is_told_as_it_was(
    sky: Any, select: Select, change: str
) -> None:
    before = select()
    then = database_time(sky.engine)

    execute(sky.engine, change)

    assert (
        select(then)
        .drop_columns("mutated_after_as_of")
        .equals(select(then).drop_columns("mutated_after_as_of"))
    )
    assert labels_of(select(then)) == labels_of(before)
    assert select(then)["votes"].equals(before["votes"])
    assert labels_of(select(database_time(sky.engine))) != labels_of(before)


def database_time(engine: Engine) -> datetime:
    with engine.connect() as connection:
        at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return at


def test_without_the_log_a_changed_review_is_marked_as_perhaps_another(
    sky: Any, select: Select
) -> None:
    execute(sky.engine, "DROP TRIGGER training_log_label_event ON validation_events")
    then = database_time(sky.engine)
    before = select(then)
    execute(
        sky.engine,
        "UPDATE validation_events SET is_valid = NOT is_valid, updated_at = clock_timestamp()",
    )

    after = select(then)

    assert sum(before["mutated_after_as_of"].to_pylist()) == 0
    by_people = [votes for votes in after["votes"].to_pylist() if "legacy:detections" not in votes]
    assert sum(after["mutated_after_as_of"].to_pylist()) == len(by_people) > 100
    assert read_notes(after)["mutated_after_as_of"] == len(by_people)


def test_odd_texts_of_reviewers_arrive_as_they_are(sky: Any, select: Select) -> None:
    odd = 'a, "b"\nüñ\\'
    execute(sky.engine, "UPDATE validation_events SET label = :odd", odd=odd)
    execute(sky.engine, "UPDATE validation_events SET validator_id = :odd || validator_id", odd=odd)

    table = select()

    votes = [vote for votes in table["votes"].to_pylist() for vote in json.loads(votes)]
    assert {vote["label"] for vote in votes if vote["validator"] != "legacy:detections"} == {odd}
    assert all(vote["validator"].startswith((odd, "legacy")) for vote in votes)
    assert read_notes(table)["unmapped_words"][odd] > 0
