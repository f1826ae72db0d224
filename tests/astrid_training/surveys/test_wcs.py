"""wcslib alone gives the positions that astropy's WCS gives, to the last bit."""

import copy
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_array_equal

from astrid_training.surveys import profile_for, read_frame
from astrid_training.surveys.wcs import PlainWcs

DATA = Path(os.environ.get("ASTRID_SURVEY_DATA", Path(__file__).parents[4] / "shared/data"))
SHAPE = (300, 200)

TAN: dict[str, object] = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 210.802429,
    "CRVAL2": 54.34875,
    "CRPIX1": 1024.512345678901,
    "CRPIX2": 99.5,
    "CDELT1": -2.8055555555555555e-4,
    "CDELT2": 2.8055555555555555e-4,
}
CD: dict[str, object] = {"CD1_1": -7.28e-5, "CD1_2": 3.1e-7, "CD2_1": 2.9e-7, "CD2_2": 7.3e-5}
PLAIN: dict[str, dict[str, object]] = {
    "TAN": TAN,
    "turned": TAN | {"CROTA2": 33.3},
    "PC": TAN | {"PC1_1": 0.8, "PC1_2": 0.6, "PC2_1": -0.6, "PC2_2": 0.8},
    "CD": {k: v for k, v in TAN.items() if "CDELT" not in k} | CD,
    "CD beside CDELT": TAN | CD,
    "ZEA": TAN | {"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA"},
    "SIN": TAN | {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "LONPOLE": 170.0},
    "declination first": TAN
    | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 54.3, "CRVAL2": 210.8},
    "at the pole": TAN | {"CRVAL2": 89.999},
    "old keywords": TAN | {"EPOCH": 1950.0, "RADECSYS": "FK4", "DATE-OBS": "2001-02-03"},
    "arcseconds": TAN
    | {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": -1.0, "CDELT2": 1.0}
    | {"CRVAL1": 758888.7, "CRVAL2": 195655.5},
}
NOT_PLAIN: dict[str, dict[str, object]] = {
    "SIP": TAN
    | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "A_2_0": 1e-6}
    | {"B_ORDER": 2, "B_0_2": 1e-6},
    "SIP without a name": TAN | {"A_ORDER": 2, "A_2_0": 1e-6, "B_ORDER": 2, "B_0_2": 1e-6},
    "TPV": TAN | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0},
    "galactic": TAN | {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"},
}


def read(folder: Path, cards: dict[str, object]) -> Any:
    path = folder / "a.fits"
    fits.PrimaryHDU(np.ones(SHAPE, np.float32), fits.Header(cards)).writeto(path)
    return read_frame(path, profile_for("generic"), "science").wcs, path


def expected_of(path: Path, number: int | None = None) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd cards
        with fits.open(path) as hdus:
            found = [n for n, hdu in enumerate(hdus) if hdu.is_image and len(hdu.shape) >= 2]
            number = found[0] if number is None else number
            header = hdus[0].header.copy(strip=True)
            header.update(hdus[number].header)
            return WCS(header if number else hdus[0].header, hdus).celestial


def assert_same_positions(wcs: Any, expected: WCS, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-50, max(shape) + 50, (2, 500))
    ordered = expected.wcs.lngtyp == "RA"
    for place in ((x, y, 0), (np.stack([x, y], axis=1), 0), (x[:0], y[:0], 0), (3, 4, 1)):
        for one, other in zip(
            wcs.all_pix2world(*place, ra_dec_order=ordered),
            expected.all_pix2world(*place, ra_dec_order=ordered),
            strict=True,
        ):
            assert_array_equal(one, other)
    sky = np.stack(expected.all_pix2world(x, y, 0, ra_dec_order=ordered), axis=1)
    assert_array_equal(
        wcs.all_world2pix(sky, 0, ra_dec_order=ordered, quiet=True),
        expected.all_world2pix(sky, 0, ra_dec_order=ordered, quiet=True),
    )
    assert_array_equal(wcs.pixel_scale_matrix, expected.pixel_scale_matrix)
    assert wcs.has_distortion == expected.has_distortion


@pytest.mark.parametrize("form", PLAIN)
def test_a_plain_projection_needs_wcslib_alone(tmp_path: Path, form: str) -> None:
    wcs, path = read(tmp_path, PLAIN[form])

    assert isinstance(wcs, PlainWcs)
    assert_same_positions(wcs, expected_of(path), SHAPE)
    assert_same_positions(copy.deepcopy(wcs), expected_of(path), SHAPE)


@pytest.mark.parametrize("form", NOT_PLAIN)
def test_distortions_and_other_systems_are_left_to_astropy(tmp_path: Path, form: str) -> None:
    wcs, path = read(tmp_path, NOT_PLAIN[form])

    assert isinstance(wcs, WCS)
    assert_same_positions(wcs, expected_of(path), SHAPE)


def test_two_frames_of_a_file_never_share_a_wcs(tmp_path: Path) -> None:
    one, path = read(tmp_path, TAN)

    assert read_frame(path, profile_for("generic"), "science").wcs.wcs is not one.wcs


@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no real survey files at {DATA}")
@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted((DATA / "images").rglob("*.fit*"))
        if not any(part in path.name for part in ("DEC-OBS", "spectrum", "nowcs"))
    ],
    ids=lambda path: str(path.name),
)
def test_real_files_are_placed_to_the_last_bit(path: Path) -> None:
    frame = read_frame(path, profile_for("generic"), "science")

    assert_same_positions(frame.wcs, expected_of(path), frame.shape)
