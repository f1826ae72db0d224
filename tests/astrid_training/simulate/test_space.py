"""Simulated HST and JWST: the real telescopes' keywords, units and planes, and one truth in all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from sqlalchemy import Engine, text

from astrid_training.fits import check_fits
from astrid_training.simulate import SkyPlan, SurveyNameTakenError, simulate
from astrid_training.simulate.conditions import draw_reference
from astrid_training.simulate.reviewers import draw_reviewers
from astrid_training.simulate.rows import Frame
from astrid_training.simulate.survey import SimulatedField, make_field
from astrid_training.surveys import profile_for, read_frame

BASE = SkyPlan(epochs=4)
FIELDS = 3
MISSING = {"hst": 2, "jwst": 1}
FULL = {"hst": 256, "jwst": 2}
TELESCOPES = ("hst", "jwst")


@dataclass(frozen=True)
class Survey:
    """Some fields of a simulated survey."""

    name: str
    plan: SkyPlan
    files: dict[str, bytes]
    fields: tuple[SimulatedField, ...]

    @property
    def frames(self) -> list[Frame]:
        return [frame for field in self.fields for frame in field.frames]

    def open(self, path: str) -> fits.HDUList:
        return fits.open(BytesIO(self.files[path]))


@pytest.fixture(scope="module", params=TELESCOPES)
def survey(request: pytest.FixtureRequest) -> Survey:
    plan, files = BASE.named(request.param), {}

    def put(key: str, data: bytes) -> str:
        files[key] = data
        return key

    reviewers = draw_reviewers(plan)
    made = tuple(make_field(plan, index, reviewers, put) for index in range(FIELDS))
    return Survey(request.param, plan, files, made)


def ab_zero_point(name: str, header: fits.Header) -> float:
    """Return the AB magnitude of one unit by each telescope's own handbook."""
    if name == "jwst":
        return float(-2.5 * np.log10(header["PIXAR_SR"] * 1e6) + 8.9)
    return float(-2.5 * np.log10(header["PHOTFLAM"]) - 5 * np.log10(header["PHOTPLAM"]) - 2.408)


def mad(image: Any) -> float:
    return float(1.4826 * np.nanmedian(np.abs(image - np.nanmedian(image))))


def test_files_have_the_planes_of_the_real_ones_and_pass_the_guard(
    survey: Survey, tmp_path: Path
) -> None:
    dtype, units = {"hst": ("int16", "ELECTRONS/S"), "jwst": ("uint32", "MJy/sr")}[survey.name]
    for path in survey.files:
        hdus = survey.open(path)
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "DQ"]
        assert hdus[0].data is None
        assert hdus[0].header["TELESCOP"] == survey.name.upper()
        assert hdus[0].header["ORIGIN"] == "simulated"
        assert hdus["SCI"].header["BUNIT"] == units
        assert hdus["DQ"].data.dtype.newbyteorder("=") == dtype
        assert {hdu.data.shape for hdu in hdus[1:]} == {survey.plan.frame_size}
        assert "DATE" not in hdus[0].header  # the wall clock would change the bytes
    (tmp_path / "one.fits").write_bytes(survey.files[path])
    check_fits(tmp_path / "one.fits")


def test_the_headers_times_are_the_observations(survey: Survey) -> None:
    for frame in survey.frames:
        hdus = survey.open(frame.science_path)
        header = hdus[0].header
        start, seconds = Time(frame.conditions.time), survey.plan.instrument.exposure_s
        assert header["EXPSTART"] == pytest.approx(start.mjd, abs=1e-6)
        assert header["EXPEND"] == pytest.approx(start.mjd + seconds / 86400, abs=1e-6)
        assert f"{header['DATE-OBS']}T{header['TIME-OBS']}" == start.isot.split(".")[0]
        if survey.name == "hst":
            assert header["EXPTIME"] == seconds
            assert {header["FILTER1"], header["FILTER2"]} & {"F606W", "F814W"}
        else:
            assert header["EFFEXPTM"] == hdus["SCI"].header["XPOSURE"] == seconds
            middle = start + timedelta(seconds=seconds / 2)
            assert hdus["SCI"].header["MJD-AVG"] == pytest.approx(middle.mjd, abs=1e-6)
            assert hdus["SCI"].header["TDB-MID"] == pytest.approx(middle.tdb.mjd, abs=1e-6)
            assert header["FILTER"] in {"F200W", "F150W"}


def test_the_profile_reads_time_scale_and_units(survey: Survey, tmp_path: Path) -> None:
    frame = survey.frames[0]
    (tmp_path / "a.fits").write_bytes(survey.files[frame.science_path])

    read = read_frame(tmp_path / "a.fits", profile_for(f"sim_{survey.name}"), "science")

    layout = survey.plan.instrument
    middle = Time(frame.conditions.time + timedelta(seconds=layout.exposure_s / 2)).mjd
    assert read.meta.mjd_mid == pytest.approx(middle, abs=1e-6)
    assert read.meta.pixel_scale_arcsec == pytest.approx(layout.pixel_scale_arcsec, rel=1e-6)
    assert read.meta.units == layout.units
    assert read.shape == layout.frame_size


