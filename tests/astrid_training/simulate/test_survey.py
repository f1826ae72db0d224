"""A simulated survey in a real database: complete, consistent, and never twice."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from sqlalchemy import Engine, text

from astrid_training.simulate import SimulationReport, SkyPlan, SurveyNameTakenError, simulate

PLAN = SkyPlan(fields=2, epochs=3, frame_size=(220, 260), stars=40, galaxies=10)


class Files(dict[str, bytes]):
    """A store that keeps what it is given."""

    def put(self, key: str, data: bytes) -> str:
        self[key] = data
        return key


def _run(database: Engine, plan: SkyPlan, files: Files, truth: Path) -> SimulationReport:
    with database.begin() as connection:
        return simulate(plan, connection, files.put, truth)


def _rows(database: Engine, statement: str) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(text(statement)))


def test_a_second_run_adds_no_row_and_stores_the_same_bytes(
    database: Engine, tmp_path: Path
) -> None:
    files, again = Files(), Files()
    first = _run(database, PLAN, files, tmp_path / "a" / "truth.jsonl")
    second = _run(database, PLAN, again, tmp_path / "b" / "truth.jsonl")

    assert first.added == first.rows
    assert second.rows == first.rows
    assert not any(second.added.values())
    assert files == again
    assert first.truth_path.read_bytes() == second.truth_path.read_bytes()
    for table, count in first.rows.items():
        (found,) = _rows(database, f"SELECT count(*) FROM {table}")
        assert found.count == count


def test_a_simulated_survey_is_not_active(database: Engine, tmp_path: Path) -> None:
    _run(database, PLAN, Files(), tmp_path / "truth.jsonl")

    assert _rows(database, "SELECT name, is_active FROM surveys") == [("sim_ztf", False)]


def test_a_larger_plan_adds_only_its_new_fields(database: Engine, tmp_path: Path) -> None:
    small = _run(database, PLAN, Files(), tmp_path / "truth.jsonl")
    large = _run(database, replace(PLAN, fields=3), Files(), tmp_path / "truth.jsonl")

    assert large.added["surveys"] == 0
    assert large.added["observations"] == 1 + PLAN.epochs
    assert large.added["detections"] == large.rows["detections"] - small.rows["detections"]


def test_every_path_in_a_row_is_a_stored_file(database: Engine, tmp_path: Path) -> None:
    files = Files()
    _run(database, PLAN, files, tmp_path / "truth.jsonl")

    science = _rows(database, "SELECT fits_file_path FROM observations")
    difference = _rows(database, "SELECT difference_image_path FROM difference_runs")
    processed = _rows(database, "SELECT processed_fits_path FROM preprocess_runs")
    assert {row[0] for row in science + difference} == set(files)
    assert {row[0] for row in processed} <= {row[0] for row in science}


def test_a_detections_pixel_is_where_the_wcs_of_its_file_puts_it(
    database: Engine, tmp_path: Path
) -> None:
    files = Files()
    _run(database, PLAN, files, tmp_path / "truth.jsonl")
    found = _rows(
        database,
        "SELECT d.ra, d.dec, d.pixel_x, d.pixel_y, r.difference_image_path AS path FROM detections d"
        " JOIN difference_runs r USING (observation_id)",
    )

    assert found
    for row in found:
        hdu = fits.open(BytesIO(files[row.path]))[0]
        x, y = WCS(hdu.header).all_world2pix(float(row.ra), float(row.dec), 0)
        assert abs(x - row.pixel_x) <= 0.501
        assert abs(y - row.pixel_y) <= 0.501
        assert 0 <= row.pixel_x < hdu.data.shape[1]
        assert 0 <= row.pixel_y < hdu.data.shape[0]


def test_two_model_versions_find_mostly_the_same_things(database: Engine, tmp_path: Path) -> None:
    _run(database, PLAN, Files(), tmp_path / "truth.jsonl")
    positions: dict[str, dict[tuple[str, int], tuple[float, float]]] = {"v1": {}, "v2": {}}
    rows = _rows(database, "SELECT id, model_version, ra, dec FROM detections")
    truth = {line["detection_id"]: line for line in _truth(tmp_path)}
    for row in rows:
        line = truth[str(row.id)]
        place = (line["object"], line["epoch"])
        positions[row.model_version][place] = (float(row.ra), float(row.dec))

    both = positions["v1"].keys() & positions["v2"].keys()
    assert 0.8 < len(both) / len(positions["v1"].keys() | positions["v2"].keys()) < 1
    for place in both:
        (ra1, dec1), (ra2, dec2) = positions["v1"][place], positions["v2"][place]
        ra_gap = ((ra1 - ra2 + 180) % 360 - 180) * np.cos(np.radians(dec1))
        assert 0 < np.hypot(ra_gap, dec1 - dec2) * 3600 < 1.0


def _truth(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "detection"]


def test_the_truth_has_one_line_a_detection_an_object_and_a_reviewer(
    database: Engine, tmp_path: Path
) -> None:
    report = _run(database, PLAN, Files(), tmp_path / "truth.jsonl")
    rows = _rows(database, "SELECT id, ra, dec FROM detections")
    places = {str(row.id): (float(row.ra), float(row.dec)) for row in rows}
    lines = [json.loads(line) for line in report.truth_path.read_text().splitlines()]

    assert {line["detection_id"] for line in _truth(tmp_path)} == set(places)
    assert {line["object"] for line in _truth(tmp_path)} <= {
        line["object"] for line in lines if line["kind"] == "object"
    }
    assert sum(line["kind"] == "reviewer" for line in lines) == PLAN.reviewers
    for line in _truth(tmp_path):
        assert line["is_real"] == (line["artifact"] is None)
        assert line["radius_px"] > 0
        ra, dec = places[line["detection_id"]]
        assert abs(ra - line["ra"]) * np.cos(np.radians(dec)) * 3600 < 1
        assert abs(dec - line["dec"]) * 3600 < 1


def test_a_detection_keeps_its_latest_review_as_astrid_does(
    database: Engine, tmp_path: Path
) -> None:
    _run(database, PLAN, Files(), tmp_path / "truth.jsonl")
    latest = _rows(
        database,
        "SELECT DISTINCT ON (d.id) d.status, d.is_validated, d.human_label, e.is_valid, e.label"
        " FROM detections d JOIN validation_events e ON e.detection_id = d.id"
        " ORDER BY d.id, e.created_at DESC",
    )
    without = _rows(
        database,
        "SELECT d.status FROM detections d LEFT JOIN validation_events e ON e.detection_id = d.id"
        " WHERE e.id IS NULL",
    )

    for row in latest:
        assert row.is_validated == row.is_valid
        assert row.human_label == row.label
        assert row.status in ({"VALIDATED", "CONFIRMED"} if row.is_valid else {"REJECTED"})
    assert "PENDING" in {row.status for row in without}


def test_no_time_is_the_wall_clocks(database: Engine, tmp_path: Path) -> None:
    report = _run(database, PLAN, Files(), tmp_path / "truth.jsonl")

    for table in report.rows:
        years = _rows(
            database,
            f"SELECT DISTINCT date_part('year', t) AS year FROM {table},"
            " unnest(ARRAY[created_at, updated_at]) AS t",
        )
        assert {row.year for row in years} == {2024}


def test_legacy_rows_are_decided_without_an_event_and_one_reviewer_makes_none(
    database: Engine, tmp_path: Path
) -> None:
    decided = (
        "SELECT d.id FROM detections d JOIN observations o ON o.id = d.observation_id"
        " JOIN surveys s ON s.id = o.survey_id"
        " LEFT JOIN validation_events e ON e.detection_id = d.id"
        " WHERE e.id IS NULL AND d.status IN ('VALIDATED', 'CONFIRMED', 'REJECTED')"
        " AND s.name = '{survey}'"
    )
    crowd = replace(PLAN, legacy_share=0.3)
    alone = replace(crowd, survey="sim_one", single_reviewer=True)
    _run(database, crowd, Files(), tmp_path / "truth.jsonl")
    _run(database, alone, Files(), tmp_path / "truth.jsonl")

    assert _rows(database, decided.format(survey="sim_ztf"))
    assert not _rows(database, decided.format(survey="sim_one"))


def test_a_survey_that_was_not_simulated_is_never_mixed_with_one(
    database: Engine, tmp_path: Path
) -> None:
    with database.begin() as connection:
        connection.execute(
            text("INSERT INTO surveys (id, name, is_active) VALUES (:id, 'sim_ztf', true)"),
            {"id": uuid4()},
        )

    with pytest.raises(SurveyNameTakenError, match="name of its own"):
        _run(database, PLAN, Files(), tmp_path / "truth.jsonl")

    assert not _rows(database, "SELECT 1 FROM observations")


def test_progress_is_told_after_each_field(database: Engine, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with database.begin() as connection:
        simulate(
            PLAN,
            connection,
            Files().put,
            tmp_path / "truth.jsonl",
            progress=lambda done, of: told.append((done, of)),
        )

    assert told == [(1, 2), (2, 2)]
