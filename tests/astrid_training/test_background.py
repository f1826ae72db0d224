"""The mesh: a window's background is the full frame's, and stars do not lift it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.background import BackgroundMesh, _Axis, needed_rows
from astrid_training.surveys import Frame

HEIGHT, WIDTH = 475, 610  # no multiples of a cell: partial cells at two edges
EVERYTHING = slice(0, HEIGHT), slice(0, WIDTH)


def sky(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((HEIGHT, WIDTH))
    image = 200 + 0.05 * columns - 0.02 * rows + rng.normal(0, 5, (HEIGHT, WIDTH))
    image[rng.random(image.shape) < 0.01] += 2000
    return image.astype(np.float32)


def with_holes(image: np.ndarray) -> np.ndarray:
    image[100:330, 200:460] = np.nan  # wider than the median filter reaches
    image[400:, 500:] = np.nan
    image[0:20, :] = np.inf
    image[30:40, 30:40] = -3.4028235e38
    return image


@pytest.mark.parametrize("image", [sky(), with_holes(sky(1)), sky(2).astype(">f4")])
def test_any_window_has_the_bits_of_the_full_mesh(image: np.ndarray) -> None:
    full = BackgroundMesh(Frame(image), 64).at(*EVERYTHING)
    rng = np.random.default_rng(3)
    corners = [(0, 0), (HEIGHT - 72, WIDTH - 72), (0, WIDTH - 72), (HEIGHT - 1, 0), (180, 290)]
    corners += list(zip(rng.integers(0, HEIGHT, 40), rng.integers(0, WIDTH, 40), strict=True))

    for row, column in corners:
        window = slice(row, min(row + 72, HEIGHT)), slice(column, min(column + 72, WIDTH))
        assert_array_equal(BackgroundMesh(Frame(image), 64).at(*window), full[window])


def test_windows_in_any_order_on_one_mesh_agree_with_fresh_ones() -> None:
    frame = Frame(with_holes(sky()))
    shared = BackgroundMesh(frame, 64)

    for row, column in [(300, 400), (10, 10), (290, 410), (70, 0), (10, 10)]:
        window = slice(row, row + 72), slice(column, column + 72)
        assert_array_equal(shared.at(*window), BackgroundMesh(frame, 64).at(*window))


def test_a_sloping_sky_full_of_stars_is_recovered() -> None:
    rows, columns = np.indices((HEIGHT, WIDTH))
    level = BackgroundMesh(Frame(sky()), 64).at(*EVERYTHING)

    inner = slice(130, HEIGHT - 130), slice(130, WIDTH - 130)  # at edges the filter is one-sided
    assert_allclose(level[inner], (200 + 0.05 * columns - 0.02 * rows)[inner], atol=0.6)


def test_a_bright_galaxy_in_one_cell_is_filtered_out() -> None:
    image = sky()
    image[192:256, 256:320] += 500

    assert BackgroundMesh(Frame(image), 64).at(*EVERYTHING).max() < 240


def test_a_cell_without_sky_is_left_to_its_neighbours() -> None:
    image = sky()
    image[192:256, 256:320] = np.nan

    assert np.isfinite(BackgroundMesh(Frame(image), 64).at(*EVERYTHING)).all()


def test_far_from_any_sky_the_level_is_not_known() -> None:
    level = BackgroundMesh(Frame(with_holes(sky())), 64).at(*EVERYTHING)

    assert np.isnan(level[215, 330])
    assert np.isfinite(level[360, 100])


def test_a_constant_frame_has_its_value_exactly() -> None:
    frame = Frame(np.full((90, 130), 7.25, np.float32))

    assert_array_equal(BackgroundMesh(frame, 64).at(slice(0, 90), slice(0, 130)), 7.25)


def test_noise_is_that_of_the_cell_without_its_stars() -> None:
    mesh = BackgroundMesh(Frame(sky()), 64)

    assert mesh.rms(100, 100) == pytest.approx(5, rel=0.1)


def test_a_frame_smaller_than_a_quarter_cell_has_no_level() -> None:
    mesh = BackgroundMesh(Frame(np.ones((30, 30), np.float32)), 64)

    assert np.isnan(mesh.at(slice(0, 30), slice(0, 30))).all()
    assert np.isnan(mesh.rms(0, 0))


def test_a_partial_cell_stands_at_its_own_centre() -> None:
    axis = _Axis(64 + 64 + 30, 64)  # centres at 31.5, 95.5 and 142.5

    before, after, weight = axis.nodes(slice(119, 120))

    assert (before[0], after[0]) == (1, 2)
    assert weight[0] == (119 - 95.5) / (142.5 - 95.5)
    assert axis.nodes(slice(150, 151))[0] == 2


@pytest.mark.parametrize("rows", [(0, 1), (0, 72), (31, 32), (180, 252), (403, 475), (474, 475)])
def test_a_level_depends_on_the_needed_rows_and_on_no_others(rows: tuple[int, int]) -> None:
    window = slice(*rows), slice(150, 222)
    image = sky()
    needed = needed_rows(image.shape, 64, window[0])
    elsewhere = np.full_like(image, np.nan)
    elsewhere[needed] = image[needed]

    level, whole = (BackgroundMesh(Frame(one), 64).at(*window) for one in (elsewhere, image))

    assert_array_equal(level, whole)
    for edge in (needed.start, needed.stop - 1):  # each is needed: without its cell the level moves
        holed = image.copy()
        holed[edge // 64 * 64 : edge // 64 * 64 + 64, 100:300] += 1000
        assert (BackgroundMesh(Frame(holed), 64).at(*window) != whole).any()