def test_the_headers_photometry_is_the_layouts_zero_point(survey: Survey) -> None:
    for frame in survey.frames:
        header = survey.open(frame.science_path)["SCI"].header
        found = ab_zero_point(survey.name, header)
        assert found == pytest.approx(survey.plan.instrument.zero_point, abs=1e-3)


def test_the_difference_holds_the_true_flux_with_its_sign(survey: Survey) -> None:
    pulls, signs = [], set()
    for frame in survey.frames:
        hdus = survey.open(frame.difference_path)
        for seen in (subject.sighting for subject in frame.subjects):
            rows, columns = (slice(round(v) - 8, round(v) + 9) for v in (seen.y, seen.x))
            box, bad = hdus["SCI"].data[rows, columns], hdus["DQ"].data[rows, columns]
            still = seen.source.true_class in {"supernova", "variable_star"}
            if still and seen.snr > 15 and box.size == 17 * 17 and not bad.any():
                noise = 15 * np.median(hdus["ERR"].data[rows, columns])
                pulls.append((box.sum() - seen.flux) / (abs(seen.flux) * 0.1 + noise))
                signs.add(np.sign(seen.flux))
    assert len(pulls) >= 20
    assert np.median(np.abs(pulls)) < 1
    assert signs == {-1.0, 1.0}


def test_the_error_plane_is_the_noise_of_sky_and_stars(survey: Survey) -> None:
    ratios = []
    for frame in survey.frames:
        hdus = survey.open(frame.difference_path)
        good = hdus["DQ"].data == 0
        ratios.append(mad((hdus["SCI"].data / np.where(good, hdus["ERR"].data, np.nan))[good]))
        bright = survey.open(frame.science_path)
        light, error = bright["SCI"].data, bright["ERR"].data
        assert np.nanmedian(error[light > 30 * np.nanmedian(light)]) > 3 * np.nanmedian(error)

    assert 0.9 < np.median(ratios) < 1.1


def test_static_stars_vanish_from_the_difference(survey: Survey) -> None:
    left = []
    for field in survey.fields:
        stars = field.field.stars
        for frame in field.frames:
            science = survey.open(frame.science_path)["SCI"].data
            hdus = survey.open(frame.difference_path)
            difference, quality = hdus["SCI"].data, hdus["DQ"].data
            (dx, dy), (height, width) = frame.conditions.dither, survey.plan.frame_size
            sky = frame.conditions.sky_level
            for x, y, flux in zip(stars.x - dx, stars.y - dy, stars.flux, strict=True):
                inside = 10 < x < width - 10 and 10 < y < height - 10
                box = tuple(slice(round(v) - 3, round(v) + 4) for v in (y, x))
                if flux > 300 * sky and inside and not quality[box].any():
                    left.append(np.abs(difference[box]).max() / (science[box].max() - sky))
    assert len(left) > 50
    assert np.median(left) < 0.15


def test_missing_and_full_pixels_are_flagged_as_the_real_telescope_does(survey: Survey) -> None:
    missing, full = MISSING[survey.name], FULL[survey.name]
    shape, level = survey.plan.frame_size, survey.plan.instrument.saturation
    seen = 0
    for frame in survey.frames:
        hdus = survey.open(frame.science_path)
        image, error, quality = (hdus[name].data for name in ("SCI", "ERR", "DQ"))
        lost = frame.conditions.missing(shape)
        is_full = (quality & full) != 0
        seen += int(lost.any())
        if survey.name == "hst":
            assert not np.isnan(image).any()
            assert not np.isnan(error).any()
            np.testing.assert_array_equal((quality & missing) != 0, lost)
            np.testing.assert_array_equal(is_full, image >= level)
            assert (image[lost] == 0).all()
        else:
            np.testing.assert_array_equal((quality & missing) != 0, np.isnan(image))
            np.testing.assert_array_equal(is_full, np.isnan(image) & ~lost)
            np.testing.assert_array_equal(np.isnan(error), np.isnan(image))
        assert is_full.any()
    assert 0 < seen < len(survey.frames)


