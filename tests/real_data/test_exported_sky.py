"""The WCS of stamps cut from real survey files is theirs."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrid_training.exports import SkyReader
from astrid_training.positions import positions_on_frame
from astrid_training.source_cache import SourceCache
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.surveys import profile_for, read_frame

DATA = Path(os.environ.get("ASTRID_SURVEY_DATA", Path(__file__).parents[2] / "../shared/data"))
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no survey data at {DATA}"),
]
SIZE = 40
FILES = {
    "images/decam_fpack/c4d_171113_060340_ooi_r_ls9.N6.fits": ("decam", 1),  # TPV, compressed
    "images/decam_mef_triplets/c4d_171113_061941_ooi_r_ls9.S4.fits": ("decam", None),
    "images/decam_mef_triplets/c4d_181214_050844_ooi_g_ls9.S9.fits": ("decam", None),
    "images/jwst_nircam_pair/epoch1_jw01324_f200w_i2d_stamp.fits.gz": ("jwst", None),
    "images/quirks/apogee_sip_uint16.fit": ("generic", None),  # SIP
    "images/quirks/hst_acs_lookup_distortion.fits.gz": ("hst", None),  # tables that cannot travel
}


def row_of(name: str, survey: str) -> tuple[dict[str, Any], Any]:
    """A row of a samples table for a target beside the middle of the file's image, and its frame."""
    frame = read_frame(DATA / name, profile_for(survey), "science")
    height, width = frame.shape
    x, y = width / 2 + 3.3, height / 2 - 5.4
    ((ra, dec),) = frame.wcs.all_pix2world([[x, y]], 0, ra_dec_order=True).tolist()
    (at,) = positions_on_frame(frame, [ra], [dec], [x], [y], 2.0)
    left, bottom = (int(np.floor(v + 0.5)) - SIZE // 2 for v in (at.x, at.y))
    assert at.axes is not None
    jacobian = dict(
        zip(("px_x_east", "px_y_east", "px_x_north", "px_y_north"), at.axes, strict=True)
    )
    row = {
        "survey": survey,
        "ra_deg": ra,
        "dec_deg": dec,
        "frame_x": at.x,
        "frame_y": at.y,
        "x": at.x - left,
        "y": at.y - bottom,
        "position_flags": "",
        "centroid_shift_px": None,
        "science_path": name,
        "reference_path": None,
        "difference_path": None,
        **jacobian,
    }
    return row, frame


@pytest.mark.parametrize("name", FILES)
def test_a_stamp_lies_where_its_file_says(name: str, tmp_path: Path) -> None:
    survey, _ = FILES[name]
    row, frame = row_of(name, survey)
    sources = Sources(Store(DATA.resolve().as_uri()))
    reader = SkyReader(sources, SourceCache(sources, tmp_path))

    sky = reader.of(row, SIZE)

    assert (sky.origin, reader.why) == ("source", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = WCS(fits.Header.fromstring(sky.headers["science"]))
    (at,) = ours.all_world2pix([[row["ra_deg"], row["dec_deg"]]], 0)
    assert np.hypot(at[0] - row["x"], at[1] - row["y"]) < 0.01
    corner = np.array([row["frame_x"] - row["x"], row["frame_y"] - row["y"]])
    pixels = np.array([(0.0, 0.0), (SIZE - 1, 0), (5, SIZE - 1), (20.5, 19.5)])
    seen = frame.wcs.all_world2pix(ours.all_pix2world(pixels, 0), 0) - corner
    assert np.abs(seen - pixels).max() < 0.01
