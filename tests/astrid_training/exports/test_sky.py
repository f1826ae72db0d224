"""The WCS of a stamp is that of the file that it was cut from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astrid_training.exports.sky import SkyReader, StampSky
from tests.astrid_training.exports.cut_files import (
    Cut,
    bent,
    cut_dataset,
    elsewhere,
    frame_file,
    tangent,
)

SIZE = 72
CORNERS = np.array([(0.0, 0.0), (71.0, 3.0), (35.5, 36.5), (10.0, 71.0), (71.0, 71.0)])
"""0-based columns and rows of a stored stamp."""


def rows_of(cut: Cut, exposure: str) -> list[dict[str, Any]]:
    path = f"raw/{exposure}.science.fits"
    return [row for row in cut.samples.to_pylist() if row["science_path"] == path]


def wcs_of(sky: StampSky, role: str) -> WCS:
    return WCS(fits.Header.fromstring(sky.headers[role]))


def corner(row: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.rint([row["frame_x"] - row["x"], row["frame_y"] - row["y"]])


def read(cut: Cut, row: dict[str, Any], folder: Path) -> StampSky:
    return cut.sky(folder).of(row, SIZE)


@pytest.mark.parametrize(
    ("exposure", "role", "header"),
    [("plain", "difference", tangent()), ("bent", "science", bent())],
)
def test_every_pixel_is_where_the_source_file_puts_it(
    cut: Cut, tmp_path: Path, exposure: str, role: str, header: Any
) -> None:
    source = WCS(header)
    for row in rows_of(cut, exposure):
        sky = read(cut, row, tmp_path)

        assert sky.origin == "source"
        ours = wcs_of(sky, role).all_pix2world(CORNERS, 0)
        theirs = source.all_pix2world(CORNERS + corner(row), 0)
        assert_allclose(ours, theirs, atol=1e-9, rtol=0)
        at = wcs_of(sky, role).all_world2pix([[row["ra_deg"], row["dec_deg"]]], 0)[0]
        assert_allclose(at, np.array([sky.x, sky.y], np.float64), atol=1e-4)
        moved = row["centroid_shift_px"] or 0.0
        assert abs(np.hypot(*(at - [row["x"], row["y"]])) - moved) < 0.01


def test_a_reference_on_another_grid_has_its_own_sky(cut: Cut, tmp_path: Path) -> None:
    source = WCS(elsewhere())
    for row in rows_of(cut, "plain"):
        sky = read(cut, row, tmp_path)
        ours = wcs_of(sky, "reference")
        place = [[row["ra_deg"], row["dec_deg"]]]
        # the stamp's middle is the pixel under the middle of the difference's stamp
        middle = WCS(tangent()).all_pix2world([corner(row) + SIZE // 2], 0)
        left_bottom = np.floor(source.all_world2pix(middle, 0)[0] + 0.5) - SIZE // 2
        assert_allclose(
            ours.all_world2pix(place, 0)[0],
            source.all_world2pix(place, 0)[0] - left_bottom,
            atol=1e-4,
        )


def test_without_its_files_the_sky_is_a_plane_that_says_so(cut: Cut, tmp_path: Path) -> None:
    source = WCS(tangent(turned=2.0))
    for row in rows_of(cut, "gone"):
        sky = read(cut, row, tmp_path)

        assert (sky.origin, list(sky.headers)) == ("linear", ["difference"])
        assert sky.error_px == (0.5 if row["position_flags"] == "refined" else 0.0)
        ours = wcs_of(sky, "difference")
        place = ours.all_world2pix([[row["ra_deg"], row["dec_deg"]]], 0)[0]
        assert_allclose(place, [row["x"], row["y"]], atol=1e-6)
        # of what the file said it differs by the target's error alone
        said = source.all_world2pix(ours.all_pix2world(CORNERS, 0), 0) - corner(row)
        assert np.hypot(*(said - CORNERS).T).max() < sky.error_px + 0.01


def test_a_sample_without_a_wcs_gets_none(cut: Cut, tmp_path: Path) -> None:
    (sky, *_) = (read(cut, row, tmp_path) for row in rows_of(cut, "blind"))

    assert (sky.origin, sky.headers, sky.error_px) == ("none", {}, None)


def test_a_file_that_was_replaced_is_not_believed(tmp_path: Path) -> None:
    cut = cut_dataset(tmp_path / "store")
    row = rows_of(cut, "plain")[0]
    header = tangent()
    header["CRPIX1"] += 0.2
    cut.store.put("raw/plain.difference.fits", frame_file(header))
    reader = cut.sky(tmp_path)

    sky = reader.of(row, SIZE)

    assert sky.origin == "linear"
    assert "not the file that was cut" in reader.why


def test_no_file_is_read_where_none_is_wanted(cut: Cut) -> None:
    assert SkyReader().of(rows_of(cut, "plain")[0], SIZE).origin == "linear"