def test_a_differences_flags_are_those_of_both_frames(survey: Survey) -> None:
    missing = MISSING[survey.name]
    rows, columns = np.indices(survey.plan.frame_size)
    for field in survey.fields:
        path = next(p for p in survey.files if field.field.name in p and "reference" in p)
        reference = survey.open(path)["DQ"].data.astype(np.int64)
        for frame in field.frames:
            old = np.full(survey.plan.frame_size, missing)
            x, y = (a + d for a, d in zip((columns, rows), frame.conditions.dither, strict=True))
            height, width = survey.plan.frame_size
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            old[inside] = reference[y[inside], x[inside]]
            science = survey.open(frame.science_path)["DQ"].data
            found = survey.open(frame.difference_path)["DQ"].data
            np.testing.assert_array_equal((found & missing) != 0, ((science | old) & missing) != 0)
            np.testing.assert_array_equal(found[inside], (science | old)[inside])


def test_only_hst_has_bleed_columns_and_satellites(survey: Survey) -> None:
    kinds = {s.sighting.source.artifact for f in survey.frames for s in f.subjects} - {""}
    shared = {"cosmic_ray", "dipole", "hot_pixel"}
    near_earth = {"saturation_bleed", "satellite_trail"}
    assert kinds == (shared | near_earth if survey.name == "hst" else shared)
    for frame in survey.frames:
        hdus = survey.open(frame.science_path)
        full = (hdus["DQ"].data & FULL[survey.name]) != 0
        is_long = full.sum(axis=0).max() > 2 * full.sum(axis=1).max()
        assert is_long == (survey.name == "hst")


def test_an_asteroid_moves_between_exposures_but_stays_on_its_stamp(survey: Survey) -> None:
    trails, moved = [], []
    for field in survey.fields:
        for source in field.field.real:
            if source.true_class == "asteroid":
                tracks = list(source.tracks.values())
                trails.append(2 * np.hypot(tracks[0].half_x, tracks[0].half_y))
                if len(tracks) == 2:
                    moved.append(np.hypot(tracks[1].x - tracks[0].x, tracks[1].y - tracks[0].y))
    assert max(trails) < 40
    assert max(trails) > 8  # some leave a trail
    assert min(moved) > 1
    assert np.median(moved) > 3


def test_space_has_no_weather(survey: Survey) -> None:
    frames = [frame.conditions for frame in survey.frames]
    widths = [conditions.fwhm_px for conditions in frames]

    assert {conditions.throughput for conditions in frames} == {1.0}
    assert {conditions.airmass for conditions in frames} == {None}
    assert draw_reference(survey.plan, 0).throughput == 1.0
    assert 1.9 < min(widths) < max(widths) < 1.1 * min(widths) < 2.4


def test_hst_and_jwst_lie_side_by_side_in_one_database(database: Engine, tmp_path: Path) -> None:
    files: dict[str, bytes] = {}

    def put(key: str, data: bytes) -> str:
        files[key] = data
        return key

    reports = []
    for name in TELESCOPES:
        plan = SkyPlan(fields=1, epochs=2).named(name)
        with database.begin() as connection:
            reports.append(simulate(plan, connection, put, tmp_path / f"{name}.jsonl"))

    with database.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT s.name, s.is_active, o.filter_band, o.airmass, o.pixel_scale, o.seeing,"
                " o.observation_time, d.ra, d.dec, d.pixel_x, d.pixel_y, r.difference_image_path"
                " FROM detections d JOIN observations o ON o.id = d.observation_id"
                " JOIN surveys s ON s.id = o.survey_id"
                " JOIN difference_runs r ON r.observation_id = o.id"
            )
        ).all()
    assert {row.name for row in rows} == set(TELESCOPES)
    assert all(report.added == report.rows for report in reports)
    assert not any(row.is_active for row in rows)
    assert {row.airmass for row in rows} == {None}
    assert {(row.name, float(row.pixel_scale)) for row in rows} == {("hst", 0.05), ("jwst", 0.031)}
    for row in rows:
        assert datetime(2024, 1, 1, tzinfo=UTC) <= row.observation_time
        assert row.observation_time < datetime(2024, 12, 31, tzinfo=UTC)
        wcs = WCS(fits.open(BytesIO(files[row.difference_image_path]))["SCI"].header)
        x, y = wcs.all_world2pix(float(row.ra), float(row.dec), 0)
        assert max(abs(x - row.pixel_x), abs(y - row.pixel_y)) <= 0.53  # 1e-7 degrees are 0.01 px


def test_a_real_survey_of_that_name_is_left_alone(database: Engine, tmp_path: Path) -> None:
    statement = text(
        "INSERT INTO surveys (id, name, is_active) VALUES (gen_random_uuid(), 'hst', true)"
    )
    with database.begin() as connection:
        connection.execute(statement)

    plan, truth = SkyPlan(fields=1, epochs=1).named("hst"), tmp_path / "truth.jsonl"
    with (
        database.connect() as connection,
        pytest.raises(SurveyNameTakenError, match="'hst' exists and was not simulated"),
    ):
        simulate(plan, connection, lambda key, _: key, truth)

    with database.connect() as connection:
        assert not connection.execute(text("SELECT 1 FROM observations")).all()
