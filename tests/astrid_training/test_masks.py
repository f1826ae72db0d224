"""Masks: the target's pixels, 255 for what nobody can judge, and nothing else."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from astrid_training.masks import Masks, Neighbours, Targets, make_masks
from astrid_training.params import MaskRule
from astrid_training.stamps import Flag

SIDE = 72


def clear(count: int = 1) -> np.ndarray:
    return np.zeros((count, SIDE, SIDE), np.uint8)


def lit(*parts: tuple[slice, slice, float], count: int = 1) -> np.ndarray:
    """Return significances (n, y, x): 0 but for some rectangles (rows, columns, value)."""
    plane = np.zeros((count, SIDE, SIDE), np.float16)
    for rows, columns, value in parts:
        plane[:, rows, columns] = value
    return plane


def neighbours(*several: tuple[float, float, int], stamp: int = 0) -> Neighbours:
    x, y, codes = (list(column) for column in zip(*several, strict=True))
    where = np.full(len(several), stamp, np.int64)
    return Neighbours(where, np.array(x, float), np.array(y, float), np.array(codes, np.uint8))


def draw(
    flags: np.ndarray,
    x: float = 36,
    y: float = 36,
    fwhm: float = 2.0,
    code: int = 1,
    rule: MaskRule | None = None,
    significance: np.ndarray | None = None,
    near: Neighbours | None = None,
    moving: bool = False,  # noqa: FBT001, FBT002 - a field of the targets
) -> Masks:
    count = len(flags)
    columns, rows, widths = (np.full(count, value, np.float64) for value in (x, y, fwhm))
    codes = np.full(count, code, np.uint8)
    targets = Targets(columns, rows, widths, codes, np.full(count, moving))
    shown = lit(count=count) if significance is None else significance
    return make_masks(flags, shown, targets, near or Neighbours.none(), rule or MaskRule())


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

    shown = (rng.normal(0, 1, flags.shape) * rng.uniform(1, 4, (count, 1, 1))).astype(np.float16)
    targets = Targets(x, y, fwhm, codes, np.zeros(count, bool))
    near = neighbours((30, 30, 1), (50, 44, 255), stamp=256)

    many = make_masks(flags, shown, targets, near, MaskRule())

    for i in (0, 17, 255, 256, 299):
        one = draw(
            flags[i : i + 1],
            x[i],
            y[i],
            fwhm[i],
            int(codes[i]),
            significance=shown[i : i + 1],
            near=neighbours((30, 30, 1), (50, 44, 255)) if i == 256 else None,
        )
        assert_array_equal(many.pixels[i], one.pixels[0])
        assert many.dropped[i] == one.dropped[0]


def test_no_stamps_have_no_masks() -> None:
    masks = draw(clear(0))

    assert masks.pixels.shape == (0, SIDE, SIDE)
    assert masks.dropped.shape == (0,)


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give some of \(0, 1, 2\)"):
        draw(clear(), code=3)
    with pytest.raises(ValueError, match=r"give some of \(1, 2, 255\)"):
        draw(clear(), near=neighbours((30, 30, 0)))


ROWS = slice(35, 38)


def test_a_source_is_all_that_is_lit_with_its_sign_and_bright_enough_beside_its_peak() -> None:
    shown = lit((ROWS, slice(32, 42), 4), (ROWS, slice(36, 37), 100))
    bright = pixels_of(draw(clear(), fwhm=2.0, significance=shown).pixels[0], 1)
    shown[0, 36, 36] = 60  # now 4 is more than 6 % of the peak
    shown[0, [35, 37], 36] = 60

    faint = pixels_of(draw(clear(), fwhm=2.0, significance=shown).pixels[0], 1)

    assert max(x for x, _ in bright) == 38  # the disk alone
    assert max(x for x, _ in faint) == 41


@pytest.mark.parametrize(("code", "right"), [(1, 37), (2, 40)])
def test_a_real_target_stops_where_the_sign_changes_and_a_rejected_one_does_not(
    code: int, right: int
) -> None:
    shown = lit((ROWS, slice(34, 38), 20), (ROWS, slice(38, 41), -20))

    mask = draw(clear(), fwhm=1.4, code=code, significance=shown).pixels[0]

    assert max(x for x, _ in pixels_of(mask, code)) == right
    assert ({(38, 36), (39, 36), (40, 36)} <= pixels_of(mask, 255)) == (code == 1)


def test_what_faded_is_drawn_as_what_brightened() -> None:
    shown = lit((ROWS, slice(33, 40), 20))

    up, down = (draw(clear(), significance=sign * shown).pixels for sign in (1, -1))

    assert_array_equal(up, down)


def test_pixels_touching_at_a_corner_are_one_footprint() -> None:
    shown = lit((slice(36, 38), slice(36, 38), 9), (slice(38, 40), slice(38, 40), 9))

    mask = draw(clear(), fwhm=1.5, significance=shown).pixels[0]

    assert mask[39, 39] == 1


def test_a_footprint_ends_at_three_fwhm_and_the_rest_of_its_island_is_ignored() -> None:
    shown = lit((slice(30, 43), slice(30, 60), 20))

    mask = draw(clear(), fwhm=2.0, significance=shown).pixels[0]

    assert max(x for x, _ in pixels_of(mask, 1)) == 42
    assert max(x for x, _ in pixels_of(mask, 255)) == 59


@pytest.mark.parametrize(
    ("rows", "moving"),
    [
        pytest.param(slice(35, 38), False, id="long"),
        pytest.param(slice(28, 45), True, id="an asteroid"),
    ],
)
def test_trails_have_no_such_end(rows: slice, moving: bool) -> None:  # noqa: FBT001 - a parameter of the case
    shown = lit((rows, slice(20, 66), 20))

    mask = draw(clear(), fwhm=2.0, significance=shown, moving=moving).pixels[0]

    assert max(x for x, _ in pixels_of(mask, 1)) == 65
    assert 255 not in mask


def test_other_bright_parts_of_three_pixels_are_ignored_and_smaller_or_fainter_ones_are_not() -> (
    None
):
    shown = lit(
        (slice(5, 6), slice(5, 8), -6),
        (slice(5, 6), slice(50, 52), 6),
        (slice(60, 66), slice(60, 66), 4.9),
    )

    mask = draw(clear(), significance=shown).pixels[0]

    assert pixels_of(mask, 255) == {(5, 5), (6, 5), (7, 5)}


def test_a_peak_is_looked_for_near_the_position_only() -> None:
    shown = lit((slice(36, 37), slice(40, 46), 30))

    mask = draw(clear(), fwhm=2.0, significance=shown).pixels[0]

    assert pixels_of(mask, 1) == pixels_of(draw(clear(), fwhm=2.0).pixels[0], 1)
    assert (40, 36) in pixels_of(mask, 255)


def test_without_a_difference_the_disk_has_a_ring_that_is_ignored() -> None:
    nothing = np.full((2, SIDE, SIDE), np.nan, np.float16)
    nothing[1] = 0

    masks = draw(clear(2), fwhm=2.0, significance=nothing)

    ring = pixels_of(masks.pixels[0], 255)
    assert masks.from_science.tolist() == [True, False]
    assert {(39, 36), (41, 36), (36, 31)} <= ring
    assert not {(38, 36), (42, 36)} & ring
    assert 255 not in masks.pixels[1]


def test_a_place_without_a_target_has_no_target_and_is_never_dropped() -> None:
    shown = lit((slice(35, 38), slice(35, 38), 4), (slice(5, 6), slice(5, 8), 9))
    flags = clear() | np.uint8(0)
    flags[0, 30:43, 30:43] = Flag.MISSING

    whole, holed = (draw(f, code=0, significance=shown) for f in (clear(), flags))

    assert pixels_of(whole.pixels[0], 255) == {(5, 5), (6, 5), (7, 5)}
    assert not {1, 2} & set(np.unique(whole.pixels))
    assert not holed.dropped[0]


@pytest.mark.parametrize(("code", "radius"), [(1, 2), (2, 2), (255, 3)])
def test_neighbours_get_their_code_and_a_wider_disk_where_nobody_decided(
    code: int, radius: int
) -> None:
    mask = draw(clear(), fwhm=2.0, near=neighbours((50, 20, code))).pixels[0]

    assert (50 + radius, 20) in pixels_of(mask, code)
    assert (51 + radius, 20) not in pixels_of(mask, code)
    assert mask[36, 36] == 1


def test_a_neighbour_with_a_label_has_its_footprint() -> None:
    shown = lit((slice(19, 22), slice(48, 55), 20), (slice(19, 22), slice(55, 57), -20))

    mask = draw(clear(), fwhm=2.0, near=neighbours((50, 20, 1)), significance=shown).pixels[0]

    assert mask[20, 54] == 1
    assert mask[20, 55] == 255


@pytest.mark.parametrize(
    ("own", "other", "between"),
    [
        pytest.param(1, 255, 1, id="a target over a neighbour nobody decided on"),
        pytest.param(2, 255, 2, id="a rejected one as well"),
        pytest.param(1, 2, 1, id="real over rejected"),
        pytest.param(2, 1, 1, id="real over rejected, the other way round"),
    ],
)
def test_of_two_labels_on_one_pixel_the_target_or_the_real_one_wins(
    own: int, other: int, between: int
) -> None:
    mask = draw(clear(), fwhm=2.0, code=own, near=neighbours((38, 36, other))).pixels[0]

    assert mask[36, 37] == between


def test_missing_pixels_beat_every_label() -> None:
    flags = clear()
    flags[0, 36, 37] = flags[0, 20, 50] = Flag.MISSING

    mask = draw(flags, near=neighbours((50, 20, 1))).pixels[0]

    assert mask[36, 37] == mask[20, 50] == 255


def test_a_neighbour_beyond_the_stamp_leaves_its_edge_alone() -> None:
    shown = lit((slice(0, 1), slice(0, 1), 50))

    mask = draw(clear(), near=neighbours((-40, -40, 1)), significance=shown).pixels[0]

    assert mask[0, 0] == 0
