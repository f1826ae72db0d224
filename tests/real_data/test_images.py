"""Every image file of the shared survey data: what it is read as, or why it is refused."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal

from astrid_training.errors import FitsRefusedError
from astrid_training.fits import check_fits
from astrid_training.surveys import Frame, Role, profile_for, read_frame
from astrid_training.surveys.frames import MISSING_ABOVE

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ASTRID_SURVEY_DATA", ROOT / "../shared/data"))

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real survey files at {DATA}"),
]

Row = tuple[
    tuple[int, int], str, str | None, float | None, float | None, float | None, str | None, int
]
"""Shape, dtype of the pixels, units, AB zero point, arcsec a pixel of the WCS (None: no WCS),
MJD of mid-exposure, its scale, missing pixels."""

TRIPLETS = "images/decam_mef_triplets/c4d_"
FPACK = "images/decam_fpack/c4d_171113_060340_"
PAIR = "images/decam_pair_i/DEC-OBS"
JWST = "images/jwst_nircam_pair/epoch"
QUIRKS = "images/quirks/"

READ: dict[str, tuple[str, Row]] = {
    f"{FPACK}ood_r_ls9.N6.fits": (
        "decam",
        ((375, 280), "float32", None, None, 0.2624, 58070.2528, "utc", 0),
    ),
    f"{FPACK}ooi_r_ls9.N6.fits": (
        "decam",
        ((375, 280), "float32", None, None, 0.2624, 58070.2528, "utc", 0),
    ),
    f"{FPACK}oow_r_ls9.N6.fits": (
        "decam",
        ((375, 280), "float32", None, None, 0.2624, 58070.2528, "utc", 0),
    ),
    f"{TRIPLETS}171113_061941_ood_r_ls9.S4.fits": (
        "decam",
        ((100, 101), "float32", None, None, 0.2624, 58070.2642, "utc", 0),
    ),
    f"{TRIPLETS}171113_061941_ooi_r_ls9.S4.fits": (
        "decam",
        ((100, 101), "float32", None, None, 0.2624, 58070.2642, "utc", 0),
    ),
    f"{TRIPLETS}171113_061941_oow_r_ls9.S4.fits": (
        "decam",
        ((100, 101), "float32", None, None, 0.2624, 58070.2642, "utc", 0),
    ),
    f"{TRIPLETS}181104_072440_ood_g_ls9.S4.fits": (
        "decam",
        ((100, 101), "float32", None, None, 0.2624, 58426.3096, "utc", 0),
    ),
    f"{TRIPLETS}181104_072440_ooi_g_ls9.S4.fits": (
        "decam",
        ((100, 101), "float32", None, None, 0.2624, 58426.3096, "utc", 0),
    ),
    f"{TRIPLETS}181104_072440_oow_g_ls9.S4.fits": (
        "decam",
        ((100, 101), "float32", None, None, 0.2624, 58426.3096, "utc", 0),
    ),
    f"{TRIPLETS}181214_050844_ood_g_ls9.S9.fits": (
        "decam",
        ((101, 101), "float32", None, None, 0.2624, 58466.2156, "utc", 0),
    ),
    f"{TRIPLETS}181214_050844_ooi_g_ls9.S9.fits": (
        "decam",
        ((101, 101), "float32", None, None, 0.2624, 58466.2156, "utc", 0),
    ),
    f"{TRIPLETS}181214_050844_oow_g_ls9.S9.fits": (
        "decam",
        ((101, 101), "float32", None, None, 0.2624, 58466.2156, "utc", 0),
    ),
    f"{TRIPLETS}181215_051332_ood_r_ls9.S9.fits": (
        "decam",
        ((101, 101), "float32", None, None, 0.2624, 58467.2181, "utc", 0),
    ),
    f"{TRIPLETS}181215_051332_ooi_r_ls9.S9.fits": (
        "decam",
        ((101, 101), "float32", None, None, 0.2624, 58467.2181, "utc", 0),
    ),
    f"{TRIPLETS}181215_051332_oow_r_ls9.S9.fits": (
        "decam",
        ((101, 101), "float32", None, None, 0.2624, 58467.2181, "utc", 0),
    ),
    f"{JWST}1_jw01324_f200w_i2d_stamp.fits.gz": (
        "jwst",
        ((900, 900), "float32", "MJy/sr", 28.029, 0.0308, 59759.4131, "tdb", 5),
    ),
    f"{JWST}2_jw02561_f200w_i2d_stamp.fits.gz": (
        "jwst",
        ((900, 900), "float32", "MJy/sr", 28.02, 0.0308, 59885.5812, "tdb", 0),
    ),
    f"{QUIRKS}apogee_sip_uint16.fit": (
        "generic",
        ((50, 100), "float32", "adu", None, 0.5579, 55805.0903, None, 0),
    ),
    f"{QUIRKS}hst_acs_lookup_distortion.fits.gz": (
        "hst",
        ((100, 100), "float32", "ELECTRONS", None, 0.05, None, "utc", 0),
    ),
    f"{QUIRKS}hst_stis_raw_mef_spectrum.fits": (
        "hst",
        ((44, 62), "float32", "COUNTS", None, None, 50923.7767, "utc", 0),
    ),
    f"{QUIRKS}saao_a8280271_uint16_nowcs.fits.gz": (
        "generic",
        ((520, 536), "float32", None, None, None, None, None, 0),
    ),
}
REFUSED = {
    # 39 triplets in one cube of four axes
    "btsbot/btsbot_triplets.fits.gz": ("generic", "no_image"),
    # float64 made of compressed pixels, under the keywords of those
    f"{PAIR}04a.mini.fits.gz": ("decam", "bad_checksum"),
    f"{PAIR}04b.mini.fits.gz": ("decam", "bad_checksum"),
    f"{PAIR}18a.mini.fits.gz": ("decam", "bad_checksum"),
    f"{PAIR}18b.mini.fits.gz": ("decam", "bad_checksum"),
}

ROLES: tuple[Role, ...] = ("science", "reference", "difference")
SHAPES = {(63, 63): 363, (63, 55): 1, (63, 62): 1}
HOLES = {"science": 57, "reference": 57, "difference": 57}
"""How many of ZTF's stamps have missing pixels."""


