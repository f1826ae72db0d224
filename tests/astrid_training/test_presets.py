"""Each scale against its formula, by another library or written out, on stamps of the default size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.stats import mad_std
from astropy.visualization import PercentileInterval, ZScaleInterval
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame

X, Y = 61, 55
WINDOW = slice(Y - 36, Y + 36), slice(X - 36, X + 36)
INNER = slice(4, 68), slice(4, 68)
TO_MAD_STD = 1.4826 * 0.6744897501960817  # ours is rounded as in the field's papers

Images = dict[str, np.ndarray]


@pytest.fixture
def images() -> Images:
    """Noise, a star in each, and a hole in each."""
    random = np.random.default_rng(29)
    rows, columns = np.indices((110, 120))
    star = 900 * np.exp(-((rows - Y) ** 2 + (columns - X) ** 2) / 3)
    levels = {"science": 300.0, "reference": 250.0, "difference": 0.0}
    made = {}
    for role, level in levels.items():
        image = random.normal(level, 8, star.shape) + star
        image[50:54, 40:46] = np.nan
        made[role] = image.astype(np.float32)
    return made


def made_of(images: Images, **spec: Any) -> np.ndarray:
    frames = ExposureFrames(**{role: Frame(image) for role, image in images.items()})
    return AstronomicalImageProcessor(PreprocessSpec(**spec)).apply(frames, X, Y).pixels


def asinh(stamp: np.ndarray, centre: np.ndarray, role: str) -> np.ndarray:
    noise = mad_std(centre, ignore_nan=True) * TO_MAD_STD
    zero = 0 if role == "difference" else np.nanmedian(centre)
    return np.asarray(np.clip(np.arcsinh((stamp - zero) / (3 * noise)), -10, 10))


def l2(stamp: np.ndarray, centre: np.ndarray, role: str) -> np.ndarray:
    """As BTSbot and braai have it: each cutout over its norm."""
    return np.asarray(stamp / np.linalg.norm(centre[np.isfinite(centre)]))


def percentile(stamp: np.ndarray, centre: np.ndarray, role: str) -> np.ndarray:
    low, high = PercentileInterval(98).get_limits(centre)
    return np.asarray(np.clip((stamp - low) / (high - low), 0, 1))


def zscale(stamp: np.ndarray, centre: np.ndarray, role: str) -> np.ndarray:
    low, high = ZScaleInterval().get_limits(centre)
    return np.asarray(np.clip((stamp - low) / (high - low), 0, 1))


def none(stamp: np.ndarray, centre: np.ndarray, role: str) -> np.ndarray:
    return stamp


@pytest.mark.parametrize("formula", [asinh, l2, percentile, zscale, none])
@pytest.mark.parametrize("background", ["none", "median"])
def test_a_scale_is_its_formula(
    images: Images, formula: Callable[..., np.ndarray], background: str
) -> None:
    clip = 10 if formula is asinh else None
    pixels = made_of(images, scale=formula.__name__, background=background, clip=clip)

    for channel, role in enumerate(images):
        stamp = images[role][WINDOW].astype(np.float64)
        if background == "median" and role != "difference":
            stamp -= np.nanmedian(stamp[INNER])
        expected = formula(stamp, stamp[INNER], role)
        assert_allclose(pixels[channel], np.nan_to_num(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scale", ["asinh", "l2", "zscale", "percentile"])
def test_a_scale_does_not_depend_on_the_files_units(images: Images, scale: str) -> None:
    other = {role: image * np.float32(32) for role, image in images.items()}

    assert_allclose(made_of(images, scale=scale), made_of(other, scale=scale), atol=2e-6)


@pytest.mark.parametrize("scale", ["asinh", "l2", "zscale", "percentile", "none"])
def test_whatever_the_scale_a_channel_without_noise_is_0(images: Images, scale: str) -> None:
    images["reference"][:] = 17

    pixels = made_of(images, scale=scale)

    assert_array_equal(pixels[1], 0)
    assert np.isfinite(pixels).all()
    assert pixels[0].any()


@pytest.mark.parametrize("scale", ["asinh", "l2", "none"])
def test_a_faded_source_is_the_negative_of_a_bright_one(images: Images, scale: str) -> None:
    faded = {**images, "difference": -images["difference"]}

    assert_array_equal(made_of(images, scale=scale)[2], -made_of(faded, scale=scale)[2])


def test_a_clip_of_ones_own_cuts_every_scale(images: Images) -> None:
    for scale in ("asinh", "l2", "none"):
        assert np.abs(made_of(images, scale=scale, clip=0.02)).max() == np.float32(0.02)
