"""Files that any reader takes, the same bytes every time."""

from io import BytesIO

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrid_training.simulate import LAYOUTS, SkyPlan
from astrid_training.simulate.conditions import draw_epochs, draw_reference
from astrid_training.simulate.fits_files import field_wcs, fits_bytes
from astrid_training.simulate.sky import draw_field

PLAN = SkyPlan(fields=2, epochs=3, frame_size=(176, 208))
EPOCHS = draw_epochs(PLAN, 1)
FIELD = draw_field(PLAN, 1, EPOCHS)
IMAGE = np.arange(176.0 * 208.0).reshape(176, 208)


def _open(data: bytes) -> fits.HDUList:
    return fits.open(BytesIO(data))


def test_the_image_comes_back_with_the_header_that_readers_need() -> None:
    hdu = _open(fits_bytes(PLAN, FIELD, EPOCHS[0], IMAGE, "science"))[0]

    np.testing.assert_array_equal(hdu.data, IMAGE.astype(np.float32))
    header = hdu.header
    assert header["DATE-OBS"] == EPOCHS[0].time.strftime("%Y-%m-%dT%H:%M:%S")
    assert header["MJD-OBS"] == pytest.approx(60370.2, abs=1)
    assert header["MAGZP"] == pytest.approx(26.3 + 2.5 * np.log10(EPOCHS[0].throughput), abs=1e-4)
    assert header["SEEING"] / header["PIXSCALE"] == pytest.approx(EPOCHS[0].fwhm_px, abs=1e-5)
    assert {"OBJECT", "EXPTIME", "FILTER", "GAIN", "READNOI", "SATURATE", "FIELDID"} <= set(header)
    assert "DATE" not in header  # the wall clock would change the bytes


def test_a_reference_states_the_gain_of_its_average() -> None:
    header = _open(fits_bytes(PLAN, FIELD, draw_reference(PLAN, 1), IMAGE, "reference", 15))[
        0
    ].header

    assert header["EXPTIME"] == 450
    assert header["GAIN"] == pytest.approx(15 * 6.2)
    assert header["READNOI"] == pytest.approx(np.sqrt(15) * 10.3, rel=1e-5)


def test_a_field_position_minus_the_dither_is_the_frames_pixel() -> None:
    old = field_wcs(PLAN, FIELD)
    for epoch in EPOCHS:
        new = WCS(_open(fits_bytes(PLAN, FIELD, epoch, IMAGE, "science"))[0].header)

        sky = old.all_pix2world([[20.25, 150.5], [190.0, 30.0]], 0)
        pixels = new.all_world2pix(sky, 0)

        expected = np.array([[20.25, 150.5], [190.0, 30.0]]) - epoch.dither
        np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_north_is_up_east_is_left_and_the_frame_is_turned() -> None:
    wcs = field_wcs(PLAN, FIELD)
    centre, right, up = wcs.all_pix2world([[104, 88], [105, 88], [104, 89]], 0)
    east = (right[0] - centre[0] + 180) % 360 - 180

    assert east < 0
    assert up[1] > centre[1]
    assert 3 <= abs(FIELD.rotation_deg) <= 12
    np.testing.assert_allclose(np.hypot(*(wcs.pixel_scale_matrix[0])) * 3600, 1.01, rtol=1e-9)


@pytest.mark.parametrize("name", LAYOUTS)
def test_field_one_lies_across_right_ascension_zero(name: str) -> None:
    plan = SkyPlan().named(name)
    height, width = plan.frame_size
    wcs = field_wcs(plan, draw_field(plan, 1, draw_epochs(plan, 1)))
    ras = wcs.all_pix2world([[0, height / 2], [width - 1, height / 2]], 0)[:, 0]

    assert ras.max() > 359
    assert ras.min() < 1
