"""check_fits refuses the hostile and the broken; read_image gives the file's own numbers."""

import errno
import gzip
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from astrid_training import fits_guard
from astrid_training.errors import FitsRefusedError
from astrid_training.fits import check_fits, logged_warnings, read_image

ROWS, COLUMNS = np.indices((5, 7))  # unequal sides: a swapped axis cannot pass
NAMED = (10 * ROWS + COLUMNS).astype(np.float32)


def card(keyword: str, value: object) -> str:
    return f"{keyword:<8}= {value!s:>20}".ljust(80)


def header(*cards: str, end: bool = True) -> bytes:
    text = "".join([*cards, "END".ljust(80)] if end else cards)
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


def image_header(bitpix: int = -32, axes: tuple[int, ...] = (7, 5), *more: str) -> bytes:
    sides = [card(f"NAXIS{i}", n) for i, n in enumerate(axes, 1)]
    cards = [card("SIMPLE", "T"), card("BITPIX", bitpix), card("NAXIS", len(axes)), *sides]
    return header(*cards, *more)


def write(path: Path, *hdus: fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU) -> Path:
    fits.HDUList(list(hdus)).writeto(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(FitsRefusedError) as caught:
        check_fits(path)
    return caught.value.reason


GOOD = image_header() + bytes(2880)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(b"<!DOCTYPE html><html>404</html>", "html_page", id="web page"),
        pytest.param(b"\n <html>", "html_page", id="web page after blanks"),
        pytest.param(b"PK\x03\x04" + bytes(3000), "not_fits", id="another format"),
        pytest.param(GOOD[: 2880 + 139], "truncated", id="one byte short"),
        pytest.param(image_header(axes=(10**9, 10**9)), "too_many_pixels", id="10^18 pixels"),
        pytest.param(image_header(-32, (20000, 20000)), "truncated", id="1.6 GB declared"),
        pytest.param(image_header(axes=(0, 5)), "bad_axes", id="a side of 0"),
        pytest.param(image_header(axes=(7, -5)), "bad_axes", id="a negative side"),
        pytest.param(image_header(axes=(2, 2, 2, 2, 2)), "bad_axes", id="five axes"),
        pytest.param(image_header(bitpix=0), "bad_bitpix", id="BITPIX 0"),
        pytest.param(image_header(8, (7, 5), card("BSCALE", 0)), "bad_scaling", id="BSCALE 0"),
        pytest.param(
            image_header(8, (7, 5), card("BZERO", "NaN")), "bad_scaling", id="BZERO is NaN"
        ),
        pytest.param(header(card("SIMPLE", "T"), end=False), "no_end", id="no END"),
        pytest.param(header(card("SIMPLE", "T")), "bad_header", id="no BITPIX"),
        pytest.param(
            image_header(-32, (7, 5), "EXPTIME = 1.2\0\0".ljust(80)), "bad_header", id="NUL"
        ),
        pytest.param(
            image_header(-32, (7, 5), "COMMENT \x1b[2J".ljust(80)), "bad_header", id="escape"
        ),
        pytest.param(image_header(axes=()), "no_image", id="no image in it"),
        pytest.param(gzip.compress(GOOD)[:-20], "bad_gzip", id="cut gzip"),
        pytest.param(gzip.compress(GOOD)[:30] + b"\xff" * 40, "bad_gzip", id="damaged gzip"),
        pytest.param(gzip.compress(b"<html>"), "html_page", id="gzipped web page"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(content)

    assert refusal(path) == reason


def test_what_a_hostile_header_says_reaches_nobody_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(image_header(-32, (7, 5), "BSCALE  = \0\0\n".ljust(80)) + bytes(2880))

    with pytest.raises(FitsRefusedError) as caught:
        check_fits(path)
    assert caught.value.detail.isprintable()
    assert fits_guard.refusal("x", "a\0b\n c\ud800").detail == "a b c"


def test_what_lies_beyond_the_end_of_a_header_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "ok.fits"
    path.write_bytes((image_header().rstrip() + b" " * 77).ljust(2880, b"\0") + bytes(2880))

    check_fits(path)


def test_the_scaling_of_compressed_images_is_checked(tmp_path: Path) -> None:
    hdu = fits.CompImageHDU(NAMED.astype(np.int16))
    hdu.header["OTHER"] = "none"
    path = write(tmp_path / "rice.fits", fits.PrimaryHDU(), hdu)
    path.write_bytes(path.read_bytes().replace(b"OTHER   =", b"BSCALE  ="))

    assert refusal(path) == "bad_scaling"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM])
