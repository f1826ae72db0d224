"""Quirks 6 and 13: skies of every kind, and odd cards, named once and never fatal."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from tests.astrid_training.surveys.quirk_files import (
    NAMED,
    extension,
    read,
    write,
)

SKY: dict[str, Any] = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0,
    "CRVAL2": 20.0,
    "CRPIX1": 35.5,
    "CRPIX2": 25.5,
    "CD1_1": -1e-4,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 1e-4,
}
PLACE = [[60.0, 10.0]]


def sky_of(path: Path, survey: str = "generic") -> NDArray[np.float64]:
    frame = read(path, survey)
    assert frame.wcs is not None
    position: NDArray[np.float64] = frame.wcs.all_pix2world(PLACE, 0)
    return position


def gnomonic(x: float, y: float) -> NDArray[np.float64]:
    position: NDArray[np.float64] = WCS(fits.Header(SKY)).all_pix2world([[x, y]], 0)
    return position


def cards_of(**more: Any) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(NAMED)
    hdu.header.update(SKY | more)
    return hdu


def test_quirk_6_sip_moves_positions(tmp_path: Path) -> None:
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
    path = write(tmp_path / "a.fits", cards_of(**sip, A_2_0=1e-3))

    u = PLACE[0][0] - 34.5
    assert_allclose(sky_of(path), gnomonic(PLACE[0][0] + 1e-3 * u**2, PLACE[0][1]), atol=1e-10)


def test_quirk_6_lookup_tables_move_positions(tmp_path: Path) -> None:
    image = extension("SCI", NAMED)
    image.header.update(SKY)
    hdus = [fits.PrimaryHDU(), image]
    for axis, shift in ((1, 0.5), (2, -0.25)):
        image.header[f"CPDIS{axis}"] = "LOOKUP"
        for name, value in {"EXTVER": axis, "NAXES": 2, "AXIS.1": 1, "AXIS.2": 2}.items():
            image.header.append((f"DP{axis}", f"{name}: {value}"), end=True)
        table = extension("WCSDVARR", np.full((3, 3), shift, np.float32), axis)
        places = {"CRPIX1": 1, "CRPIX2": 1, "CRVAL1": 1, "CRVAL2": 1, "CDELT1": 40, "CDELT2": 40}
        table.header.update(places)
        hdus.append(table)
    path = write(tmp_path / "a.fits", *hdus)

    moved = gnomonic(PLACE[0][0] + 0.5, PLACE[0][1] - 0.25)
    assert_allclose(sky_of(path, "hst"), moved, atol=1e-9)


def test_quirk_6_tpv_moves_positions(tmp_path: Path) -> None:
    tpv = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_0": 5e-4, "PV1_1": 1.0, "PV2_1": 1.0}

    found = sky_of(write(tmp_path / "a.fits", cards_of(**tpv)))

    assert_allclose(found, gnomonic(PLACE[0][0] - 5, PLACE[0][1]), atol=1e-9)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(None, id="absent"),
        pytest.param({"CTYPE1": None, "CTYPE2": None}, id="CRVAL without CTYPE"),
        pytest.param({"CTYPE1": "", "CTYPE2": ""}, id="blank CTYPE"),
        pytest.param({"CTYPE1": "LAMBDA", "CTYPE2": "ANGLE"}, id="a spectrum"),
        pytest.param({"CD1_1": 0.0, "CD2_2": 0.0}, id="singular"),
        pytest.param({"CRVAL2": 200.0, "LATPOLE": 95.0}, id="no such declination"),
        pytest.param({"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}, id="no such projection"),
        pytest.param({"CTYPE2": "DEC--SIN"}, id="two projections"),
        pytest.param({"CTYPE1": "RA---TAN-SIP", "A_ORDER": 500, "B_ORDER": 500}, id="huge SIP"),
    ],
)
def test_quirk_6_a_sky_that_does_not_work_is_not_known(
    tmp_path: Path, changed: dict[str, Any] | None
) -> None:
    hdu = fits.PrimaryHDU(NAMED)
    cards = {} if changed is None else SKY | changed
    hdu.header.update({keyword: value for keyword, value in cards.items() if value is not None})

    frame = read(write(tmp_path / "a.fits", hdu))

    assert frame.wcs is None
    assert_array_equal(frame.data, NAMED)


def test_quirk_6_a_spectral_axis_beside_the_sky_is_left_out(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(NAMED[None])
    hdu.header.update(SKY | {"CTYPE3": "FREQ", "CRVAL3": 1.4e9, "CDELT3": 1e6, "CRPIX3": 1.0})

    assert_allclose(sky_of(write(tmp_path / "a.fits", hdu)), gnomonic(*PLACE[0]), atol=1e-12)


def test_quirk_6_the_sky_of_another_image_in_the_primary_hdu_is_not_taken(tmp_path: Path) -> None:
    overview = fits.PrimaryHDU(NAMED[::5, ::5])
    overview.header.update(SKY)
    path = write(tmp_path / "a.fits", overview, extension("SCI", NAMED))

    assert read(path, "hst").wcs is None


def test_quirk_13_odd_cards_are_logged_once_and_warnings_elsewhere_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hdu = cards_of(RADECSYS="FK5", DATE_OBS="x")
    hdu.header["DATE-OBS"] = "31/12/97"
    path = write(tmp_path / "a.fits", hdu)

    for _ in range(3):
        assert read(path).wcs is not None
    assert len([r for r in caplog.records if "FITSFixedWarning" in r.message]) == 1
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", UserWarning, stacklevel=1)
