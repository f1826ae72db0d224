"""read_frame: pixels, WCS and header values of a survey's file, parsed with suspicion."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.errors import FitsRefusedError
from astrid_training.surveys import FrameMeta, SurveyProfile, profile_for, read_frame

ROWS, COLUMNS = np.indices((50, 70))
NAMED = (100 * ROWS + COLUMNS).astype(np.float32)
SKY = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0,
    "CRVAL2": 20.0,
    "CRPIX1": 35.5,
    "CRPIX2": 25.5,
    "CD1_1": -1.01 / 3600,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 1.01 / 3600,
}
PHOTOMETRY = {
    "FILTER": "ztf_r",
    "MAGZP": 26.3,
    "GAIN": 6.2,
    "READNOI": 10.3,
    "SATURATE": 50000.0,
    "EXPTIME": 30.0,
    "MJD-OBS": 60400.25,
    "DATE-OBS": "2024-03-31T06:00:00",
    "SEEING": 2.02,
    "PIXSCALE": 1.01,
    "BUNIT": "DN",
}


@pytest.fixture
def profile() -> SurveyProfile:
    return profile_for("sim_ztf")


def write(folder: Path, cards: dict[str, object], pixels: np.ndarray = NAMED) -> Path:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    path = folder / "frame.fits"
    hdu.writeto(path)
    return path


def test_a_frame_carries_what_its_header_says(tmp_path: Path, profile: SurveyProfile) -> None:
    frame = read_frame(write(tmp_path, SKY | PHOTOMETRY), profile, "science")

    assert_array_equal(frame.data, NAMED)
    assert frame.shape == (50, 70)
    assert frame.meta == FrameMeta(
        gain=6.2,
        read_noise=10.3,
        saturation=50000.0,
        zero_point=26.3,
        mjd_mid=60400.25 + 15 / 86400,
        time_scale="utc",
        exposure_s=30.0,
        seeing_px=2.0,
        pixel_scale_arcsec=1.01,
        units="DN",
        band="ztf_r",
    )
    assert_allclose(frame.wcs.all_world2pix([[150.0, 20.0]], 0), [[34.5, 24.5]], atol=1e-9)


def test_what_a_header_does_not_say_is_not_known(tmp_path: Path) -> None:
    frame = read_frame(write(tmp_path, {}), profile_for("unheard of"), "science")

    assert frame.wcs is None
    assert frame.meta == FrameMeta()


@pytest.mark.parametrize("value", ["null", "nan", "", -999.0, "Fail 503", True, -99, 0, -1.5])
@pytest.mark.parametrize("keyword", ["GAIN", "SATURATE", "SEEING"])
def test_a_value_that_cannot_be_is_not_known(
    tmp_path: Path, profile: SurveyProfile, keyword: str, value: object
) -> None:
    frame = read_frame(write(tmp_path, SKY | PHOTOMETRY | {keyword: value}), profile, "science")

    known = {"GAIN": "gain", "SATURATE": "saturation", "SEEING": "seeing_px"}
    assert getattr(frame.meta, known[keyword]) is None


def test_numbers_in_quotes_are_understood(tmp_path: Path, profile: SurveyProfile) -> None:
    frame = read_frame(write(tmp_path, {"GAIN": " 6.2 "}), profile, "science")

    assert frame.meta.gain == 6.2


def test_seeing_in_arcseconds_needs_a_pixel_scale(tmp_path: Path, profile: SurveyProfile) -> None:
    frame = read_frame(write(tmp_path, {"SEEING": 2.02}), profile, "science")

    assert frame.meta.seeing_px is None


def test_the_pixel_scale_is_taken_from_the_wcs_where_no_keyword_gives_it(
    tmp_path: Path, profile: SurveyProfile
) -> None:
    frame = read_frame(write(tmp_path, SKY | {"SEEING": 2.02}), profile, "science")

    assert frame.meta.pixel_scale_arcsec == pytest.approx(1.01)
    assert frame.meta.seeing_px == pytest.approx(2.0)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"CTYPE1": ""}, id="no projection"),
        pytest.param({"CTYPE1": "WAVE", "CTYPE2": "LINEAR"}, id="no sky"),
        pytest.param({"CD1_1": 0.0, "CD2_2": 0.0}, id="singular"),
        pytest.param({"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"}, id="unknown projection"),
    ],
)
def test_a_wcs_that_does_not_work_is_none(
    tmp_path: Path, profile: SurveyProfile, broken: dict[str, object]
) -> None:
    assert read_frame(write(tmp_path, SKY | broken), profile, "science").wcs is None


def damage(path: Path, keyword: str, card: str) -> Path:
    content = path.read_bytes()
    at = content.index(keyword.ljust(8).encode() + b"=")
    path.write_bytes(content[:at] + card.ljust(80).encode() + content[at + 80 :])
    return path


@pytest.mark.parametrize("card", ["CTYPE1  = 3", "CTYPE1  = T", "A_ORDER = 'x'", "CRPIX1  = 1E999"])
def test_keywords_of_the_wrong_type_make_no_wcs(
    tmp_path: Path, profile: SurveyProfile, card: str
) -> None:
    keyword = "CTYPE1" if card.startswith("C") else "GAIN"
    path = damage(write(tmp_path, SKY | PHOTOMETRY), keyword, card)

    read_frame(path, profile, "science")  # with or without sky, the frame is there


@pytest.mark.parametrize("keyword", ["CTYPE1", "EXPTIME", "FILTER", "MJD-OBS", "SEEING"])
@pytest.mark.parametrize("value", ["1.2\0\0", "'abc", "1.2.3abc"])
def test_a_card_that_cannot_be_parsed_costs_no_more_than_its_file(
    tmp_path: Path, profile: SurveyProfile, keyword: str, value: str
) -> None:
    sky = SKY if keyword == "CTYPE1" else {}
    path = write(tmp_path, sky | PHOTOMETRY)
    damage(path, keyword, f"{keyword:<8}= {value}")

    with pytest.raises(FitsRefusedError) as caught:
        read_frame(path, profile, "science")
    assert caught.value.reason == "bad_header"
    assert caught.value.detail.isprintable()


def test_sentinels_and_infinities_are_missing(tmp_path: Path, profile: SurveyProfile) -> None:
    pixels = NAMED.copy()
    pixels[3, 4], pixels[3, 5], pixels[3, 6], pixels[3, 7] = np.nan, np.inf, -3.4028235e38, 2e30

    frame = read_frame(write(tmp_path, {}, pixels), profile, "science")

    assert np.argwhere(np.isnan(frame.data)).tolist() == [[3, 4], [3, 5], [3, 6], [3, 7]]
    assert np.isnan(frame.window(slice(3, 4), slice(0, 70), missing_above=200.0)).sum() == 70


def test_a_survey_that_stores_reference_minus_science_is_turned_round(
    tmp_path: Path, profile: SurveyProfile
) -> None:
    turned = profile.model_copy(update={"difference_sign": -1})
    path = write(tmp_path, {})

    assert_array_equal(read_frame(path, turned, "difference").data, -NAMED)
    assert_array_equal(read_frame(path, turned, "science").data, NAMED)
    assert read_frame(path, turned, "difference").sign == -1


def test_each_role_is_read_from_its_own_hdu(tmp_path: Path, profile: SurveyProfile) -> None:
    path = tmp_path / "triplet.fits"
    hdus = [
        fits.ImageHDU(k * NAMED, name=n)
        for k, n in enumerate(("SCIENCE", "TEMPLATE", "DIFFERENCE"), 1)
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    names = {"science": ("SCIENCE",), "reference": ("TEMPLATE",), "difference": (3,)}
    triplet = profile.model_copy(update={"hdus": names})

    assert_array_equal(read_frame(path, triplet, "reference", "stamp").data, 2 * NAMED)
    assert_array_equal(read_frame(path, triplet, "difference").data, 3 * NAMED)
    assert read_frame(path, triplet, "reference", "stamp").kind == "stamp"


def test_a_plain_file_is_mapped_not_read(tmp_path: Path, profile: SurveyProfile) -> None:
    frame = read_frame(write(tmp_path, {}), profile, "science")

    assert isinstance(frame.pixels, np.ndarray)
    assert not frame.pixels.flags.owndata
    assert frame.pixels.dtype == np.dtype(">f4")
    assert frame.window(slice(1, 3), slice(2, 5)).dtype.isnative


def test_planes_are_looked_at_window_by_window(tmp_path: Path) -> None:
    flags = np.zeros(NAMED.shape, np.int16)
    flags[10, 20] = 4
    path = tmp_path / "mef.fits"
    hdus = [fits.ImageHDU(NAMED, name="SCI"), fits.ImageHDU(flags, name="DQ")]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)

    frame = read_frame(path, profile_for("hst"), "science")

    assert isinstance(frame.pixels, np.ndarray)
    assert isinstance(frame.planes[0].values, np.ndarray)
    assert not frame.pixels.flags.owndata
    values = frame.planes[0].values
    assert isinstance(values, np.ndarray)
    assert not values.flags.owndata
    assert np.isnan(frame.unmasked(slice(10, 11), slice(19, 22))).tolist() == [[False, True, False]]
    assert not np.isnan(frame.window(slice(0, 10), slice(0, 70))).any()
