"""Order statistics of sorted rows are those that NumPy finds row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from astrid_training.ordered import count_below, deviation_of_sorted, median_of_sorted

VALUES = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6, width=32), st.just(np.nan))


@st.composite
def sorted_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of some length, sorted with NaN last, and how many of each are numbers."""
    width = draw(st.integers(1, 40))
    rows = draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=6))
    ordered = np.sort(np.array(rows), axis=1)
    return ordered, (~np.isnan(ordered)).sum(axis=1)


@given(sorted_rows())
def test_medians_and_deviations_are_those_of_each_row_alone(
    given_rows: tuple[np.ndarray, np.ndarray],
) -> None:
    ordered, count = given_rows

    medians = median_of_sorted(ordered, count)
    deviations = deviation_of_sorted(ordered, medians, count)

    for row, valid, median, deviation in zip(ordered, count, medians, deviations, strict=True):
        if valid == 0:
            assert np.isnan(median)
            assert np.isnan(deviation)
        else:
            assert median == np.median(row[:valid])
            assert deviation == np.median(np.abs(row[:valid] - median))


@given(sorted_rows(), st.lists(st.floats(-10, 10), min_size=2, max_size=2))
def test_what_lies_below_a_bound_is_counted(
    given_rows: tuple[np.ndarray, np.ndarray], bounds: list[float]
) -> None:
    ordered, _ = given_rows
    rows = np.arange(len(ordered))[::-1]

    found = count_below(ordered, rows, np.tile(bounds, (len(rows), 1)))

    expected = [[(ordered[row] < bound).sum() for bound in bounds] for row in rows]
    assert_array_equal(found, expected)


def test_single_precision_stays_single() -> None:
    ordered = np.array([[1, 2, 4, 8]], np.float32)
    count = np.array([4])

    medians = median_of_sorted(ordered, count)

    assert medians.dtype == np.float32
    assert deviation_of_sorted(ordered, medians, count).dtype == np.float32
