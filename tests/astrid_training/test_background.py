"""The mesh: a window's background is the full frame's, and stars do not lift it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from astrid_training.background import BackgroundMesh, _Axis, needed_rows, prepare_meshes
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


@st.composite
def frames_and_windows(draw: st.DrawFn) -> tuple[Frame, int, list[tuple[slice, slice]]]:
    """Return a frame with holes, the side of its cells, and some windows on it."""
    height, width = draw(st.integers(20, 200)), draw(st.integers(20, 200))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    image = rng.normal(draw(st.sampled_from([0, 300])), 7, (height, width))
    if draw(st.booleans()):
        image = np.round(image)
    top, left = draw(st.integers(0, height)), draw(st.integers(0, width))
    image[top : top + draw(st.integers(0, 90)), left:] = draw(st.sampled_from([np.nan, -np.inf]))
    image[rng.random(image.shape) < draw(st.sampled_from([0, 0.01, 0.6]))] = -3.4028235e38
    pixels = image.astype(draw(st.sampled_from(["<f4", ">f4", ">f8"])))
    windows = []
    for _ in range(draw(st.integers(1, 4))):
        row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        size = draw(st.integers(1, 72))
        windows.append(
            (slice(row, min(row + size, height)), slice(column, min(column + size, width)))
        )
    return Frame(pixels, sign=draw(st.sampled_from([1, -1]))), draw(st.integers(16, 70)), windows


@settings(max_examples=60, deadline=None)
@given(frames_and_windows())
def test_sparse_levels_are_bit_for_bit_those_of_the_whole_frame(
    case: tuple[Frame, int, list[tuple[slice, slice]]],
) -> None:
    frame, cell, windows = case
    height, width = frame.shape
    whole = BackgroundMesh(frame, cell)
    full = whole.at(slice(0, height), slice(0, width))
    together = BackgroundMesh(frame, cell)
    together.prepare(windows)

    for rows, columns in windows:
        assert_array_equal(together.at(rows, columns), full[rows, columns])
        assert_array_equal(BackgroundMesh(frame, cell).at(rows, columns), full[rows, columns])
        assert_array_equal(
            BackgroundMesh(frame, cell).rms(rows.start, columns.start),
            whole.rms(rows.start, columns.start),
        )


def clipped_by_hand(values: np.ndarray) -> tuple[float, float]:
    """Return median and sigma of a cell's pixels as the module's head defines them, one by one."""
    valid = np.sort(values[np.abs(values) <= 1e30]).astype(np.float64)
    if valid.size < 0.25 * values.size:
        return np.nan, np.nan
    kept = valid
    for _ in range(6):
        low, high = kept[(kept.size - 1) // 4], kept[3 * (kept.size - 1) // 4]
        median, sigma = np.median(kept), 0.7413 * (high - low)
        bounds = np.array([median - 3 * sigma, median + 3 * sigma], np.float32)
        inside = valid[(valid >= bounds[0]) & (valid <= bounds[1])]
        if inside.size in (0, kept.size):
            break
        kept = inside
    return float(median), float(sigma)


@pytest.mark.parametrize("image", [sky(5), with_holes(sky(6)), np.round(sky(7) / 9)])
def test_a_cells_median_and_noise_are_those_of_clipping_by_hand(image: np.ndarray) -> None:
    mesh = BackgroundMesh(Frame(image), 64)
    mesh.at(*EVERYTHING)

    for i in range(0, HEIGHT - 63, 64):
        for j in range(0, WIDTH - 63, 64):
            median, sigma = clipped_by_hand(image[i : i + 64, j : j + 64])
            assert_array_equal(mesh.rms(i, j), sigma)
            assert_array_equal(mesh._medians[i // 64, j // 64], median)


@pytest.mark.parametrize("size", [72, 475])
def test_meshes_prepared_together_have_the_bits_of_each_alone(size: int) -> None:
    images = [sky(8), with_holes(sky(9))]
    windows = [(slice(0, size), slice(30, 30 + size)), (slice(1, size), slice(520, 600))]
    meshes = [BackgroundMesh(Frame(image), 64) for image in images]

    prepare_meshes(dict.fromkeys(meshes, windows))

    for mesh, image in zip(meshes, images, strict=True):
        for window in windows:
            assert_array_equal(mesh.at(*window), BackgroundMesh(Frame(image), 64).at(*window))
