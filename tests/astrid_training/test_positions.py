"""Positions come from the sky and the WCS, are refined once, and say what was wrong."""

import math

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrid_training.positions import Position, locate, positions_on_frame
from astrid_training.surveys import Frame

HEIGHT, WIDTH = 120, 160
FWHM = 2.5
X, Y = 81.3, 59.6  # of the source that `frame` shows


@pytest.fixture
def wcs() -> WCS:
    return WCS(
        fits.Header(
            {
                "CTYPE1": "RA---TAN",
                "CTYPE2": "DEC--TAN",
                "CRVAL1": 359.999,
                "CRVAL2": -30.0,
                "CRPIX1": 80.5,
                "CRPIX2": 60.5,
                "CD1_1": -1.0 / 3600,
                "CD1_2": 0.0,
                "CD2_1": 0.0,
                "CD2_2": 1.0 / 3600,
            }
        )
    )


def source(peak: float, x: float = X, y: float = Y, noise: float = 5.0) -> np.ndarray:
    rows, columns = np.indices((HEIGHT, WIDTH))
    sigma = FWHM / 2.3548
    light = peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / sigma**2)
    image: np.ndarray = light + np.random.default_rng(0).normal(0, noise, light.shape)
    return image


def sky_of(wcs: WCS, x: float, y: float) -> tuple[float, float]:
    ra, dec = wcs.all_pix2world(x, y, 0)
    return float(ra), float(dec)


def found(wcs: WCS | None, image: np.ndarray, x: float, y: float, sky: WCS) -> Position:
    return locate(Frame(image, wcs=wcs), *sky_of(sky, x, y), round(x), round(y), FWHM)


@pytest.mark.parametrize("peak", [500, -500])
def test_a_sure_source_is_refined_onto_its_centroid(wcs: WCS, peak: float) -> None:
    position = found(wcs, source(peak), X + 0.5, Y - 0.4, wcs)

    assert (position.frame_x, position.frame_y) == pytest.approx((X + 0.5, Y - 0.4), abs=1e-6)
    assert (position.x, position.y) == pytest.approx((X, Y), abs=0.25)
    assert position.shift_px == pytest.approx(math.hypot(0.5, 0.4), abs=0.25)
    assert position.flags == ("refined",)


@pytest.mark.parametrize(
    ("image", "x", "y"),
    [
        pytest.param(source(8), X, Y, id="too faint"),
        pytest.param(source(500), X + 2.2, Y, id="too far"),
        pytest.param(source(500, X + 1) - source(500, X - 1), X, Y, id="a dipole"),
        pytest.param(np.full((HEIGHT, WIDTH), np.nan), X, Y, id="no pixels"),
    ],
)
def test_without_a_sure_and_near_centroid_the_sky_position_stays(
    wcs: WCS, image: np.ndarray, x: float, y: float
) -> None:
    position = found(wcs, image, x, y, wcs)

    assert (position.x, position.y) == (position.frame_x, position.frame_y)
    assert position.shift_px is None
    assert "refined" not in position.flags


@pytest.mark.parametrize(
    ("off", "fwhm", "flags"),
    [(1.9, 2.5, ()), (2.1, 2.5, ("wcs_pixel_mismatch",)), (2.1, 6.0, ())],
)
def test_a_stored_pixel_far_from_the_wcs_is_flagged_and_not_used(
    wcs: WCS, off: float, fwhm: float, flags: tuple[str, ...]
) -> None:
    ra, dec = sky_of(wcs, X, Y)

    position = positions_on_frame(Frame(source(0), wcs=wcs), [ra], [dec], [X + off], [Y], fwhm)[0]

    assert position.flags == flags
    assert (position.x, position.y) == pytest.approx((X, Y), abs=1e-6)


def test_a_wcs_with_declination_first_is_understood(wcs: WCS) -> None:
    header = wcs.to_header()
    for name in ("CTYPE", "CRVAL"):
        header[f"{name}1"], header[f"{name}2"] = header[f"{name}2"], header[f"{name}1"]
    turned = WCS(header)
    dec, ra = turned.all_pix2world(X, Y, 0)

    position = positions_on_frame(Frame(source(0), wcs=turned), [ra], [dec], [X], [Y], FWHM)[0]

    assert (position.x, position.y) == pytest.approx((X, Y), abs=1e-6)


def test_without_a_wcs_the_stored_pixel_is_used_and_flagged(wcs: WCS) -> None:
    position = found(None, source(0), 40.0, 30.0, wcs)

    assert (position.x, position.y, position.flags) == (40.0, 30.0, ("no_wcs",))


def test_with_neither_wcs_nor_pixel_the_position_is_nowhere() -> None:
    position = positions_on_frame(Frame(source(0)), [10.0], [10.0], [None], [None], FWHM)[0]

    assert math.isnan(position.x)
    assert locate(Frame(source(0)), 10.0, 10.0, None, None, FWHM).flags == ("no_wcs",)


def test_a_place_beyond_the_tangent_plane_is_nowhere(wcs: WCS) -> None:
    position = positions_on_frame(Frame(source(0), wcs=wcs), [180.0], [30.0], [5], [5], FWHM)[0]

    assert not 0 <= position.x < WIDTH


@pytest.mark.parametrize("dec", [-30.0, 0.0, 85.0])
def test_the_directions_of_the_sky_are_told_in_pixels(dec: float) -> None:
    turned = WCS(naxis=2)
    turned.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    turned.wcs.crval, turned.wcs.crpix = [10.0, dec], [81, 61]
    turned.wcs.cd = np.array([[0.0, -0.5], [-0.5, 0.0]]) / 3600  # north is left, east is down

    position = positions_on_frame(
        Frame(source(0), wcs=turned), [10.0], [dec], [None], [None], FWHM
    )[0]

    assert position.axes == pytest.approx((0, -2, -2, 0), abs=1e-3)


def test_without_a_wcs_no_direction_is_known() -> None:
    position = positions_on_frame(Frame(source(0)), [10.0], [10.0], [3], [4], FWHM)[0]

    assert position.axes is None
