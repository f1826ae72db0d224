import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astrid_training.alerts import AlertRefusedError
from astrid_training.alerts.cutouts import read_cutouts, stamp_file
from astrid_training.alerts.surveys import parse_alert
from astrid_training.params import CHANNELS
from astrid_training.surveys import profile_for, read_frame


def stored(made: Any, path: Path, record: dict[str, Any]) -> Path:
    alert = parse_alert(record)
    path.write_bytes(stamp_file(alert, read_cutouts(alert)))
    return path


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", [">f4", "<f4", ">f8", ">i2"])
def test_pixels_come_through_as_they_were(
    made: Any, tmp_path: Path, kind: str, *, packed: bool
) -> None:
    image = (made.pixels(61, 63) * 10).astype(kind)
    names = ("Science", "Template", "Difference")
    record = made.ztf_record(dict.fromkeys(names, made.fits_bytes(image, packed=packed)))
    file = stored(made, tmp_path / "a.fits", record)

    for role in CHANNELS:
        frame = read_frame(file, profile_for("ztf", "stamp"), role, "stamp")
        assert np.array_equal(np.asarray(frame.pixels), image)
        assert frame.kind == "stamp"


def test_holes_and_sentinels_are_stored_and_read_as_missing(made: Any, tmp_path: Path) -> None:
    image = made.pixels()
    image[3, 4], image[5, 6], image[7, 8] = np.nan, -3.4028235e38, np.inf
    file = stored(made, tmp_path / "a.fits", made.ztf_record({"Template": made.fits_bytes(image)}))

    with fits.open(file) as hdus:
        assert hdus["REFERENCE"].data[5, 6] == np.float32(-3.4028235e38)
    frame = read_frame(file, profile_for("ztf", "stamp"), "reference", "stamp")
    assert np.argwhere(np.isnan(frame.data)).tolist() == [[3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(("told", "sign"), [("t", 1), ("f", -1)])
def test_the_difference_is_read_as_science_minus_reference(
    made: Any, tmp_path: Path, told: str, sign: int
) -> None:
    file = stored(made, tmp_path / "a.fits", made.ztf_record(isdiffpos=told))
    frame = read_frame(file, profile_for("ztf", "stamp"), "difference", "stamp")

    assert np.array_equal(frame.data, sign * made.pixels(seed=2).astype("<f4"))
    assert frame.sign == sign
    assert read_frame(file, profile_for("ztf", "stamp"), "science", "stamp").sign == 1


def test_what_is_known_of_the_exposure_stands_in_the_header(made: Any, tmp_path: Path) -> None:
    file = stored(made, tmp_path / "a.fits", made.ztf_record())
    science = read_frame(file, profile_for("ztf", "stamp"), "science", "stamp")
    difference = read_frame(file, profile_for("ztf", "stamp"), "difference", "stamp")

    assert (science.meta.exposure_s, science.meta.band) == (30.0, "ztf_g")
    assert science.meta.mjd_mid == pytest.approx(60229.4338542 + 15 / 86400, abs=1e-7)
    assert difference.meta.zero_point == pytest.approx(26.25)
    assert science.wcs is None  # the packet has none, so none is made up
    assert fits.getheader(file)["ALERTID"] == "2475433850015015000"


def test_the_wcs_of_a_cutout_is_kept(made: Any, tmp_path: Path) -> None:
    file = stored(made, tmp_path / "a.fits", made.rubin_record())
    frame = read_frame(file, profile_for("rubin", "stamp"), "difference", "stamp")

    x, y = frame.wcs.all_world2pix(150.1, 2.2, 0)
    assert (float(x), float(y)) == pytest.approx((15, 15), abs=1e-6)
    assert frame.meta.units == "nJy"
    assert frame.meta.seeing_px == pytest.approx(2.3548 * 0.4 / 0.2, rel=1e-3)


def test_equal_alerts_make_equal_files(made: Any, tmp_path: Path) -> None:
    one = stored(made, tmp_path / "a.fits", made.ztf_record()).read_bytes()

    assert stored(made, tmp_path / "b.fits", made.ztf_record()).read_bytes() == one


@pytest.mark.parametrize("names", [("SCIENCE", "TEMPLATE"), ("SCIENCE", "REFERENCE")])
def test_a_triplet_file_holds_all_three(made: Any, tmp_path: Path, names: tuple[str, ...]) -> None:
    path = made.write_triplet(tmp_path / "t.fits", (*names, "DIFFERENCE"))
    cutouts = read_cutouts(parse_alert(made.candidate(), triplet=path))

    for seed, role in enumerate(CHANNELS):
        assert np.array_equal(cutouts[role].pixels, made.pixels(seed=seed))


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("cutout", "reason"),
    [
        (None, "no_cutouts"),
        (b"", "no_cutouts"),
        (b"junk", "bad_cutout"),
        (b"<html>not found</html>", "bad_cutout"),
        ("half a gzip", "bad_cutout"),
        ("half a file", "bad_cutout"),
        ("a frame", "bad_cutout"),
        ("another shape", "cutout_shapes"),
        ("a bomb", "bad_cutout"),
    ],
)
def test_a_cutout_that_is_no_good_is_refused_by_name(
    made: Any, cutout: object, reason: str
) -> None:
    named: dict[str, Callable[[], bytes]] = {
        "half a gzip": lambda: damaged(made.fits_bytes(made.pixels())),
        "half a file": lambda: damaged(made.fits_bytes(made.pixels(), packed=False)),
        "a frame": lambda: made.fits_bytes(np.zeros((1100, 1100), ">f4")),
        "another shape": lambda: made.fits_bytes(made.pixels(30, 30)),
        "a bomb": lambda: gzip.compress(bytes(300 << 20), 1),
    }
    data = named[cutout]() if isinstance(cutout, str) else cutout
    alert = parse_alert(made.ztf_record({"Template": data}))

    with pytest.raises(AlertRefusedError, match=reason):
        read_cutouts(alert)
