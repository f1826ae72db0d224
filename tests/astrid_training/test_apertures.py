"""Disks on differences: which pixels they hold, and what stands out in them."""

import numpy as np
import pytest

from astrid_training.apertures import apertures, sums


def held(image: np.ndarray, x: float, y: float, radius: float) -> set[tuple[int, int]]:
    """Return columns and rows of the pixels with a value; images are positive."""
    disk = apertures(image[None], np.array([x]), np.array([y]), radius, np.array([0.5]))
    _, rows, columns = np.nonzero(disk.values)
    return {
        (int(disk.x[0, 0, column]), int(disk.y[0, row, 0]))
        for row, column in zip(rows, columns, strict=True)
    }


def test_an_aperture_holds_the_valid_pixels_within_its_radius() -> None:
    image = np.ones((5, 7), np.float32)
    image[2, 3] = np.nan

    assert held(image, 3, 2, 1.0) == {(2, 2), (3, 1), (3, 3), (4, 2)}
    assert held(image, 0, 0, 1.0) == {(0, 0), (1, 0), (0, 1)}
    assert held(image, 6.4, 4.4, 1.0) == {(6, 4), (6, 4)}
    assert held(image, 30, 2, 1.0) == set()


@pytest.mark.parametrize("radius", [0.4, 1.5, 2.4, 3.0, 7.3])
def test_no_pixel_within_the_radius_is_forgotten(radius: float) -> None:
    rows, columns = np.indices((31, 33))
    for x, y in np.random.default_rng(1).uniform(8, 22, (20, 2)):
        near = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
        expected = set(zip(columns[near].tolist(), rows[near].tolist(), strict=True))

        assert held(np.ones((31, 33), np.float32), x, y, radius) == expected


def test_snr_is_the_sum_over_its_noise_and_polarity_its_sign() -> None:
    images = np.stack([np.ones((9, 9)), np.full((9, 9), -2.0), np.full((9, 9), np.nan)])
    centre, noise = np.full(3, 4.0), np.array([0.5, 1, 1])

    disks = apertures(images.astype(np.float32), centre, centre, 1.0, noise)

    assert disks.snr[:2].tolist() == [5 / (0.5 * np.sqrt(5)), 10 / np.sqrt(5)]
    assert np.isnan(disks.snr[2])
    assert disks.polarity.tolist() == [1, -1, 1]
    assert sums(disks.light()).tolist() == [5 * 0.5, 5 * 1, 0]


@pytest.mark.parametrize(("x", "noise"), [(np.nan, 1.0), (4.0, np.nan), (4.0, 0.0)])
def test_without_a_place_or_a_noise_a_disk_is_empty(x: float, noise: float) -> None:
    image = np.ones((1, 9, 9), np.float32)

    disk = apertures(image, np.array([x]), np.array([4.0]), 2.0, np.array([noise]))

    assert np.isnan(disk.snr[0])
    assert not disk.values.any()
    assert not disk.light().any()
