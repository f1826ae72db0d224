"""Frames show what the truth says, with the right sign, noise and holes."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from astrid_training.simulate import SkyPlan
from astrid_training.simulate.artifacts import draw_artifacts
from astrid_training.simulate.conditions import Conditions, draw_epochs, draw_reference
from astrid_training.simulate.frames import render_reference, render_science, subtract
from astrid_training.simulate.pixels import Floats
from astrid_training.simulate.sightings import Sighting, find_sightings
from astrid_training.simulate.sky import Field, Source, draw_field

PLAN = SkyPlan(fields=1, epochs=4, frame_size=(230, 300), stars=60, galaxies=15, artifacts=8)
FIELDS = range(4)


@dataclass(frozen=True)
class Shot:
    """One science frame with all that belongs to it."""

    field: Field
    old: Conditions
    new: Conditions
    reference: Floats
    science: Floats
    difference: Floats
    seen: list[Sighting]


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    return [shot for index in FIELDS for shot in _shoot(index)]


def _shoot(index: int) -> list[Shot]:
    old, epochs = draw_reference(PLAN, index), draw_epochs(PLAN, index)
    field = draw_field(PLAN, index, epochs)
    artifacts = draw_artifacts(PLAN, field, old, epochs)
    reference = render_reference(PLAN, field, old)
    return [_shot(field, old, new, e, reference, artifacts) for e, new in enumerate(epochs)]


def _shot(
    field: Field,
    old: Conditions,
    new: Conditions,
    epoch: int,
    reference: Floats,
    artifacts: tuple[Source, ...],
) -> Shot:
    science = render_science(PLAN, field, new, epoch, artifacts)
    difference = subtract(science, reference, new, old)
    seen = find_sightings(PLAN, (*field.real, *artifacts), new, epoch, np.isnan(difference))
    return Shot(field, old, new, reference, science, difference, seen)


def _around(image: Floats, sighting: Sighting, half: int) -> NDArray[np.float64]:
    x, y = round(sighting.x), round(sighting.y)
    return image[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]


def _mad(image: Floats) -> float:
    return float(1.4826 * np.nanmedian(np.abs(image - np.nanmedian(image))))


def test_all_kinds_of_truth_are_seen(shots: list[Shot]) -> None:
    kinds = {s.source.artifact or s.source.true_class for shot in shots for s in shot.seen}

    assert kinds == {
        *("supernova", "variable_star", "asteroid"),
        *("cosmic_ray", "dipole", "saturation_bleed", "hot_pixel", "satellite_trail"),
    }


@pytest.mark.parametrize("true_class", ["supernova", "variable_star"])
def test_the_difference_holds_the_true_flux_with_its_sign(
    shots: list[Shot], true_class: str
) -> None:
    pulls, signs = [], set()
    for shot in shots:
        for s in shot.seen:
            if s.source.true_class == true_class and s.snr > 15:
                box = _around(shot.difference, s, 8)
                if box.size == 17 * 17 and not np.isnan(box).any():
                    pulls.append((box.sum() - s.flux) / (abs(s.flux) * 0.1 + 15 * _mad(box)))
                    signs.add(np.sign(s.flux))
    assert len(pulls) >= 5
    assert np.median(np.abs(pulls)) < 1
    assert signs == ({-1.0, 1.0} if true_class == "variable_star" else {1.0})


def test_an_asteroid_is_brightest_where_the_truth_puts_it(shots: list[Shot]) -> None:
    hits = [
        np.nanmax(_around(shot.difference, s, 1)) == np.nanmax(_around(shot.difference, s, 5))
        for shot in shots
        for s in shot.seen
        if s.source.true_class == "asteroid" and s.fwhm_px > np.hypot(*_length(s)) and s.snr > 12
    ]

    assert len(hits) >= 5
    assert np.mean(hits) > 0.8


def _length(s: Sighting) -> tuple[float, float]:
    return s.ends[2] - s.ends[0], s.ends[3] - s.ends[1]


@pytest.mark.parametrize("kind", ["cosmic_ray", "hot_pixel"])
def test_a_sharp_artifact_fills_its_very_pixel_of_science_and_difference(
    shots: list[Shot], kind: str
) -> None:
    found = [(shot, s) for shot in shots for s in shot.seen if s.source.artifact == kind]

    assert found
    for shot, s in found:
        charge = s.source.tracks[s.epoch].flux
        row, column = round(s.y), round(s.x)
        assert shot.difference[row, column] > 0.5 * charge
        assert shot.science[row, column] > 0.5 * charge


def test_a_dipole_has_two_lobes(shots: list[Shot]) -> None:
    found = [(shot, s) for shot in shots for s in shot.seen if s.source.artifact == "dipole"]

    assert found
    for shot, s in found:
        box, noise = _around(shot.difference, s, 4), _mad(shot.difference)
        assert np.nanmax(box) > 5 * noise
        assert np.nanmin(box) < -5 * noise


def test_the_difference_has_the_noise_of_both_frames(shots: list[Shot]) -> None:
    layout = PLAN.instrument
    ratios = []
    for shot in shots:
        new, old = (
            np.hypot(np.sqrt(c.sky_level / layout.gain), layout.read_noise / layout.gain)
            for c in (shot.new, shot.old)
        )
        scale = shot.new.throughput / shot.old.throughput
        expected = np.hypot(new, scale * old / np.sqrt(layout.reference_exposures))
        ratios.append(_mad(shot.difference) / expected)

    assert 0.9 < np.median(ratios) < 1.1


def test_static_stars_vanish_from_the_difference(shots: list[Shot]) -> None:
    left = []
    for shot in shots:
        stars = shot.field.stars
        (dx, dy), (height, width) = shot.new.dither, PLAN.frame_size
        for x, y, flux in zip(stars.x - dx, stars.y - dy, stars.flux, strict=True):
            if flux > 2000 and 10 < x < width - 10 and 10 < y < height - 10:
                rows, columns = (slice(round(v) - 3, round(v) + 4) for v in (y, x))
                peak = np.nanmax(shot.science[rows, columns]) - shot.new.sky_level
                left.append(np.nanmax(np.abs(shot.difference[rows, columns])) / peak)

    assert len(left) > 50
    assert np.median(left) < 0.15


def test_missing_pixels_of_either_frame_and_beyond_the_reference_are_missing(
    shots: list[Shot],
) -> None:
    height, width = PLAN.frame_size
    holes = 0
    for shot in shots:
        dx, dy = shot.new.dither
        rows, columns = np.indices(PLAN.frame_size)
        inside = (
            (rows + dy >= 0) & (rows + dy < height) & (columns + dx >= 0) & (columns + dx < width)
        )
        old = np.ones(PLAN.frame_size, bool)
        old[inside] = np.isnan(shot.reference[(rows + dy)[inside], (columns + dx)[inside]])
        np.testing.assert_array_equal(np.isnan(shot.difference), np.isnan(shot.science) | old)
        holes += int(np.isnan(shot.science).any())

    assert 0 < holes < len(shots)


def test_saturated_stars_are_clipped_and_bleed_along_columns(shots: list[Shot]) -> None:
    for shot in shots:
        full = shot.science >= PLAN.instrument.saturation
        assert np.nanmax(shot.science) == PLAN.instrument.saturation
        assert full.sum(axis=0).max() > 2 * full.sum(axis=1).max()


def test_no_detection_is_wanted_where_the_difference_is_missing(shots: list[Shot]) -> None:
    for shot in shots:
        for s in shot.seen:
            assert not np.isnan(shot.difference[round(s.y), round(s.x)])


def test_some_sources_lie_where_a_stamp_leaves_the_frame_but_most_do_not() -> None:
    margins = []
    for index in range(30):
        field = draw_field(PLAN, index, draw_epochs(PLAN, index))
        height, width = PLAN.frame_size
        for source in field.real:
            track = next(iter(source.tracks.values()))
            margins.append(min(track.x, track.y, width - 1 - track.x, height - 1 - track.y))

    assert 0.06 < np.mean(np.array(margins) < 32) < 0.3
