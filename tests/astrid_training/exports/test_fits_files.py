"""FITS files of samples: the bits of the packs, a header that tells, and the standard kept."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.exports.fits_files import FitsWriter
from astrid_training.exports.pixels import StoredPixels
from astrid_training.params import PreprocessSpec
from tests.astrid_training.exports.cut_files import Cut

CHANNELS = ("SCIENCE", "REFERENCE", "DIFFERENCE")


def writer_of(cut: Cut, folder: Path, *, with_margin: bool = False) -> FitsWriter:
    pixels = StoredPixels(cut.packs, PreprocessSpec(), with_margin=with_margin)
    return FitsWriter(cut.record, pixels, cut.sky(folder))


def opened(data: bytes) -> Any:
    hdus = fits.open(BytesIO(data), checksum=True)
    hdus.verify("exception")
    for hdu in hdus:
        hdu.verify_datasum()
        assert hdu.verify_datasum() == 1
        assert hdu.verify_checksum() == 1
    return hdus


@pytest.mark.parametrize("margin", [0, 4])
def test_a_sample_comes_back_bit_for_bit(cut: Cut, tmp_path: Path, margin: int) -> None:
    writer = writer_of(cut, tmp_path, with_margin=margin == 4)
    window = (slice(4 - margin, 68 + margin),) * 2
    for number, row in list(enumerate(cut.samples.to_pylist()))[::5]:
        hdus = opened(writer.sample(row, "supernova"))

        assert [hdu.name for hdu in hdus[1:]] == [*CHANNELS, "MASK", "FLAGS"]
        for channel, name in enumerate(CHANNELS):
            assert hdus[name].data.dtype == np.dtype(">f4")
            assert_array_equal(hdus[name].data, cut.images[number, channel][window])
        for name, stored in (("MASK", cut.masks), ("FLAGS", cut.flags)):
            assert hdus[name].header["BITPIX"] == 8
            assert_array_equal(hdus[name].data, stored[number][window])


def test_the_header_says_what_and_where_from(cut: Cut, tmp_path: Path) -> None:
    writer, rows = writer_of(cut, tmp_path), cut.samples.to_pylist()
    row = next(row for row in rows if row["science_path"] == "raw/plain.science.fits")
    hdus = opened(writer.sample(row, "supernova"))
    told = {
        name: hdus[0].header[name] for name in ("OBSID", "RA", "DEC", "FWHM", "LABCONF", "CLASS")
    }

    assert told == {
        "OBSID": row["observation_id"],
        "RA": row["ra_deg"],
        "DEC": row["dec_deg"],
        "FWHM": 2.4,
        "LABCONF": 0.9,
        "CLASS": "supernova",
    }
    header = hdus[0].header
    assert header["LABEL"] == int(row["is_anomaly"])
    assert (header["DATASET"], header["SPECFP"]) == (
        cut.record.version_id,
        cut.record.spec_fingerprint,
    )
    # the pixels are science minus reference already, however the survey stored them
    assert (header["DIFFSIGN"], header["SRCSIGN"]) == (1, -1)
    science = hdus["SCIENCE"].header
    assert (science["SCALING"], science["SRCUNIT"], science["LEVEL"]) == ("asinh", "DN", 0.5)
    for name in ("DIFFERENCE", "MASK", "FLAGS"):
        (at,) = WCS(hdus[name].header).all_world2pix([[row["ra_deg"], row["dec_deg"]]], 1)
        moved = row["centroid_shift_px"] or 0.0
        away = np.hypot(at[0] - header["TARGX"], at[1] - header["TARGY"])
        assert abs(away - moved) < 0.01


def test_equal_samples_give_equal_bytes(cut: Cut, tmp_path: Path) -> None:
    (row, *_) = cut.samples.to_pylist()

    first, second = (writer_of(cut, tmp_path).sample(row, "agn") for _ in range(2))

    assert first == second


def test_texts_that_fits_cannot_hold_become_ones_that_it_can(cut: Cut, tmp_path: Path) -> None:
    (row, *_) = cut.samples.to_pylist()
    row |= {"band": "g\nEND", "group_key": "x" * 300, "tier": "gölden", "fwhm_px": float("nan")}
    row |= {"science_path": "https://user:secret@host/a.fits?token=abc", "observation_id": None}

    header = opened(writer_of(cut, tmp_path).sample(row, "supernova"))[0].header

    assert (header["FILTER"], header["GROUP"], header["LABTIER"]) == ("g?END", "x" * 300, "g?lden")
    assert not {"FWHM", "OBSID"} & set(header)
    assert "secret" not in header["SCIPATH"]
    assert "abc" not in header["SCIPATH"]


def test_an_exposure_is_cubes_and_a_table(cut: Cut, tmp_path: Path) -> None:
    rows = cut.samples.to_pylist()
    numbers = [n for n, row in enumerate(rows) if row["science_path"] == "raw/plain.science.fits"]
    chosen = [rows[number] for number in numbers]

    hdus = opened(writer_of(cut, tmp_path).exposure(chosen, ["agn", "agn", "dipole", "agn"]))

    inner = slice(4, 68)
    for channel, name in enumerate(CHANNELS):
        assert_array_equal(hdus[name].data, cut.images[numbers, channel, inner, inner])
    assert_array_equal(hdus["MASK"].data, cut.masks[numbers, inner, inner])
    assert_array_equal(hdus["FLAGS"].data, cut.flags[numbers, inner, inner])
    table = hdus["SAMPLES"].data
    assert list(table["sample"]) == [row["sample_key"] for row in chosen]
    assert list(table["class"]) == ["agn", "agn", "dipole", "agn"]
    assert list(table["label"]) == [int(row["is_anomaly"]) for row in chosen]
    source = WCS(fits.Header.fromstring(_header_of(cut, "raw/plain.difference.fits")))
    for row, told in zip(chosen, table, strict=True):
        keys = {name.upper(): float(told[name]) for name in table.names if name[:2] in {"cr", "cd"}}
        plane = WCS(fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", **keys}))
        at = np.array([(0.0, 0.0), (63.0, 20.0)])
        beside = np.rint([row["frame_x"] - row["x"], row["frame_y"] - row["y"]]) + 4
        assert_allclose(source.all_world2pix(plane.all_pix2world(at, 0), 0), at + beside, atol=0.01)


def _header_of(cut: Cut, key: str) -> str:
    with fits.open(BytesIO(cut.store.get(key))) as hdus:
        text: str = hdus[0].header.tostring()
    return text
