"""What AstrID's rows may hold: paths in every form, statuses in every case, NULL wherever it may be."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.records import PublishedDataset
from astrid_training.simulate.rows import TABLES

Collect = Callable[..., PublishedDataset]
PATHS = {
    "observations": "fits_file_path",
    "difference_runs": "difference_image_path",
    "preprocess_runs": "processed_fits_path",
}


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("file://{store}/", id="file address"),
        pytest.param("{store}/", id="absolute", marks=pytest.mark.slow),
    ],
)
def test_the_form_of_a_path_changes_no_pixel(
    sky: Any, db: Any, collect: Collect, form: str
) -> None:
    plain = collect()
    before = form.format(store=sky.home / "store")

    db.execute(
        *(
            f"UPDATE {table} SET {column} = '{before}' || {column}"
            for table, column in PATHS.items()
        ),
    )
    other = collect(name="other")

    assert other.digests["source"] != plain.digests["source"]
    assert other.version_id == plain.version_id


@pytest.mark.parametrize("nothing", ["NULL", pytest.param("''", marks=pytest.mark.slow)])
def test_without_a_stored_file_the_address_leads_to_it(
    db: Any, collect: Collect, nothing: str
) -> None:
    plain = collect(source_policy="raw")
    db.execute(f"UPDATE observations SET fits_file_path = {nothing}")

    assert collect(source_policy="raw").version_id == plain.version_id


@pytest.mark.parametrize("nothing", ["NULL", "''"])
def test_an_observation_without_any_file_costs_its_own_samples(
    db: Any, collect: Collect, nothing: str
) -> None:
    one = "(SELECT observation_id FROM difference_runs ORDER BY observation_id LIMIT 1)"
    db.execute(
        f"UPDATE observations SET fits_file_path = {nothing}, fits_url = '' WHERE id = {one}",
        f"UPDATE preprocess_runs SET processed_fits_path = {nothing} WHERE observation_id = {one}",
    )

    published = collect()

    assert {row.reason: row.count for row in published.funnel}["no_science"] > 0
    assert published.total_samples > 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("completed", "processed"),
        ("COMPLETED", "processed"),
        ("PreprocessRunStatus.COMPLETED", "processed"),
        ("failed", "raw"),
        ("RUNNING", "raw"),
        ("PreprocessRunStatus.PENDING", "raw"),
    ],
)
def test_a_preprocess_run_counts_once_it_has_completed(db: Any, status: str, kind: str) -> None:
    db.execute(f"UPDATE preprocess_runs SET status = '{status}'")

    assert set(db.select()["science_kind"].to_pylist()) == {kind}


@pytest.mark.parametrize(
    ("status", "path", "completed_at"),
    [
        ("failed", "'later.fits'", "now()"),
        ("completed", "NULL", "now()"),
        ("completed", "''", "now()"),
        ("completed", "'later.fits'", "now() + interval '1 day'"),  # not known at as_of
        ("completed", "'earlier.fits'", "'2000-01-01'"),
        ("completed", "'undated.fits'", "NULL"),
    ],
)
def test_a_run_without_a_newer_image_hides_none(
    db: Any, status: str, path: str, completed_at: str
) -> None:
    before = db.select()

    db.execute(
        "INSERT INTO preprocess_runs (id, observation_id, status, calibration_applied, wcs_aligned, "
        "retry_count, processed_fits_path, completed_at) SELECT gen_random_uuid(), observation_id, "
        f"'{status}', true, true, 0, {path}, {completed_at} FROM preprocess_runs",
    )

    assert db.select()["science_path"].equals(before["science_path"])


def test_of_several_preprocess_runs_the_newest_is_used(db: Any) -> None:
    db.execute(
        "INSERT INTO preprocess_runs (id, observation_id, status, calibration_applied, wcs_aligned, "
        "retry_count, processed_fits_path, completed_at) SELECT gen_random_uuid(), observation_id, "
        "'COMPLETED', true, true, 1, 'again/' || id, now() FROM preprocess_runs",
    )

    paths = db.select()["science_path"].to_pylist()
    assert all(path.startswith("again/") for path in paths)


def nullable(db: Any, table: str) -> list[str]:
    found = db.rows(
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass "
        "AND attnum > 0 AND NOT attnotnull ORDER BY attnum",
    )
    return [name for (name,) in found]


def test_null_in_every_column_that_may_hold_it_leaves_a_dataset(
    sky: Any, db: Any, collect: Collect
) -> None:
    db.execute("UPDATE observations SET fits_url = fits_file_path WHERE fits_file_path <> ''")
    for table in TABLES:
        names = [n for n in nullable(db, table) if n != "difference_image_path"]
        if names:
            db.execute(f"UPDATE {table} SET " + ", ".join(f"{n} = NULL" for n in names))

    published = collect()

    assert published.total_samples > 50
    assert set(published.classes) == {"bogus", "unknown"}  # nobody's label is left
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    assert {
        sample.labels["is_anomaly"] for sample in TrainingDatasetManager(sky.engine).samples(record)
    } == {True, False}


def test_without_difference_images_every_subject_leaves_for_that_reason(db: Any) -> None:
    db.execute("UPDATE difference_runs SET difference_image_path = NULL")

    reasons = Counter(db.select()["reason"].to_pylist())

    assert None not in reasons
    assert reasons["no_difference"] > 50


def test_rows_that_hold_little_but_nulls_are_subjects_all_the_same(db: Any) -> None:
    found = db.select(survey_ids=["skymap"]).to_pylist()

    seen = {UUID(row["detection_id"]).int & 0xF: row for row in found}
    assert sorted(seen) == [1, 2]  # the third was never reviewed
    assert (seen[1]["is_anomaly"], seen[1]["anomaly_type"]) == (True, "supernova")
    assert seen[2]["is_anomaly"] is False
    assert {row["reason"] for row in found} == {"no_difference"}


def test_the_status_of_an_observation_selects_nothing(db: Any) -> None:
    before = db.select()

    db.execute(
        "UPDATE observations SET status = (ARRAY['differenced', 'DIFFERENCED', "
        "'ObservationStatus.DIFFERENCED', 'archived', 'FAILED'])[1 + abs(hashtext(id::text)) % 5]",
    )

    assert db.select().equals(before)


def test_a_status_counts_where_nobody_left_a_review(db: Any) -> None:
    statuses = ("PENDING", "VALIDATING", "VALIDATED", "REJECTED", "CONFIRMED", "ARCHIVED")
    in_order = ", ".join(f"'{name}'" for name in statuses)
    db.execute(
        "DELETE FROM validation_events",
        "UPDATE detections SET is_validated = false, human_label = NULL, status = "
        f"(ARRAY[{in_order}])[1 + n % 6]::detection_status "
        "FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM observations) o "
        "WHERE o.id = observation_id",
    )
    table = db.select()
    by_status: dict[str, set[bool]] = {}
    status = dict(db.rows("SELECT id::text, status::text FROM detections"))
    for row in table.to_pylist():
        by_status.setdefault(status[row["detection_id"]], set()).add(row["is_anomaly"])
    assert by_status == {"VALIDATED": {True}, "CONFIRMED": {True}, "REJECTED": {False}}

    db.execute("UPDATE detections SET is_validated = true")
    flagged = db.select()
    assert flagged["sample_key"].equals(table["sample_key"])
    assert flagged["p_real"].equals(table["p_real"])

    db.execute("UPDATE detections SET status = 'PENDING'")
    assert db.select().num_rows == 0
