"""Masks cover the light of sources that are known to the pixel."""

import pytest

from astrid_training.masks import BOGUS, REAL
from astrid_training.params import MaskRule
from benchmarks.masks import CAPPED, FIXED, KINDS, make_scene, overlap, table

TRAIL = "trail of 10 FWHM, an asteroid's"
OPPOSITE = "source beside an opposite one"


@pytest.mark.parametrize(
    ("kind", "least"),
    [("point source", 0.80), ("dipole", 0.65), ("streak of 4 FWHM", 0.60), (TRAIL, 0.65)],
)
def test_half_of_the_masks_cover_a_source_at_least_that_well(kind: str, least: float) -> None:
    assert overlap(make_scene(kind, seed=2), MaskRule()) >= least


def test_a_sign_keeps_an_opposite_neighbour_out_of_a_real_target() -> None:
    scene = make_scene(OPPOSITE, seed=2)

    signed, unsigned = (overlap(scene, MaskRule(), code) for code in (REAL, BOGUS))

    assert signed >= 0.80
    assert signed >= unsigned + 0.10


def test_both_signs_are_a_dipole() -> None:
    scene = make_scene("dipole", seed=2)

    assert overlap(scene, MaskRule()) > overlap(scene, MaskRule(), REAL) + 0.05


def test_a_trail_is_longer_than_any_cap() -> None:
    scene = make_scene(TRAIL, seed=2)

    assert overlap(scene, MaskRule(), known=False) >= 0.65  # its shape alone tells
    assert overlap(scene, CAPPED, known=False) < 0.60


@pytest.mark.parametrize("kind", KINDS)
def test_a_fixed_radius_covers_nothing_better(kind: str) -> None:
    scene = make_scene(kind, seed=2)

    assert overlap(scene, FIXED) < overlap(scene, MaskRule())


@pytest.mark.slow
def test_the_table_has_a_line_for_each_kind() -> None:
    assert len(table()) == len(KINDS) + 2
