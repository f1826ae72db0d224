"""Quirk 7: headers in two places, tiles, repeated names, planes beside the image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from astrid_training.surveys import profile_for, read_frame
from tests.astrid_training.surveys.quirk_files import NAMED, extension, primary, read, write


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
