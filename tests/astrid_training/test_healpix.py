"""Tiles of the sky are HEALPix pixels; the numbers were taken from astropy-healpix 1.1."""

import numpy as np
import pytest

from astrid_training.healpix import BASE_WIDTH_ARCSEC, tile_numbers, tile_order

RA = [1.3, 45, 133.7, 299.99, 10.68, 201.3, 359.99999, 12]
DEC = [0.7, 41.8, -12.3, -66.6, 41.27, 89.99, -89.99, -41.9]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (0, [4, 0, 9, 11, 0, 2, 11, 8]),
        (3, [368, 148, 476, 741, 112, 2, 767, 625]),
        (8, [387588, 131712, 477052, 754343, 132638, 2, 786431, 654882]),
        (
            13,
            [397721718, 134238208, 488435593, 772198270, 137053132, 8, 805306363, 671531734],
        ),
    ],
)
def test_tiles_are_those_of_healpix(order: int, expected: list[int]) -> None:
    assert tile_numbers(order, RA, DEC).tolist() == expected


def test_every_tile_holds_an_equal_share_of_the_sky() -> None:
    rng = np.random.default_rng(1)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 200_000)))

    counts = np.bincount(tile_numbers(2, rng.uniform(0, 360, 200_000), dec), minlength=192)

    assert len(counts) == 192
    assert counts.min() > 0.85 * 200_000 / 192
    assert counts.max() < 1.15 * 200_000 / 192


@pytest.mark.parametrize("ra", [0.0, 360.0, -1e-14, 720.0])
def test_a_whole_turn_changes_no_tile(ra: float) -> None:
    assert tile_numbers(8, [ra], [12.0]).tolist() == tile_numbers(8, [0.0], [12.0]).tolist()


@pytest.mark.parametrize("width", [60.0, 517.0, 3600.0, 40_000.0])
def test_a_tile_is_as_wide_as_asked_and_no_more_than_twice(width: float) -> None:
    found = BASE_WIDTH_ARCSEC / 2 ** tile_order(width)

    assert width <= found < 2 * width


def test_nothing_is_wider_than_a_base_tile() -> None:
    assert tile_order(10 * BASE_WIDTH_ARCSEC) == 0
