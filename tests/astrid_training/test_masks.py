"""Masks: a disk for the target, 255 for what nobody can judge, and nothing else."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from astrid_training.masks import Masks, make_masks
from astrid_training.params import MaskRule
from astrid_training.stamps import Flag

SIDE = 72


def clear(count: int = 1) -> np.ndarray:
    return np.zeros((count, SIDE, SIDE), np.uint8)


def draw(
    flags: np.ndarray,
    x: float = 36,
    y: float = 36,
    fwhm: float = 2.0,
    code: int = 1,
    rule: MaskRule | None = None,
) -> Masks:
    count = len(flags)
    columns, rows, widths = (np.full(count, value, np.float64) for value in (x, y, fwhm))
    codes = np.full(count, code, np.uint8)
    return make_masks(flags, columns, rows, widths, codes, rule or MaskRule())


def pixels_of(mask: np.ndarray, code: int) -> set[tuple[int, int]]:
    return {(int(x), int(y)) for y, x in np.argwhere(mask == code)}


PLUS = {(36, 36), (35, 36), (37, 36), (36, 35), (36, 37)}
SQUARE = {(x, y) for x in (35, 36, 37) for y in (35, 36, 37)}


@pytest.mark.parametrize("code", [1, 2])
def test_the_target_is_a_disk_of_one_fwhm_with_its_code(code: int) -> None:
    masks = draw(clear(), fwhm=2.0, code=code)

    corners = {(34, 36), (38, 36), (36, 34), (36, 38)}
    assert pixels_of(masks.pixels[0], code) == SQUARE | corners
    assert pixels_of(masks.pixels[0], 0) == pixels_of(clear()[0], 0) - SQUARE - corners
    assert not masks.dropped[0]


def test_a_narrow_psf_still_gets_a_disk_of_one_and_a_half_pixels() -> None:
    assert pixels_of(draw(clear(), fwhm=0.5).pixels[0], 1) == SQUARE


def test_the_disk_lies_where_the_target_is_columns_first() -> None:
    rule = MaskRule(min_radius_px=1.0)

    mask = draw(clear(), x=40.2, y=30.1, fwhm=0.5, rule=rule).pixels[0]

    assert pixels_of(mask, 1) == {(40, 30), (41, 30), (40, 31)}


@pytest.mark.parametrize("flag", [Flag.MISSING, Flag.PADDED, Flag.SATURATED])
def test_what_has_no_usable_pixel_is_ignored_even_on_the_target(flag: Flag) -> None:
    flags = clear()
    flags[0, 36, 36] = flags[0, 5, 60] = flag

    mask = draw(flags, rule=MaskRule(saturation_grow_px=0)).pixels[0]

    assert pixels_of(mask, 255) == {(36, 36), (60, 5)}


@pytest.mark.parametrize("flag", [Flag.COSMIC_RAY, Flag.OTHER_MISSING])
def test_flags_that_are_no_hole_leave_the_mask_alone(flag: Flag) -> None:
    assert 255 not in draw(clear() | np.uint8(flag)).pixels


def test_saturation_grows_by_a_pixel_all_round_and_only_in_its_own_stamp() -> None:
    flags = clear(3)
    flags[1, 10, 20] = Flag.SATURATED

    masks = draw(flags)

    around = {(x, y) for x in (19, 20, 21) for y in (9, 10, 11)}
    assert pixels_of(masks.pixels[1], 255) == around
    assert 255 not in masks.pixels[[0, 2]]


@pytest.mark.parametrize(("lost", "dropped"), [(2, False), (3, True)])
def test_a_target_with_over_a_quarter_missing_is_dropped(lost: int, dropped: bool) -> None:  # noqa: FBT001 - a parameter of the case
    flags = clear()
    for x, y in sorted(SQUARE)[:lost]:  # of 9 pixels
        flags[0, y, x] = Flag.MISSING

    assert draw(flags, fwhm=1.0).dropped[0] == dropped


def test_saturation_does_not_count_as_missing() -> None:
    assert not draw(clear() | np.uint8(Flag.SATURATED)).dropped[0]


def test_a_target_beyond_the_stamp_is_dropped() -> None:
    assert draw(clear(), x=-20).dropped[0]


def test_many_stamps_have_the_masks_of_each_alone() -> None:
    rng = np.random.default_rng(0)
    count = 300  # more than one block
    flags = (rng.random((count, SIDE, SIDE)) < 0.01) * np.uint8(3)
    x, y = rng.uniform(30, 42, (2, count))
    fwhm, codes = rng.uniform(1, 5, count), rng.integers(1, 3, count).astype(np.uint8)

    many = make_masks(flags, x, y, fwhm, codes, MaskRule())

    for i in (0, 17, 255, 256, 299):
        one = draw(flags[i : i + 1], x[i], y[i], fwhm[i], int(codes[i]))
        assert_array_equal(many.pixels[i], one.pixels[0])
        assert many.dropped[i] == one.dropped[0]


def test_no_stamps_have_no_masks() -> None:
    masks = draw(clear(0))

    assert masks.pixels.shape == (0, SIDE, SIDE)
    assert masks.dropped.shape == (0,)


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match="give 1 for real, 2 for rejected"):
        draw(clear(), code=3)
