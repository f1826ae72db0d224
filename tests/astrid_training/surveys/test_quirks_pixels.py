"""Quirks 1 to 3, 5, 9, 14 and 15: pixels that are none, their types, sizes and signs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from astrid_training.errors import FitsRefusedError
from tests.astrid_training.surveys.quirk_files import (
    NAMED,
    ROLES,
    primary,
    read,
    triplet,
    write,
)

# Quirk 14, every kind of hostile file: test_fits_hostile.py


@pytest.mark.parametrize("sentinel", [-3.4028235e38, 3.4028235e38, 1.1e30, np.nan, np.inf])
def test_quirk_1_sentinels_that_pass_isfinite_are_missing(tmp_path: Path, sentinel: float) -> None:
    pixels = NAMED.copy()
    pixels[:25] = sentinel

    data = read(write(tmp_path / "a.fits", primary(pixels))).data

    assert np.isnan(data[:25]).all()
    assert_array_equal(data[25:], NAMED[25:])


def test_quirk_2_each_image_keeps_its_own_holes(tmp_path: Path) -> None:
    images = [NAMED.copy() for _ in ROLES]
    for number, image in enumerate(images):
        image[:, 10 * number : 10 * number + 5] = np.nan
    path = triplet(tmp_path / "a.fits", *images)

    for role, image in zip(ROLES, images, strict=True):
        assert_array_equal(read(path, "ztf", role, "stamp").data, image)


@pytest.mark.parametrize("shape", [(63, 63), (55, 63), (63, 51), (30, 30), (61, 61), (81, 81)])
def test_quirk_3_stamps_are_read_at_their_own_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)

    frame = read(triplet(tmp_path / "a.fits", image, -image, 2 * image), "ztf", kind="stamp")

    assert frame.shape == shape
    assert_array_equal(frame.data, image)
    assert (frame.kind, frame.wcs) == ("stamp", None)


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


def test_quirk_14_an_image_without_a_value_beside_a_good_one_is_refused_alone(
    tmp_path: Path,
) -> None:
    empty = np.full(NAMED.shape, np.nan, np.float32)
    path = triplet(tmp_path / "a.fits", NAMED, empty, NAMED)

    assert_array_equal(read(path, "ztf", "science", "stamp").data, NAMED)
    with pytest.raises(FitsRefusedError, match="no_finite_pixels"):
        read(path, "ztf", "reference", "stamp")


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