def test_a_failing_machine_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    path = write(tmp_path / "fine.fits", fits.PrimaryHDU(NAMED))
    monkeypatch.setattr("astrid_training.fits_images.mmap.mmap", fail)

    with pytest.raises(OSError, match=os.strerror(number)):
        read_image(path)


def test_a_file_without_fits_structure_is_refused_when_it_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "text.fits"
    path.write_bytes(b"no FITS at all".ljust(2880))

    with pytest.raises(FitsRefusedError, match="not_fits"):
        read_image(path)


def test_damaged_tiles_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 9999, (64, 64), np.int16)
    path = write(tmp_path / "rice.fits", fits.PrimaryHDU(), fits.CompImageHDU(noise))
    with fits.open(path, disable_image_compression=True) as hdus:
        table = hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
        tiles = hdus[1].fileinfo()["datLoc"] + table
    content = path.read_bytes()
    path.write_bytes(content[:tiles] + b"\xff" * (len(content) - tiles))
    check_fits(path)

    with pytest.raises(FitsRefusedError, match="unreadable"):
        read_image(path)


def test_a_complete_file_without_padding_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "ok.fits"
    path.write_bytes(GOOD[: 2880 + 140])

    check_fits(path)


def test_a_gzip_bomb_is_refused_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits_guard, "MAX_UNPACKED_BYTES", 10_000)
    path = tmp_path / "bomb.fits.gz"
    path.write_bytes(gzip.compress(GOOD + bytes(10_000_000)))

    assert refusal(path) == "gzip_bomb"


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "two.fits.gz"
    path.write_bytes(gzip.compress(GOOD[:3000]) + gzip.compress(GOOD[3000:]) + bytes(512))

    check_fits(path)


def test_more_hdus_than_any_frame_has_are_refused(tmp_path: Path) -> None:
    hdus = [fits.ImageHDU(NAMED) for _ in range(fits_guard.MAX_HDUS)]

    assert refusal(write(tmp_path / "many.fits", fits.PrimaryHDU(), *hdus)) == "too_many_hdus"


def test_a_truncated_second_hdu_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "two.fits", fits.PrimaryHDU(NAMED), fits.ImageHDU(NAMED))
    path.write_bytes(path.read_bytes()[:-2780])

    assert refusal(path) == "truncated"


def test_compressed_images_are_checked_by_their_tiles(tmp_path: Path) -> None:
    path = write(
        tmp_path / "rice.fits", fits.PrimaryHDU(), fits.CompImageHDU(NAMED.astype(np.int16))
    )
    check_fits(path)
    forged = path.read_bytes().replace(
        card("ZNAXIS2", 5).encode()[:30], card("ZNAXIS2", 50000).encode()[:30]
    )
    path.write_bytes(forged)

    assert refusal(path) == "bad_tiles"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_sums_of_a_sound_file_are_right_and_one_bit_makes_them_wrong(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.fits"
    noise = np.random.default_rng(3).normal(size=(701, 997)).astype(np.float32)
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=noise[0])])
    hdus = [fits.PrimaryHDU(noise), fits.CompImageHDU(noise.astype(np.int16)), table]
    fits.HDUList(hdus).writeto(path, checksum=True)
    content = path.read_bytes()
    path.write_bytes(pack(content))
    check_fits(path)

    for at in (2000, 1_000_000, len(content) - 4000):
        path.write_bytes(pack(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]))
        assert refusal(path) in ("bad_checksum", "bad_header"), at


@pytest.mark.parametrize("keyword", ["CHECKSUM", "DATASUM"])
def test_blank_sums_promise_nothing(tmp_path: Path, keyword: str) -> None:
    hdu = fits.PrimaryHDU(NAMED)
    hdu.header[keyword] = ""

    check_fits(write(tmp_path / "a.fits", hdu))


def test_blank_pixels_among_large_integers_are_no_values(tmp_path: Path) -> None:
    pixels = NAMED.astype(np.int64)
    pixels[2, 3] = -(2**63)
    path = tmp_path / "a.fits"
    header_ = image_header(64, (7, 5), card("BLANK", -(2**63)))
    path.write_bytes(header_ + pixels.astype(">i8").tobytes().ljust(2880, b"\0"))
    check_fits(path)

    assert np.argwhere(np.isnan(read_image(path)[0])).tolist() == [[2, 3]]


