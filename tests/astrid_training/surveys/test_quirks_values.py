"""Quirks 8, 10 and 12: units, times, bands, and words for missing."""

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from tests.astrid_training.surveys.quirk_files import NAMED, extension, primary, read, write


@pytest.mark.parametrize(
    ("survey", "cards", "units", "zero_point"),
    [
        ("ztf", {}, "DN", None),
        ("generic", {}, None, None),
        ("generic", {"BUNIT": "adu", "MAGZP": 25.0}, "adu", 25.0),
        ("jwst", {"BUNIT": "MJy/sr", "PIXAR_SR": 2.23e-14}, "MJy/sr", 28.0292),
        ("jwst", {"BUNIT": "DN/s", "PIXAR_SR": 2.23e-14}, "DN/s", None),
        ("jwst", {"BUNIT": "MJy/sr"}, "MJy/sr", None),
        ("rubin", {"BUNIT": "nJy"}, "nJy", 31.4),
        ("rubin", {"BUNIT": "adu"}, "adu", None),
        (
            "hst",
            {"BUNIT": "ELECTRONS/S", "PHOTFLAM": 7.9064521e-20, "PHOTPLAM": 5917.6797},
            "ELECTRONS/S",
            26.4864,
        ),
        (
            "hst",
            {"BUNIT": "ELECTRONS", "PHOTFLAM": 7.9e-20, "PHOTPLAM": 5917.7, "EXPTIME": 100.0},
            "ELECTRONS",
            31.4873,
        ),
        ("hst", {"BUNIT": "ELECTRONS", "PHOTFLAM": 7.9e-20, "PHOTPLAM": 5917.7}, "ELECTRONS", None),
        ("hst", {"BUNIT": "ELECTRONS/S", "PHOTFLAM": 0.0, "PHOTPLAM": 5917.7}, "ELECTRONS/S", None),
    ],
)
def test_quirk_8_units_and_zero_point_are_what_the_survey_means(
    tmp_path: Path, survey: str, cards: dict[str, Any], units: str | None, zero_point: float | None
) -> None:
    image = extension("SCI", NAMED)
    image.header.update(cards)

    meta = read(write(tmp_path / "a.fits", fits.PrimaryHDU(), image), survey, kind="processed").meta

    assert meta.units == units
    assert meta.zero_point == (pytest.approx(zero_point, abs=1e-3) if zero_point else None)


def test_quirk_8_of_two_units_the_images_own_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", primary(BUNIT="adu"), extension("SCI", NAMED, BUNIT="nJy"))

    assert read(path).meta.units == "nJy"


@pytest.mark.parametrize(
    ("survey", "cards", "mjd", "scale"),
    [
        ("ztf", {"OBSMJD": 58900.25, "EXPTIME": 86.4}, 58900.2505, "utc"),
        ("decam", {"MJD-OBS": 58900.25, "EXPTIME": 86.4, "TIMESYS": "UTC"}, 58900.2505, "utc"),
        ("hst", {"EXPSTART": 50923.75, "EXPEND": 50923.751, "EXPTIME": 30.0}, 50923.7505, "utc"),
        ("jwst", {"MJD-AVG": 59894.17, "TDB-MID": 59759.41}, 59759.41, "tdb"),
        ("jwst", {"EXPMID": 59759.41, "TDB-MID": 59759.4108}, 59759.41, "utc"),
        (
            "tess",
            {"TSTART": 1437.9, "TSTOP": 1437.92, "BJDREFI": 2457000, "BJDREFF": 0.0},
            58437.41,
            "tdb",
        ),
        ("tess", {"TSTART": 1437.9, "TSTOP": 1437.92}, None, "tdb"),
        ("rubin", {"DATE-AVG": "2024-11-09T06:00:00.000000000", "TIMESYS": "TAI"}, 60623.25, "tai"),
        ("generic", {"DATE-OBS": "2011-09-01T12:00:00", "EXPTIME": 86.4}, 55805.5005, None),
        ("generic", {"DATE-OBS": "2011-09-01"}, None, None),
        ("generic", {"DATE-OBS": "13/07/98", "EXPTIME": 30.0}, None, None),
        ("generic", {"DATE-OBS": "2011-13-41T25:00:00", "EXPTIME": 30.0}, None, None),
        ("generic", {"MJD-OBS": 56486.0, "EXPTIME": 150.0}, None, None),
        ("generic", {"MJD-OBS": 58900.25}, None, None),
        ("generic", {"MJD-OBS": -999.0, "EXPTIME": 30.0}, None, None),
        ("generic", {"MJD-OBS": "nan", "EXPTIME": 30.0}, None, None),
    ],
)
def test_quirk_10_the_middle_of_the_exposure_is_known_or_not(
    tmp_path: Path, survey: str, cards: dict[str, Any], mjd: float | None, scale: str | None
) -> None:
    image = extension("SCI", NAMED)
    image.header.update(cards)

    meta = read(write(tmp_path / "a.fits", fits.PrimaryHDU(), image), survey, kind="processed").meta

    assert meta.mjd_mid == (pytest.approx(mjd, abs=1e-6) if mjd else None)
    assert meta.time_scale == scale


def test_quirk_10_exposures_of_tess_are_in_days(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), extension("X", NAMED, EXPOSURE=0.0165))

    meta = read(path, "tess").meta

    assert meta.exposure_s == pytest.approx(1425.6)
    assert meta.band == "tess"


@pytest.mark.parametrize("value", [-999, -99.0, "null", "NONE", "nan", "Fail 503", "", True])
def test_quirk_12_words_for_missing_are_missing(tmp_path: Path, value: Any) -> None:
    hdu = fits.PrimaryHDU(NAMED)
    hdu.header.update({"MAGZP": value, "GAIN": value, "SEEING": value, "PIXSCALE": value})

    meta = read(write(tmp_path / "a.fits", hdu)).meta

    found = (meta.zero_point, meta.gain, meta.seeing_px, meta.pixel_scale_arcsec)
    assert found == (None, None, None, None)


@pytest.mark.parametrize("value", ["null", "NONE", "nan", "", -99, True])
def test_quirk_12_words_for_missing_name_no_band(tmp_path: Path, value: Any) -> None:
    hdu = fits.PrimaryHDU(NAMED)
    hdu.header.update({"FILTER": value, "BUNIT": value})

    meta = read(write(tmp_path / "a.fits", hdu)).meta

    assert (meta.band, meta.units) == (None, None)


@pytest.mark.parametrize(
    ("survey", "cards", "band"),
    [
        ("decam", {"FILTER": "i DECam SDSS c0003 7835.0 1470.0"}, "decam_i"),
        ("hst", {"FILTER1": "CLEAR1S", "FILTER2": "F606W"}, "hst_f606w"),
        ("hst", {"FILTER": "Clear"}, None),
        ("jwst", {"FILTER": "F200W"}, "jwst_f200w"),
        ("ztf", {"FILTER": "ZTF_r"}, "ztf_r"),
        ("rubin", {"FILTER": "i"}, "lsst_i"),
        ("generic", {"FILTER": "B"}, "B"),
    ],
)
def test_bands_have_canonical_names(
    tmp_path: Path, survey: str, cards: dict[str, Any], band: str | None
) -> None:
    hdu = fits.PrimaryHDU(NAMED)
    hdu.header.update(cards)

    assert read(write(tmp_path / "a.fits", hdu), survey).meta.band == band
