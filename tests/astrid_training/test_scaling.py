"""Scales: the noise is the unit, zero stays zero, and every preset is bounded as it says."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.params import PreprocessSpec
from astrid_training.scaling import measure_noise, scale_in_place


def scaled(values: np.ndarray, **spec: Any) -> np.ndarray:
    out = values.astype(np.float64)[None]
    centre = out.reshape(1, -1).copy()
    level, noise, _ = measure_noise(centre)
    scale_in_place(out, centre, level, noise, PreprocessSpec(**spec))
    result: np.ndarray = out[0]
    return result


def noise_of(sigma: float, level: float = 0.0) -> np.ndarray:
    return np.random.default_rng(5).normal(level, sigma, (64, 64))


def test_median_and_mad_are_those_of_the_valid_values() -> None:
    rows = np.array([[1.0, 2, 4, np.nan], [5, np.nan, np.nan, 7], [np.nan] * 4, [3, 3, 3, 3]])

    median, noise, count = measure_noise(rows)

    assert_array_equal(median, [2, 6, np.nan, 3])
    assert_allclose(noise, [1.4826, 1.4826, np.nan, 0])
    assert_array_equal(count, [3, 2, 0, 4])


def test_asinh_makes_frames_of_any_gain_and_sky_alike() -> None:
    faint, bright = noise_of(1), noise_of(1) * 40 + 900

    assert_allclose(scaled(faint), scaled(bright), atol=1e-9)


def test_asinh_is_linear_in_the_noise_and_logarithmic_beyond() -> None:
    values = noise_of(1)
    values[0, 0], values[0, 1] = 1e3, 1e6
    level, noise, _ = measure_noise(values.reshape(1, -1))

    out = scaled(values, clip=None)

    assert_allclose(out, np.arcsinh((values - level) / (3 * noise)))
    assert out[0, 1] - out[0, 0] == pytest.approx(np.log(1000), rel=1e-2)


def test_values_beyond_the_clip_are_cut_on_both_sides() -> None:
    values = noise_of(1)
    values[3, 4], values[5, 6] = 1e12, -1e12

    out = scaled(values)

    assert (out[3, 4], out[5, 6]) == (10, -10)


def test_l2_gives_the_central_pixels_unit_norm() -> None:
    assert (scaled(noise_of(3, 5), scale="l2") ** 2).sum() == pytest.approx(1)


@pytest.mark.parametrize("preset", ["percentile", "zscale"])
def test_display_presets_lie_between_0_and_1(preset: str) -> None:
    out = scaled(noise_of(3, 100), scale=preset)

    assert (out.min(), out.max()) == (0, 1)
    assert 0.3 < np.median(out) < 0.7


def test_percentiles_are_those_of_1_and_99() -> None:
    values = np.arange(101.0).repeat(40).reshape(40, 101)

    out = scaled(values, scale="percentile")

    assert_allclose(out[0, :1], 0)
    assert_allclose(np.interp(0.5, out.ravel()[::40][1:-1], values.ravel()[::40][1:-1]), 50, atol=1)


def test_none_changes_nothing() -> None:
    values = noise_of(3, 100)

    assert_array_equal(scaled(values, scale="none", clip=None), values)


@pytest.mark.parametrize("preset", ["asinh", "l2", "percentile", "zscale", "none"])
def test_missing_pixels_stay_missing_and_change_no_other(preset: str) -> None:
    values = noise_of(3, 100)
    values[10, 20] = np.nan

    out = scaled(values, scale=preset)

    assert np.argwhere(np.isnan(out)).tolist() == [[10, 20]]
