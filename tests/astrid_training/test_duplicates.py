"""The same pixels under another name are found, and what merely looks alike is not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from astrid_training.duplicates import (
    LEAST_ALIKE,
    LEAST_SAME,
    alike,
    best_correlation,
    high_passed,
    same_pixels,
    thumbnails,
)

Stamps = NDArray[np.float32]
COUNT = 40


def sky(seed: int, side: int = 64) -> Stamps:
    """Return stamps of noise, each with a bright target of its own size in the middle."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side)) - side // 2
    noise = rng.normal(0, 1, (COUNT, side, side))
    widths = rng.uniform(1, 3, COUNT)[:, None, None]
    targets = rng.uniform(5, 50, COUNT)[:, None, None] * np.exp(-(x**2 + y**2) / widths**2)
    return np.asarray(noise + targets, np.float32)


def shifted(stamps: Stamps, dy: int, dx: int) -> Stamps:
    return np.roll(stamps, (dy, dx), (1, 2))


def noisier(stamps: Stamps) -> Stamps:
    return np.asarray(stamps + np.random.default_rng(5).normal(0, 0.4, stamps.shape), np.float32)


def on_a_slope(stamps: Stamps) -> Stamps:
    return np.asarray(3 * stamps + np.linspace(0, 0.5, stamps.shape[2]), np.float32)


COPIES: dict[str, Callable[[Stamps], Stamps]] = {
    "as it is": np.copy,
    "one pixel aside": lambda stamps: shifted(stamps, 1, 0),
    "with more noise": noisier,
    "scaled, on a slope": on_a_slope,
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_suspected_and_confirmed(name: str) -> None:
    stamps = sky(1)
    copies = COPIES[name](stamps)

    suspects = set(alike(thumbnails(stamps), thumbnails(copies), LEAST_ALIKE["difference"]))

    assert {(n, n) for n in range(COUNT)} == suspects
    for n in range(COUNT):
        found = same_pixels([high_passed(stamps[n])], [high_passed(copies[n])])
        assert found is not None
        assert found > 0.7


@pytest.mark.parametrize("shift", [(0, 0), (4, 0), (-4, 4), (3, -2)])
def test_a_shift_of_up_to_four_pixels_hides_nothing_from_the_closer_look(
    shift: tuple[int, int],
) -> None:
    stamps = sky(1)[:6]

    for one, other in zip(stamps, shifted(stamps, *shift), strict=True):
        assert best_correlation(high_passed(one), high_passed(other)) > 0.85


def test_unrelated_stamps_with_like_targets_are_neither() -> None:
    stamps, others = sky(1), sky(2)

    assert not list(alike(thumbnails(stamps), thumbnails(others), LEAST_ALIKE["difference"]))
    for one, other in zip(stamps, others, strict=True):
        assert best_correlation(high_passed(one), high_passed(other)) < LEAST_SAME - 0.2


def test_equal_differences_of_other_exposures_are_not_the_same_pixels() -> None:
    difference, one, other = sky(1)[0], sky(2)[0], sky(3)[0]

    rough = [high_passed(stamp) for stamp in (difference, one, other)]

    assert same_pixels([rough[0], rough[1]], [rough[0], rough[2]]) is None


def test_the_target_alone_makes_no_two_stamps_alike() -> None:
    empty = np.zeros((COUNT, 64, 64), np.float32)
    empty[:, 28:36, 28:36] = 50

    assert not thumbnails(empty).any()


def test_a_stamp_that_is_mostly_missing_is_still_compared() -> None:
    stamps = sky(1)
    stamps[:, :, :50] = 0

    suspects = set(alike(thumbnails(stamps), thumbnails(stamps.copy()), 0.99))

    assert {(n, n) for n in range(COUNT)} <= suspects


@pytest.mark.parametrize("side", [16, 48, 128])
def test_any_size_of_stamp_has_a_thumbnail(side: int) -> None:
    thumbs = thumbnails(sky(1, side))

    assert thumbs.shape == (COUNT, 64)
    np.testing.assert_allclose(np.linalg.norm(thumbs, axis=1), 1, rtol=1e-5)


def test_blocks_of_any_number_of_rows_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbs = thumbnails(sky(1))
    whole = list(alike(thumbs, thumbs, 0.99))
    monkeypatch.setattr("astrid_training.duplicates.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("astrid_training.duplicates.COLUMNS_AT_ONCE", 11)

    assert sorted(alike(thumbs, thumbs, 0.99)) == whole == [(n, n) for n in range(COUNT)]