def test_the_first_values_may_lie_deep_in_a_file(tmp_path: Path) -> None:
    pixels = np.full((1200, 900), np.nan, np.float32)
    pixels[-1, -1] = 1
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(pixels))
    check_fits(path)

    assert np.isfinite(read_image(path)[0]).sum() == 1


def encode_big_endian(path: Path) -> None:
    write(path, fits.PrimaryHDU(NAMED))


def encode_doubles(path: Path) -> None:
    write(path, fits.PrimaryHDU(NAMED.astype(np.float64)))


def encode_unsigned(path: Path) -> None:
    write(path, fits.PrimaryHDU(NAMED.astype(np.uint16)))  # int16 with BZERO = 32768


def encode_scaled(path: Path) -> None:
    content = image_header(16, (7, 5), card("BSCALE", 0.5), card("BZERO", 1000))
    path.write_bytes(content + ((NAMED - 1000) / 0.5).astype(">i2").tobytes())


def encode_extension(path: Path) -> None:
    write(path, fits.PrimaryHDU(), fits.ImageHDU(NAMED, name="SCI"))


def encode_compressed(path: Path) -> None:
    write(path, fits.PrimaryHDU(), fits.CompImageHDU(NAMED.astype(np.int32)))


def encode_gzipped(path: Path) -> None:
    encode_big_endian(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def encode_cube_of_one(path: Path) -> None:
    write(path, fits.PrimaryHDU(NAMED[None]))


@pytest.mark.parametrize(
    "encode",
    [
        encode_big_endian,
        encode_doubles,
        encode_unsigned,
        encode_scaled,
        encode_extension,
        encode_compressed,
        encode_gzipped,
        encode_cube_of_one,
    ],
)
def test_every_encoding_gives_the_same_native_float32(
    tmp_path: Path, encode: Callable[[Path], None]
) -> None:
    path = tmp_path / "image.fits"
    encode(path)

    check_fits(path)
    pixels, _ = read_image(path)

    assert pixels.dtype == np.dtype(np.float32)
    assert pixels.dtype.isnative
    assert_array_equal(pixels, NAMED)


def test_blank_pixels_of_integers_become_nan(tmp_path: Path) -> None:
    path = tmp_path / "blank.fits"
    content = image_header(16, (7, 5), card("BLANK", 23), card("BZERO", 100))
    path.write_bytes(content + NAMED.astype(">i2").tobytes().ljust(2880, b"\0"))

    pixels, _ = read_image(path)

    assert np.argwhere(np.isnan(pixels)).tolist() == [[2, 3]]
    assert pixels[0, 0] == 100


def test_values_beyond_float32_become_infinite_not_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "huge.fits", fits.PrimaryHDU(np.array([[1e300, 1.0]])))

    assert read_image(path)[0].tolist() == [[np.inf, 1.0]]


def test_the_extensions_keywords_stand_over_the_primarys(tmp_path: Path) -> None:
    primary, science = fits.PrimaryHDU(), fits.ImageHDU(NAMED, name="SCI")
    primary.header["EXPTIME"], primary.header["GAIN"] = 30.0, 1.0
    science.header["GAIN"] = 6.2

    _, merged = read_image(write(tmp_path / "mef.fits", primary, science), "SCI")

    assert (merged["EXPTIME"], merged["GAIN"]) == (30.0, 6.2)


def test_of_repeated_names_the_first_with_pixels_is_taken(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mef.fits",
        fits.PrimaryHDU(),
        fits.ImageHDU(name="SCI"),
        fits.ImageHDU(-NAMED, name="ERR"),
        fits.ImageHDU(NAMED, name="SCI"),
    )

    assert_array_equal(read_image(path, "sci")[0], NAMED)
    assert_array_equal(read_image(path, 2)[0], -NAMED)


def test_an_image_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.fits", fits.PrimaryHDU(NAMED))

    with pytest.raises(FitsRefusedError, match="no 2-D image DIFF"):
        read_image(path, "DIFF")


def test_warnings_of_a_file_are_logged_once_and_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with logged_warnings(tmp_path / "odd.fits"):
            warnings.warn("odd header", UserWarning, stacklevel=1)

    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'odd.fits'}: UserWarning: odd header"
    ]
    with pytest.warns(UserWarning, match="outside"):
        warnings.warn("outside", UserWarning, stacklevel=1)
