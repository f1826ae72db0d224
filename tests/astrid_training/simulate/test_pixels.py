"""Gaussians on pixels: in the right place, with all their light."""

import numpy as np
import pytest
from scipy import ndimage

from astrid_training.simulate.pixels import galaxy_blobs, paint, point_blobs, psf_radius

SHAPE = (90, 130)  # unequal sides: a swapped axis cannot pass


def test_a_point_source_lies_where_it_should_with_all_its_light() -> None:
    image = paint(SHAPE, point_blobs(np.array([1000.0]), np.array([70.3]), np.array([40.6]), 1.1))

    rows, columns = np.indices(SHAPE)
    assert image.sum() == pytest.approx(1000, rel=1e-3)
    assert (image * columns).sum() / image.sum() == pytest.approx(70.3, abs=0.01)
    assert (image * rows).sum() / image.sum() == pytest.approx(40.6, abs=0.01)


@pytest.mark.parametrize("angle", [0.1, 0.7, 2.0])
def test_a_galaxy_is_long_along_its_angle(angle: float) -> None:
    shape = (np.array([4.0]), np.array([0.4]), np.array([angle]))
    image = paint(SHAPE, galaxy_blobs(np.ones(1), np.array([65.0]), np.array([45.0]), shape, 1.0))

    rows, columns = np.indices(SHAPE)
    dx, dy = columns - 65.0, rows - 45.0
    xx, yy, xy = ((image * m).sum() for m in (dx * dx, dy * dy, dx * dy))
    measured = 0.5 * np.arctan2(2 * xy, xx - yy) % np.pi
    assert measured == pytest.approx(angle, abs=0.02)


def test_light_beyond_the_edge_is_lost_not_wrapped() -> None:
    image = paint(SHAPE, point_blobs(np.array([1000.0]), np.array([129.4]), np.array([40.0]), 1.1))

    assert image[:, :60].sum() == 0
    assert image.sum() == pytest.approx(500, rel=0.1)


def test_a_sharp_image_when_blurred_equals_the_blurred_one() -> None:
    flux, x, y = np.array([1000.0]), np.array([65.2]), np.array([44.9])
    sharp, blurred = (paint(SHAPE, point_blobs(flux, x, y, sigma)) for sigma in (1.0, 1.8))

    matched = ndimage.gaussian_filter(sharp, np.sqrt(1.8**2 - 1.0**2))

    assert np.abs(matched - blurred).max() < 0.01 * blurred.max()


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_radius_holds_its_share_of_the_light(share: float) -> None:
    image = paint(SHAPE, point_blobs(np.ones(1), np.array([65.0]), np.array([45.0]), 2.5))

    rows, columns = np.indices(SHAPE)
    inside = np.hypot(columns - 65, rows - 45) <= psf_radius(2.5, share)
    assert image[inside].sum() == pytest.approx(share, abs=0.03)
