"""Significance: smoothed over the PSF, in units of its own noise, signed, blind to what is missing."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.significance import LARGEST, significance

FWHM = 2.4


def noise(count: int = 4, sigma: float = 10.0, seed: int = 1) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0, sigma, (count, 60, 72))
    return drawn.astype(np.float32)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_noise_has_a_spread_of_one_in_any_unit(unit: float) -> None:
    shown = significance(noise() * np.float32(unit), FWHM).astype(np.float64)

    assert shown.std() == pytest.approx(1, rel=0.05)
    assert_allclose(shown, significance(noise(), FWHM), atol=0.01)


def test_the_sign_is_that_of_the_difference() -> None:
    assert_array_equal(significance(-noise(), FWHM), -significance(noise(), FWHM))


def test_smoothing_makes_a_faint_source_stand_out_more() -> None:
    images = noise()
    rows, columns = np.indices(images.shape[1:])
    sigma = FWHM / 2.3548
    source = 50 * np.exp(-((columns - 30) ** 2 + (rows - 25) ** 2) / 2 / sigma**2)

    gained = significance(images + source.astype(np.float32), FWHM)[:, 25, 30].mean()

    assert gained > 6  # 5 in the pixel alone


def test_missing_pixels_stay_missing_and_weigh_nothing() -> None:
    images = noise(2) + np.float32(1000)
    images[1, 8:12, 8:12] = np.nan

    shown = significance(images, FWHM).astype(np.float64)

    assert_array_equal(np.isnan(shown), np.isnan(images))
    assert np.nanmin(shown[1]) > 0.9 * np.nanmedian(shown[1])  # no edge of the hole is darker


def test_a_hole_changes_its_surroundings_only() -> None:
    images = noise(1)
    holed = images.copy()
    holed[0, 40:45, 40:45] = np.nan

    ratio = significance(holed, FWHM)[0, :30] / significance(images, FWHM)[0, :30]

    assert np.ptp(ratio.astype(np.float64)) < 0.01


def test_each_stamp_is_shown_as_it_is_alone() -> None:
    images = noise(5)
    images[2, 3:9, 3:9] = np.nan
    images[3] *= 100

    together = significance(images, FWHM)

    for number in range(5):
        assert_array_equal(together[number : number + 1], significance(images[number, None], FWHM))


def test_no_difference_shows_nothing() -> None:
    assert np.isnan(significance(np.full((2, 20, 20), np.nan, np.float32), FWHM)).all()


def test_the_brightest_source_stays_a_number() -> None:
    images = noise(1)
    images[0, 30, 30] = 1e12

    assert significance(images, FWHM).max() == pytest.approx(LARGEST, rel=1e-3)
    assert np.isfinite(significance(images, FWHM)).all()


def test_no_stamps_give_none() -> None:
    assert significance(noise(0), FWHM).shape == (0, 60, 72)
