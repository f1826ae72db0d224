"""A fault that was planted shows in the report where it should, and nowhere else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy import text

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.records import PublishedDataset
from astrid_training.report import report_context, write_report
from astrid_training.samples import read_samples

pytestmark = pytest.mark.slow

Collect = Callable[..., PublishedDataset]
Told = dict[str, Any]

FLIP = """
UPDATE validation_events SET is_valid = NOT is_valid, label = NULL
WHERE mod(abs(hashtext(CAST(id AS text))), 10) = 0
"""
SCIENCE = "SELECT fits_file_path FROM observations WHERE filter_band = 'ztf_r' AND id IN (SELECT observation_id FROM detections)"
COPIES = """
CREATE TEMPORARY TABLE twice ON COMMIT DROP AS
    SELECT o.id AS old, gen_random_uuid() AS new FROM observations o
    WHERE fits_file_path LIKE '%%/f000/e%%';
CREATE TEMPORARY TABLE found ON COMMIT DROP AS
    SELECT d.id AS old, gen_random_uuid() AS new, t.new AS observation FROM detections d JOIN twice t ON t.old = d.observation_id;
INSERT INTO observations SELECT o.* FROM twice t, observations s,
    jsonb_populate_record(s, jsonb_build_object('id', t.new, 'observation_id', s.observation_id || '_again')) o
    WHERE s.id = t.old;
INSERT INTO difference_runs SELECT r.* FROM twice t, difference_runs s,
    jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'observation_id', t.new)) r
    WHERE s.observation_id = t.old;
INSERT INTO detections SELECT d.* FROM found f, detections s,
    jsonb_populate_record(s, jsonb_build_object('id', f.new, 'observation_id', f.observation)) d
    WHERE s.id = f.old;
INSERT INTO validation_events SELECT v.* FROM found f, validation_events s,
    jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'detection_id', f.new)) v
    WHERE s.detection_id = f.old;
"""


def flip_a_tenth_of_the_verdicts(sky: Any) -> None:
    _execute(sky, FLIP)


def blur_what_one_bands_headers_say(sky: Any) -> None:
    with sky.engine.connect() as connection:
        paths = connection.execute(text(SCIENCE)).scalars().all()
    for path in paths:
        file = sky.home / "store" / path
        with fits.open(file, mode="update") as hdus:
            header = next(hdu.header for hdu in hdus if "SEEING" in hdu.header)
            header["SEEING"] *= 1.4


def ingest_a_field_twice(sky: Any) -> None:
    _execute(sky, COPIES)


def lose_a_survey(sky: Any) -> None:
    """Enter a survey of which nothing was reviewed."""
    _execute(
        sky,
        "INSERT INTO surveys SELECT s.* FROM surveys o, jsonb_populate_record(o, "
        "jsonb_build_object('id', gen_random_uuid(), 'name', 'hst')) s",
    )


def _execute(sky: Any, statements: str) -> None:
    with sky.engine.begin() as connection:
        connection.exec_driver_sql(statements)


@pytest.fixture
def told(
    sky: Any, collect: Collect, parse: Callable[[Path], Any], tmp_path: Path
) -> Callable[..., Told]:
    """Collect, report, and return what is read from the page."""

    def tell(**fields: object) -> Told:
        published = collect(**fields)
        record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
        samples = read_samples(sky.store, record.samples_key)
        context = report_context(sky.engine, sky.store, record, samples)
        path = write_report(record, samples, sky.packs, tmp_path / f"{record.id}.html", context)
        return _read(parse(path).text)

    return tell


def _read(page: str) -> Told:
    numbers = {
        "against the model": r"It says otherwise in ([\d.]+)%",
        "agreeing pairs": r"([\d.]+)% of their pairs agree",
        "seeing g": r"sim_ztf, band ztf_g \d+ ([\d.]+)",
        "seeing r": r"sim_ztf, band ztf_r \d+ ([\d.]+)",
        "duplicates": r"duplicate \([\w ]+, (\d+) in all\)",
    }
    found = {name: re.search(pattern, page) for name, pattern in numbers.items()}
    missing = re.search(r"without a single sample: (\w+)", page)
    return {
        **{name: float(match[1]) if match else 0.0 for name, match in found.items()},
        "missing": missing[1] if missing else "",
    }


def _changed(before: Told, after: Told) -> set[str]:
    """Return what differs by more than a sample or two that came or went would make it."""
    least = {
        "against the model": 3,
        "agreeing pairs": 3,
        "seeing g": 0.15,
        "seeing r": 0.15,
        "duplicates": 0,
    }
    return {name for name, by in least.items() if abs(after[name] - before[name]) > by} | (
        {"missing"} if before["missing"] != after["missing"] else set()
    )


@pytest.mark.parametrize(
    ("plant", "asked", "signs"),
    [
        (flip_a_tenth_of_the_verdicts, {}, {"agreeing pairs"}),
        (blur_what_one_bands_headers_say, {}, {"seeing r"}),
        (ingest_a_field_twice, {}, {"duplicates"}),
        (lose_a_survey, {"survey_ids": ["sim_ztf", "hst"], "name": "both"}, {"missing"}),
    ],
)
def test_each_fault_shows_by_its_own_sign(
    told: Callable[..., Told],
    sky: Any,
    plant: Callable[[Any], None],
    asked: dict[str, Any],
    signs: set[str],
) -> None:
    before = told()
    plant(sky)
    after = told(**asked)

    assert _changed(before, after) == signs, (before, after)
