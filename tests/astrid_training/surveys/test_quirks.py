"""What real files do, each in a small file of our own: read as it is meant, or not known."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from astrid_training.errors import FitsRefusedError
from astrid_training.fits import check_fits
from astrid_training.surveys import Frame, profile_for, read_frame

ROWS, COLUMNS = np.indices((50, 70))
NAMED = (100 * ROWS + COLUMNS).astype(np.float32)
ROLES = ("science", "reference", "difference")
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


def write(path: Path, *hdus: Any) -> Path:
    fits.HDUList(list(hdus)).writeto(path, output_verify="ignore")
    check_fits(path)
    return path


def primary(pixels: Any = None, **cards: Any) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update({name.replace("_", "-"): value for name, value in cards.items()})
    return hdu


def extension(name: str, pixels: Any = None, ver: int = 1, **cards: Any) -> fits.ImageHDU:
    hdu = fits.ImageHDU(pixels, name=name, ver=ver)
    hdu.header.update({keyword.replace("_", "-"): value for keyword, value in cards.items()})
    return hdu


def read(path: Path, survey: str = "generic", role: Any = "science", kind: Any = "raw") -> Frame:
    return read_frame(path, profile_for(survey, kind), role, kind)


def triplet(path: Path, *images: NDArray[Any], second: str = "TEMPLATE", sign: Any = None) -> Path:
    names = ("SCIENCE", second, "DIFFERENCE")
    hdus = [extension(name, image) for name, image in zip(names, images, strict=True)]
    if sign is not None:
        hdus[2].header["DIFFSIGN"] = sign
    return write(path, fits.PrimaryHDU(), *hdus)


# 1


@pytest.mark.parametrize("sentinel", [-3.4028235e38, 3.4028235e38, 1.1e30, np.nan, np.inf])
def test_quirk_1_sentinels_that_pass_isfinite_are_missing(tmp_path: Path, sentinel: float) -> None:
    pixels = NAMED.copy()
    pixels[:25] = sentinel

    data = read(write(tmp_path / "a.fits", primary(pixels))).data

    assert np.isnan(data[:25]).all()
    assert_array_equal(data[25:], NAMED[25:])


# 2


def test_quirk_2_each_image_keeps_its_own_holes(tmp_path: Path) -> None:
    images = [NAMED.copy() for _ in ROLES]
    for number, image in enumerate(images):
        image[:, 10 * number : 10 * number + 5] = np.nan
    path = triplet(tmp_path / "a.fits", *images)

    for role, image in zip(ROLES, images, strict=True):
        assert_array_equal(read(path, "ztf", role, "stamp").data, image)


# 3


@pytest.mark.parametrize("shape", [(63, 63), (55, 63), (63, 51), (30, 30), (61, 61), (81, 81)])
def test_quirk_3_stamps_are_read_at_their_own_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)

    frame = read(triplet(tmp_path / "a.fits", image, -image, 2 * image), "ztf", kind="stamp")

    assert frame.shape == shape
    assert_array_equal(frame.data, image)
    assert (frame.kind, frame.wcs) == ("stamp", None)


# 5


@pytest.mark.parametrize("kind", [">f4", ">f8", "uint8", "uint16", "uint32", ">i2", ">i4", ">i8"])
@pytest.mark.parametrize("compression", [None, "GZIP_1", "GZIP_2", "RICE_1"])
def test_quirk_5_every_type_of_pixel_gives_the_same_native_numbers(
    tmp_path: Path, kind: str, compression: str | None
) -> None:
    values = NAMED % 200 if kind == "uint8" else NAMED
    pixels = values.astype(kind)
    if compression == "RICE_1" and kind in (">i8", ">f4", ">f8"):
        pixels = values.astype(">i4")  # RICE packs no 64-bit integers, and floats with loss
    hdu: Any = fits.ImageHDU(pixels)
    if compression:
        hdu = fits.CompImageHDU(pixels, compression_type=compression, quantize_level=0)

    data = read(write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)).data

    assert data.dtype == np.dtype("=f4")
    assert_array_equal(data, values)


# 6


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


# 7


def test_quirk_7_the_extensions_keywords_stand_over_the_primarys(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.fits",
        primary(EXPTIME=88.0, MJD_OBS=58070.25, BAND="r", SATURATE=1.0),
        extension("S4", NAMED, SATURATE=45707.5, FWHM=4.5),
    )

    meta = read(path, "decam").meta

    assert (meta.saturation, meta.seeing_px, meta.band) == (45707.5, 4.5, "decam_r")
    assert meta.mjd_mid == pytest.approx(58070.25 + 44 / 86400, abs=1e-9)


def test_quirk_7_tiles_in_a_plain_file_are_unpacked(tmp_path: Path) -> None:
    hdu = fits.CompImageHDU(NAMED.astype(np.int32), name="N6")

    assert_array_equal(
        read(write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu), "decam").data, NAMED
    )


def test_quirk_7_of_repeated_names_the_first_with_pixels_counts(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.fits",
        *(fits.PrimaryHDU(), extension("SCI"), extension("ERR"), extension("DQ")),
        *(extension("SCI", NAMED, 2), extension("ERR", ver=2), extension("DQ", ver=2)),
    )

    assert_array_equal(read(path, "hst").data, NAMED)


def test_quirk_7_a_chip_can_be_asked_for_by_its_number(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.fits", fits.PrimaryHDU(), extension("SCI", -NAMED), extension("SCI", NAMED, 2)
    )
    second = profile_for("hst").model_copy(update={"hdus": {"science": ("SCI,2",)}})

    assert_array_equal(read_frame(path, second, "science").data, NAMED)


def quality(kind: type, *places: tuple[int, int, int]) -> NDArray[Any]:
    flags: NDArray[Any] = np.zeros(NAMED.shape, kind)
    for row, column, bits in places:
        flags[row, column] = bits
    return flags


@pytest.mark.parametrize(
    ("survey", "kind"), [("hst", np.int16), ("jwst", np.uint32), ("jwst", np.int32)]
)
def test_quirk_7_pixels_that_the_quality_plane_condemns_are_missing(
    tmp_path: Path, survey: str, kind: type
) -> None:
    flags = quality(kind, (3, 4, 1), (5, 6, 64), (7, 8, 65))
    path = write(
        tmp_path / "a.fits",
        *(fits.PrimaryHDU(), extension("SCI", NAMED), extension("ERR", NAMED)),
        extension("DQ", flags),
    )

    frame = read(path, survey)

    assert np.argwhere(np.isnan(frame.data)).tolist() == [[3, 4], [7, 8]]
    assert np.isnan(frame.window(slice(3, 4), slice(4, 6))).tolist() == [[True, False]]
    assert not frame.pixels.flags.owndata, "the image stays a view of its file"


@pytest.mark.parametrize(("kind", "bit"), [(np.uint16, 1 << 15), (np.uint32, 1 << 31)])
def test_quirk_7_the_highest_bit_of_unsigned_quality_is_a_bit_like_others(
    tmp_path: Path, kind: type, bit: int
) -> None:
    flags = quality(kind, (3, 4, bit), (5, 6, bit >> 1))
    path = write(
        tmp_path / "a.fits", fits.PrimaryHDU(), extension("SCI", NAMED), extension("DQ", flags)
    )
    profile = profile_for("jwst").model_copy(update={"dq_missing": (bit,)})

    missing = np.argwhere(np.isnan(read_frame(path, profile, "science").data))

    assert missing.tolist() == [[3, 4]]


def test_quirk_7_each_chip_has_the_quality_plane_of_its_number(tmp_path: Path) -> None:
    one, two = quality(np.int16, (1, 1, 4)), quality(np.int16, (2, 2, 4))
    path = write(
        tmp_path / "a.fits",
        *(fits.PrimaryHDU(), extension("SCI", NAMED), extension("DQ", one)),
        *(extension("SCI", NAMED, 2), extension("DQ", two, 2)),
    )
    second = profile_for("hst").model_copy(update={"hdus": {"science": ("SCI,2",), "dq": ("DQ",)}})

    assert np.argwhere(np.isnan(read(path, "hst").data)).tolist() == [[1, 1]]
    assert np.argwhere(np.isnan(read_frame(path, second, "science").data)).tolist() == [[2, 2]]


def test_quirk_7_rubins_mask_names_its_bits_in_its_header(tmp_path: Path) -> None:
    flags = quality(np.int32, (3, 4, 1 << 8), (5, 6, 1 << 5), (7, 8, 1))
    mask = extension("MASK", flags)
    for name, bit in {"MP_BAD": 0, "MP_DETECTED": 5, "MP_NO_DATA": 8}.items():
        mask.header[name if len(name) <= 8 else f"HIERARCH {name}"] = bit
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), extension("IMAGE", NAMED), mask)

    missing = np.argwhere(np.isnan(read(path, "rubin").data))

    assert missing.tolist() == [[3, 4], [7, 8]]


def test_quirk_7_pixels_without_weight_are_missing(tmp_path: Path) -> None:
    weights = np.ones(NAMED.shape, np.float32)
    weights[3, 4], weights[5, 6], weights[7, 8] = 0, -1, np.nan
    path = write(
        tmp_path / "a.fits",
        *(fits.PrimaryHDU(), extension("SCI", NAMED), extension("WHT", weights)),
    )
    profile = profile_for("hst").model_copy(
        update={"hdus": {"science": ("SCI",), "weight": ("WHT",)}}
    )

    missing = np.argwhere(np.isnan(read_frame(path, profile, "science").data))

    assert missing.tolist() == [[3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    "plane",
    [
        pytest.param(np.full((10, 10), 1, np.int16), id="of another shape"),
        pytest.param(None, id="empty"),
        pytest.param(np.ones(NAMED.shape, np.float32), id="of floats"),
    ],
)
def test_quirk_7_a_quality_plane_that_does_not_fit_is_named_once_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plane: NDArray[Any] | None
) -> None:
    path = write(
        tmp_path / "a.fits", fits.PrimaryHDU(), extension("SCI", NAMED), extension("DQ", plane)
    )

    for _ in range(2):
        assert_array_equal(read(path, "hst").data, NAMED)
    assert len([r for r in caplog.records if "not used" in r.message]) == 1


# 8


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


# 9


@pytest.mark.parametrize(
    ("pixels", "cards", "level"),
    [
        (NAMED.astype(np.uint16), {}, 65535.0),
        (NAMED.astype(np.uint16), {"SATURATE": 60000.0}, 60000.0),
        (NAMED.astype(np.uint16), {"SATURATE": "null"}, 65535.0),
        (NAMED.astype(np.int16), {}, None),
        (NAMED, {}, None),
    ],
)
@pytest.mark.parametrize("form", [fits.ImageHDU, fits.CompImageHDU])
def test_quirk_9_unsigned_counts_are_full_at_65535_where_nothing_is_said(
    tmp_path: Path, pixels: NDArray[Any], cards: dict[str, Any], level: float | None, form: Any
) -> None:
    hdu = form(pixels)
    hdu.header.update(cards)

    assert read(write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)).meta.saturation == level


# 10


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


# 12


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


# 13


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


# 14: every kind of hostile file is in test_fits_hostile.py


def test_quirk_14_an_image_without_a_value_beside_a_good_one_is_refused_alone(
    tmp_path: Path,
) -> None:
    empty = np.full(NAMED.shape, np.nan, np.float32)
    path = triplet(tmp_path / "a.fits", NAMED, empty, NAMED)

    assert_array_equal(read(path, "ztf", "science", "stamp").data, NAMED)
    with pytest.raises(FitsRefusedError, match="no_finite_pixels"):
        read(path, "ztf", "reference", "stamp")


# 15


@pytest.mark.parametrize(("stated", "sign"), [(None, 1), (1, 1), (-1, -1), (-1.0, -1)], ids=str)
@pytest.mark.parametrize("survey", ["ztf", "rubin", "generic", "small_stamps"])
def test_quirk_15_a_difference_is_science_minus_reference(
    tmp_path: Path, survey: str, stated: float | None, sign: int
) -> None:
    path = triplet(
        tmp_path / "a.fits", NAMED, NAMED - 5, sign * (NAMED + 7), second="REFERENCE", sign=stated
    )

    frame = read(path, survey, "difference", "stamp")

    assert frame.sign == sign
    assert_array_equal(frame.data, NAMED + 7)
    assert_array_equal(read(path, survey, "reference", "stamp").data, NAMED - 5)
    assert_array_equal(read(path, survey, "science", "stamp").data, NAMED)


@pytest.mark.parametrize("value", [0, 2, "x", True, -0.5])
def test_quirk_15_a_sign_that_is_none_is_refused(tmp_path: Path, value: Any) -> None:
    path = triplet(tmp_path / "a.fits", NAMED, NAMED, NAMED, sign=value)

    with pytest.raises(FitsRefusedError, match="bad_sign"):
        read(path, "ztf", "difference", "stamp")
    assert read(path, "ztf", "science", "stamp").sign == 1
