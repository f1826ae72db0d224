"""The truth of the sky: what appears, varies and moves."""

from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest

from astrid_training.simulate import SkyPlan
from astrid_training.simulate.conditions import draw_epochs, draw_reference
from astrid_training.simulate.reviewers import draw_reviewers
from astrid_training.simulate.sky import Field, Source, draw_field
from astrid_training.simulate.survey import SimulatedField, make_field

PLAN = SkyPlan(fields=1, epochs=6, frame_size=(200, 260), transients=6, variables=6, asteroids=12)
EPOCHS = draw_epochs(PLAN, 0)


@pytest.fixture(scope="module")
def field() -> Field:
    return draw_field(PLAN, 0, EPOCHS)


def _of(field: Field, true_class: str) -> list[Source]:
    return [source for source in field.real if source.true_class == true_class]


def test_frames_come_in_pairs_of_one_night_in_2024_after_the_reference() -> None:
    times = [c.time for c in EPOCHS]
    gaps_h = [(b - a).total_seconds() / 3600 for a, b in pairwise(times)]

    assert {t.year for t in times} == {2024}
    assert draw_reference(PLAN, 0).time < times[0]
    assert all(gap < 1 for gap in gaps_h[::2])
    assert all(gap > 72 for gap in gaps_h[1::2])


def test_supernovae_stay_in_place_rise_once_and_are_not_in_the_reference(field: Field) -> None:
    for source in _of(field, "supernova"):
        light = [source.tracks[e].flux for e in range(PLAN.epochs)]
        peak = int(np.argmax(light))
        assert source.reference_flux == 0
        assert len({(t.x, t.y) for t in source.tracks.values()}) == 1
        assert light[: peak + 1] == sorted(light[: peak + 1])
        assert light[peak:] == sorted(light[peak:], reverse=True)


def test_a_supernova_has_a_host_galaxy_nearby(field: Field) -> None:
    for source in _of(field, "supernova"):
        track = source.tracks[0]
        away = np.hypot(field.galaxies.x - track.x, field.galaxies.y - track.y)
        assert away.min() < 8


def test_variable_stars_go_both_ways_round_their_mean(field: Field) -> None:
    ratios = np.array(
        [
            [s.tracks[e].flux / s.reference_flux for e in range(PLAN.epochs)]
            for s in _of(field, "variable_star")
        ]
    )

    assert (ratios > 1.05).any()
    assert (ratios < 0.95).any()


def test_asteroids_move_within_a_night_and_are_gone_on_the_next(field: Field) -> None:
    asteroids = _of(field, "asteroid")
    pairs = [list(s.tracks.values()) for s in asteroids if len(s.tracks) == 2]

    assert all(len(s.tracks) <= 2 for s in asteroids)
    assert pairs
    for first, second in pairs:
        moved = np.array([second.x - first.x, second.y - first.y])
        trail = np.array([first.half_x, first.half_y])
        assert np.hypot(*moved) > 3
        cosine = moved @ trail / np.hypot(*moved) / np.hypot(*trail)
        assert cosine == pytest.approx(1)  # the trail points where it goes


def _make(plan: SkyPlan, index: int) -> tuple[dict[str, str], SimulatedField]:
    digests: dict[str, str] = {}

    def put(key: str, data: bytes) -> str:
        digests[key] = sha256(data).hexdigest()
        return key

    return digests, make_field(plan, index, draw_reviewers(plan), put)


def test_the_same_plan_makes_the_same_bytes_and_rows() -> None:
    first, second = _make(PLAN, 0), _make(PLAN, 0)

    assert first[0] == second[0]
    assert first[1].rows == second[1].rows
    assert len(first[0]) == 1 + 2 * PLAN.epochs


def test_one_more_field_changes_no_earlier_one() -> None:
    few, many = _make(PLAN, 0), _make(replace(PLAN, fields=5), 0)

    assert few[0] == many[0]
    assert few[1].rows == many[1].rows


def test_another_seed_is_another_sky() -> None:
    first, second = _make(PLAN, 0)[0], _make(replace(PLAN, seed=2), 0)[0]

    assert not set(first) & set(second)
    assert not set(first.values()) & set(second.values())
