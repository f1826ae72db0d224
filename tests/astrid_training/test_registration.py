"""How far science lies from the reference is measured on the stars of each stamp."""

from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.registration import Registration, measure_registration
from astrid_training.stamps import Flag, Stamps
from astrid_training.surveys import Frame
from astrid_training.surveys.frames import FrameMeta

HEIGHT, WIDTH = 220, 260
SIGMA = 1.02  # FWHM 2.4 px
FWHM = 2.4
TARGET = 130.0, 110.0  # column, row; a stamp reaches 36 px
STARS = [(105.3, 90.6), (150.7, 131.2), (121.9, 135.4), (145.1, 84.8)]

Pixels = NDArray[np.float32]


def image(
    stars: list[tuple[float, float]],
    shift: tuple[float, float] = (0, 0),
    flux: float = 6000,
    sigma: float = SIGMA,
    seed: int = 0,
) -> Pixels:
    """Return (height, width) of sky, noise and stars moved by `shift` columns and rows."""
    y, x = np.indices((HEIGHT, WIDTH))
    pixels = np.random.default_rng(seed).normal(300, 10, (HEIGHT, WIDTH))
    for column, row in stars:
        dx, dy = x - column - shift[0], y - row - shift[1]
        pixels += flux * np.exp(-(dx**2 + dy**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return pixels.astype(np.float32)


def measured(
    science: Pixels, reference: Pixels | None, wcs: tuple[Any, Any] = (None, None)
) -> Registration:
    frames = ExposureFrames(
        Frame(science, wcs[0], FrameMeta()),
        None if reference is None else Frame(reference, wcs[1], FrameMeta()),
        Frame(np.random.default_rng(9).normal(0, 14, science.shape).astype(np.float32), wcs[0]),
    )
    x, y = (np.array([value]) for value in TARGET)
    stamps = AstronomicalImageProcessor().apply_many(frames, x, y)
    return found(stamps, frames)


def found(stamps: Stamps, frames: ExposureFrames) -> Registration:
    x, y = (np.array([value]) for value in TARGET)
    return measure_registration(stamps, frames, x - stamps.left, y - stamps.bottom, FWHM)


@pytest.mark.parametrize("shift", [(0, 0), (0.1, 0), (0, -0.3), (0.3, 0.4), (-1.2, 0.9), (2, -1.5)])
@pytest.mark.parametrize("sigma", [0.8, SIGMA, 1.7])
def test_the_residual_is_the_shift_whatever_its_direction_and_the_seeing(
    shift: tuple[float, float], sigma: float
) -> None:
    result = measured(image(STARS, shift, sigma=sigma), image(STARS, flux=9000, seed=1))

    assert result.stars[0] == len(STARS)
    assert result.residual_px[0] == pytest.approx(np.hypot(*shift), abs=0.06)


def test_a_shift_that_the_wcs_knows_is_none() -> None:
    def wcs(column: float, row: float) -> WCS:
        made = WCS(naxis=2)
        made.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        made.wcs.crval, made.wcs.crpix = [150.0, 2.0], [WIDTH / 2 + column, HEIGHT / 2 + row]
        made.wcs.cdelt = [-1 / 3600, 1 / 3600]
        return made

    moved = image(STARS, (7.4, -5.3), seed=1)

    told = measured(image(STARS), moved, (wcs(0, 0), wcs(7.4, -5.3)))
    wrong = measured(image(STARS), moved, (wcs(0, 0), wcs(7.4, -4.3)))

    assert told.residual_px[0] < 0.06
    assert wrong.residual_px[0] == pytest.approx(1.0, abs=0.06)


def test_stars_that_the_reference_shows_nowhere_near_count_three_pixels() -> None:
    result = measured(image(STARS), image(STARS, (9.0, 9.0), seed=1))

    assert result.residual_px[0] == 3.0


@pytest.mark.parametrize(
    ("science", "reference", "stars"),
    [
        pytest.param(image(STARS[:1]), image(STARS[:1], seed=1), 1, id="one star"),
        pytest.param(image([]), image([], seed=1), 0, id="no star"),
        pytest.param(image(STARS, flux=300), image(STARS, seed=1), 0, id="faint stars"),
        pytest.param(image(STARS), None, 0, id="no reference"),
        pytest.param(
            image(STARS), np.full((HEIGHT, WIDTH), np.nan, np.float32), 0, id="an empty reference"
        ),
    ],
)
def test_with_fewer_than_two_stars_nothing_is_said(
    science: Pixels, reference: Pixels | None, stars: int
) -> None:
    result = measured(science, reference)

    assert np.isnan(result.residual_px[0])
    assert result.stars[0] == stars


def test_the_target_itself_is_no_star() -> None:
    new = [*STARS[:2], (TARGET[0] + 1, TARGET[1])]
    result = measured(image(new), image(STARS[:2], seed=1))

    assert result.stars[0] == 2
    assert result.residual_px[0] < 0.06


def test_cosmic_rays_trails_and_full_stars_are_no_stars() -> None:
    science = image(STARS)
    science[95, 140] += 4000  # one pixel
    science[80:140, 112] += 900  # a column, as a trail leaves it
    reference = image(STARS, seed=1)

    assert measured(science, reference).stars[0] == len(STARS)

    frames = ExposureFrames(
        Frame(science, None, FrameMeta(saturation=float(science.max()) * 0.99)),
        Frame(reference, None, FrameMeta(saturation=500.0)),
        Frame(science - reference),
    )
    x, y = (np.array([value]) for value in TARGET)
    stamps = AstronomicalImageProcessor().apply_many(frames, x, y)
    assert (stamps.flags & Flag.SATURATED).any()
    assert found(stamps, frames).stars[0] == 0


def test_a_stamp_is_measured_alone_and_among_others_alike() -> None:
    science, reference = image(STARS, (0.3, 0.2)), image(STARS, seed=1)
    frames = ExposureFrames(Frame(science), Frame(reference), Frame(science - reference))
    x, y = np.array([TARGET[0], 100.0, 60.0]), np.array([TARGET[1], 100.0, 190.0])
    processor = AstronomicalImageProcessor()

    together = processor.apply_many(frames, x, y)
    many = measure_registration(
        together, frames, x - together.left, y - together.bottom, FWHM
    ).residual_px

    for index in range(3):
        at = slice(index, index + 1)
        alone = processor.apply_many(frames, x[at], y[at])
        one = measure_registration(alone, frames, x[at] - alone.left, y[at] - alone.bottom, FWHM)
        np.testing.assert_array_equal(one.residual_px, many[at])