@pytest.mark.parametrize("name", READ)
def test_an_image_is_read_as_its_survey_means_it(name: str) -> None:
    survey, expected = READ[name]

    assert row_of(read_checked(DATA / name, survey)) == expected


@pytest.mark.parametrize("name", READ)
def test_pixels_are_those_that_astropy_gives_when_asked_plainly(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd cards
        with fits.open(DATA / name) as hdus:
            expected = next(hdu.data for hdu in hdus if hdu.data is not None)

    assert_array_equal(read_checked(DATA / name, READ[name][0]).data, expected.astype(np.float32))


@pytest.mark.parametrize("name", REFUSED)
def test_an_image_is_refused_for_a_true_reason(name: str) -> None:
    survey, reason = REFUSED[name]
    with pytest.raises(FitsRefusedError) as caught:
        read_checked(DATA / name, survey)
    assert caught.value.reason == reason


def read_checked(path: Path, survey: str) -> Frame:
    check_fits(path)
    return read_frame(path, profile_for(survey), "science")


def row_of(frame: Frame) -> Row:
    meta = frame.meta
    return (
        frame.shape,
        frame.pixels.dtype.name,
        meta.units,
        round(meta.zero_point, 3) if meta.zero_point is not None else None,
        round(meta.pixel_scale_arcsec or 0, 4) if frame.wcs is not None else None,
        round(meta.mjd_mid, 4) if meta.mjd_mid is not None else None,
        meta.time_scale,
        int(np.isnan(frame.data).sum()),
    )


def test_the_table_holds_every_file() -> None:
    there = {str(path.relative_to(DATA)) for path in DATA.rglob("*.fit*")}
    stamps = {name for name in there if name.startswith("ztf/stamps/")}

    assert there - stamps == READ.keys() | REFUSED.keys()
    assert len(stamps) == 365


def test_all_stamps_of_ztf_are_read_in_every_role() -> None:
    profile = profile_for("ztf", "stamp")
    shapes: dict[tuple[int, int], int] = {}
    holes = dict.fromkeys(ROLES, 0)
    for path in sorted((DATA / "ztf" / "stamps").iterdir()):
        check_fits(path)
        frames = {role: read_frame(path, profile, role, "stamp") for role in ROLES}
        for role, frame in frames.items():
            assert (frame.wcs, frame.meta.units, frame.sign) == (None, "DN", 1)
            assert frame.pixels.dtype == np.dtype(">f4")
            values = frame.data
            assert np.nanmax(np.abs(values)) < MISSING_ABOVE
            holes[role] += bool(np.isnan(values).any())
        assert len({frame.shape for frame in frames.values()}) == 1
        shape = frames["science"].shape
        shapes[shape] = shapes.get(shape, 0) + 1
    assert sum(shapes.values()) == 365
    assert (shapes, holes) == (SHAPES, HOLES)
