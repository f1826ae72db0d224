"""Cosmic rays are flagged where they can be told from stars; pixels stay as they are."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from astrid_training.cosmic_rays import flag_cosmic_rays
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.stamps import Flag
from astrid_training.surveys import Frame, FrameMeta

HEIGHT, WIDTH = 200, 300


def noisy(level: float, sigma: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(level, sigma, (HEIGHT, WIDTH)).astype(np.float32)


def with_cosmic_ray(**meta: Any) -> ExposureFrames:
    science = noisy(250, 7)
    science[100, 150:154] += 3000
    known = {"gain": 6.2, "read_noise": 10.3, "saturation": 50000.0} | meta
    return ExposureFrames(Frame(science, meta=FrameMeta(**known)), None, Frame(noisy(0, 8)))


def test_a_cosmic_ray_is_flagged_and_left_in_the_pixels() -> None:
    off, on = (
        AstronomicalImageProcessor(PreprocessSpec(cosmic_rays=mode)).apply(
            with_cosmic_ray(), 150, 100, fwhm_px=3.5
        )
        for mode in ("off", "lacosmic")
    )

    hit = np.argwhere(on.flags & Flag.COSMIC_RAY).tolist()
    assert [at for at in hit if at[0] == 36] == [[36, 36], [36, 37], [36, 38], [36, 39]]
    assert len(hit) < 20
    assert_array_equal(on.pixels, off.pixels)
    assert not (off.flags & Flag.COSMIC_RAY).any()


@pytest.mark.parametrize(
    ("meta", "fwhm", "reason"),
    [
        ({"gain": None}, 3.5, "unknown_gain"),
        ({"read_noise": None}, 3.5, "unknown_read_noise"),
        ({}, 2.4, "undersampled"),
        ({}, None, "unknown_fwhm"),
        ({}, 3.5, "found"),
    ],
)
def test_cosmic_rays_are_only_looked_for_where_they_can_be_told(
    meta: dict[str, Any], fwhm: float | None, reason: str
) -> None:
    processor = AstronomicalImageProcessor(PreprocessSpec(cosmic_rays="lacosmic"))

    stamps = processor.apply_many(
        with_cosmic_ray(**meta), np.array([150.0]), np.array([100.0]), fwhm
    )

    assert stamps.cosmic_rays == reason
    assert (stamps.flags & Flag.COSMIC_RAY).any() == (reason == "found")


def test_a_window_has_the_flags_of_a_far_wider_one() -> None:
    science = noisy(250, 7)
    rng = np.random.default_rng(1)
    science[rng.integers(0, HEIGHT, 400), rng.integers(0, WIDTH, 400)] += 2000
    frame = Frame(science, meta=FrameMeta(gain=6.2, read_noise=10.3))

    wide = flag_cosmic_rays(frame, 50, 0, 200, 1e30)
    window = flag_cosmic_rays(frame, 114, 64, 72, 1e30)

    assert window.any()
    assert_array_equal(window, wide[64:136, 64:136])


def test_a_window_beyond_the_frame_has_none() -> None:
    frame = Frame(noisy(250, 7), meta=FrameMeta(gain=6.2, read_noise=10.3))

    assert not flag_cosmic_rays(frame, 5000, 0, 72, 1e30).any()
