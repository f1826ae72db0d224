"""The PSF's width: who says so first, and what stars say where nobody does."""

import math
from dataclasses import replace

import numpy as np
import pytest

from astrid_training.exposures import Target, build_exposure
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.psf import ExposureContext, Psf, measured_psf, stated_psf
from astrid_training.stars import find_stars
from astrid_training.surveys import Frame, FrameMeta, profile_for

SIDE = 320
META = FrameMeta(saturation=50_000.0, pixel_scale_arcsec=1.0)
CONTEXT = ExposureContext("sim_ztf", "ztf_r", None, None, profile_for("sim_ztf"))
PROFILE = profile_for("sim_ztf").psf_fwhm_px
HERE = np.array([160.0])


def sky(
    *stars: tuple[float, float],
    fwhm: float = 3.0,
    flux: float = 9000.0,
    long: float = 1.0,
    seed: int = 1,
) -> np.ndarray:
    """Return an image with Gaussian stars on noise."""
    image = np.random.default_rng(seed).normal(100, 10, (SIDE, SIDE))
    rows, columns = np.indices(image.shape)
    variance = (fwhm / 2.3548) ** 2
    for x, y in stars:
        shape = ((columns - x) / long) ** 2 + (rows - y) ** 2
        image += flux / (2 * math.pi * variance * long) * np.exp(-shape / 2 / variance)
    return image.astype(np.float32)


FIVE = ((120.3, 150.2), (200.8, 140.1), (150.5, 210.4), (99.9, 101.0), (240.0, 230.7))


def exposure(
    science: np.ndarray,
    reference: np.ndarray | None = None,
    stated: tuple[float | None, float | None] = (None, None),
) -> ExposureFrames:
    """Return frames whose headers state the seeing of science and of the reference."""
    other = sky() if reference is None else reference
    return ExposureFrames(
        Frame(science, None, replace(META, seeing_px=stated[0])),
        Frame(other, None, replace(META, seeing_px=stated[1])),
        Frame(sky(seed=3) - 100, None, META),
    )


@pytest.mark.parametrize(
    ("science", "reference", "seeing", "expected"),
    [
        pytest.param(2.5, None, None, (2.5, "header"), id="header"),
        pytest.param(2.5, 2.0, 9.9, (2.5, "header"), id="the blurrier science"),
        pytest.param(2.5, 3.0, None, (3.0, "header"), id="the blurrier reference"),
        pytest.param(None, None, 2.0, (2.0, "observation"), id="the observation's seeing"),
    ],
)
def test_what_is_stated_comes_first(
    science: float | None,
    reference: float | None,
    seeing: float | None,
    expected: tuple[float, str],
) -> None:
    frames = exposure(sky(), stated=(science, reference))

    assert stated_psf(frames, replace(CONTEXT, seeing_arcsec=seeing)) == Psf(*expected)


def test_a_reference_with_larger_pixels_counts_its_seeing_in_ours() -> None:
    frames = exposure(sky(), stated=(2.5, 2.0))
    assert frames.reference is not None
    coarse = replace(frames.reference, meta=replace(META, seeing_px=2.0, pixel_scale_arcsec=2.0))

    stated = stated_psf(replace(frames, reference=coarse), CONTEXT)

    assert stated == Psf(4.0, "header")


@pytest.mark.parametrize("fwhm", [2.2, 3.0, 5.5])
def test_three_round_stars_tell_the_width(fwhm: float) -> None:
    psf = measured_psf(exposure(sky(*FIVE, fwhm=fwhm, flux=40_000)), CONTEXT, HERE, HERE)

    assert psf.source == "stars"
    assert psf.fwhm_px == pytest.approx(fwhm, rel=0.03)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_stars_are_flagged(count: int) -> None:
    psf = measured_psf(exposure(sky(*FIVE[:count])), CONTEXT, HERE, HERE)

    assert psf.source == "few_stars"
    assert psf.fwhm_px == pytest.approx(3.0, rel=0.05)


def test_the_blurrier_of_two_images_counts() -> None:
    blurred = exposure(sky(*FIVE), sky(*FIVE, fwhm=4.0))
    sharp = exposure(sky(*FIVE), sky(*FIVE, fwhm=2.0))

    assert measured_psf(blurred, CONTEXT, HERE, HERE).fwhm_px == pytest.approx(4.0, rel=0.05)
    assert measured_psf(sharp, CONTEXT, HERE, HERE).fwhm_px == pytest.approx(3.0, rel=0.05)


def test_what_a_target_lies_on_is_not_asked() -> None:
    frames, here = exposure(sky(*FIVE[:1]), sky()), np.array([120.0])

    assert measured_psf(frames, CONTEXT, here, np.array([152.0])) == Psf(PROFILE, "profile")


def test_a_stated_width_of_the_reference_counts_beside_the_stars_of_science() -> None:
    frames = exposure(sky(*FIVE), stated=(None, 4.5))

    assert measured_psf(frames, CONTEXT, HERE, HERE) == Psf(4.5, "stars")


@pytest.mark.parametrize(
    ("candidates", "expected"), [(3.3, Psf(3.3, "candidates")), (None, Psf(PROFILE, "profile"))]
)
def test_without_stars_candidates_tell_and_then_the_profile(
    candidates: float | None, expected: Psf
) -> None:
    context = replace(CONTEXT, candidates_fwhm_px=candidates)

    assert measured_psf(exposure(sky()), context, HERE, HERE) == expected


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(sky(*FIVE, flux=500), id="too faint"),
        pytest.param(sky(*FIVE, flux=9e6), id="saturated"),
        pytest.param(sky(*FIVE, long=2.0), id="long"),
        pytest.param(sky(*FIVE, fwhm=0.5), id="sharper than light"),
        pytest.param(sky((5, 150), (150, 4), (316, 316)), id="at the edge"),
        pytest.param(np.full((SIDE, SIDE), 7, np.float32), id="constant"),
        pytest.param(sky()[:12, :12], id="tiny"),
    ],
)
def test_what_is_no_star_is_not_taken_for_one(image: np.ndarray) -> None:
    assert find_stars(image, META.saturation) == []


def test_a_star_beside_missing_pixels_is_left_out() -> None:
    image = sky(*FIVE)
    image[148:153, 125:128] = np.nan

    found = find_stars(image, None)

    assert len(found) == 4
    assert all(math.hypot(x - 120.3, y - 150.2) > 5 for x, y, _ in found)


def test_wide_round_galaxies_do_not_widen_the_stars() -> None:
    galaxies = ((60.0, 60.0), (70.0, 160.0), (60.0, 250.0), (250.0, 60.0))
    image = sky(*FIVE) + sky(*galaxies, fwhm=8.0, flux=60_000, seed=2)

    psf = measured_psf(exposure(image), CONTEXT, HERE, HERE)

    assert psf.fwhm_px == pytest.approx(3.0, rel=0.05)


def test_the_stars_of_an_exposure_stand_in_its_measurements() -> None:
    targets = [Target("k", 10.0, 10.0, 160, 160)]
    processor = AstronomicalImageProcessor(PreprocessSpec())

    row = build_exposure(exposure(sky(*FIVE)), targets, processor, CONTEXT).measures.to_pylist()[0]

    assert row["fwhm_source"] == "stars"
    assert row["fwhm_px"] == pytest.approx(3.0, rel=0.05)
