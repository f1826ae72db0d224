"""Squares are copied as they lie, turned or shifted, from files or from memory."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from astrid_training.gather import Poses, Stamps, decode, oriented

SIDE, MARGIN = 12, 2
INNER = slice(MARGIN, SIDE - MARGIN)


def _numbered(rows: int, planes: int = 3) -> NDArray[np.float32]:
    """Stamps whose pixels name their own place."""
    shape = (rows, planes, SIDE, SIDE)
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def _stamps(files: list[Any], planes: tuple[int, ...] | None) -> tuple[Stamps, NDArray[np.float32]]:
    """Stamps of the arrays' rows, last row first, and what they are."""
    file = np.concatenate([np.full(len(array), number) for number, array in enumerate(files)])
    row = np.concatenate([np.arange(len(array)) for array in files])
    stamps = Stamps(files, file[::-1].astype(np.int32), row[::-1].astype(np.int32), MARGIN, planes)
    return stamps, np.concatenate(files)[::-1]


@pytest.mark.parametrize("planes", [None, (2,), (2, 0, 1)])
@pytest.mark.parametrize("sizes", [[9], [4, 5]])
def test_squares_come_in_the_order_asked_for(
    planes: tuple[int, ...] | None, sizes: list[int]
) -> None:
    stamps, stored = _stamps(np.split(_numbered(9), np.cumsum(sizes)[:-1]), planes)
    at = np.array([3, 8, 3, -1, 0])
    out = np.empty((5, 3 if planes is None else len(planes), 8, 8), np.float32)

    stamps.take(at, out)

    wanted = stored[at] if planes is None else stored[at][:, planes]
    assert_array_equal(out, wanted[..., INNER, INNER])


def test_a_file_is_read_like_the_array_in_it(tmp_path: Path) -> None:
    array = _numbered(4)
    np.save(tmp_path / "pack.npy", array)
    stamps, stored = _stamps([array], None)
    mapped = pickle.loads(pickle.dumps(Stamps([tmp_path / "pack.npy"], stamps.file, stamps.row, 2)))

    for poses in (None, Poses(*np.array([[5, 0], [0, 4], [3, 1]]))):
        ours, theirs = np.empty((2, 2, 3, 8, 8), np.float32)
        stamps.take(np.array([1, 2]), ours, poses)
        mapped.take(np.array([1, 2]), theirs, poses)
        assert_array_equal(theirs, ours)
    assert_array_equal(stored[1], array[2])


@given(st.integers(0, 7), st.integers(0, 2 * MARGIN), st.integers(0, 2 * MARGIN))
def test_a_pose_turns_the_whole_stamp_and_then_cuts(turn: int, top: int, left: int) -> None:
    stamps, stored = _stamps([_numbered(2)], (1,))
    out = np.empty((1, 1, 8, 8), np.float32)

    stamps.take(np.array([1]), out, Poses(*np.array([[turn], [top], [left]])))

    by_hand = stored[1, 1].T if turn & 4 else stored[1, 1]
    by_hand = np.flipud(by_hand) if turn & 2 else by_hand
    by_hand = np.fliplr(by_hand) if turn & 1 else by_hand
    assert_array_equal(out[0, 0], by_hand[top : top + 8, left : left + 8])


def test_the_eight_turns_are_all_different_and_closed() -> None:
    square = np.arange(9).reshape(3, 3)
    group = {oriented(square, turn).tobytes() for turn in range(8)}

    assert len(group) == 8
    assert {oriented(np.rot90(square), turn).tobytes() for turn in range(8)} == group


def test_a_code_holds_the_whole_pose() -> None:
    poses = Poses(*np.array([[0, 7, 3], [0, 8, 2], [8, 0, 5]]))

    decoded = [decode(code, 4) for code in poses.codes(4)]

    assert decoded == [(0, 0, 8), (7, 8, 0), (3, 2, 5)]


def test_some_of_the_samples_are_stamps_of_their_own() -> None:
    stamps, stored = _stamps([_numbered(6)], None)
    out = np.empty((1, 3, 8, 8), np.float32)

    stamps.of(np.array([4, 2])).take(np.array([1]), out)

    assert_array_equal(out[0], stored[2][:, INNER, INNER])


def test_a_row_beyond_the_end_is_an_index_error() -> None:
    stamps, _ = _stamps([_numbered(6)], None)

    with pytest.raises(IndexError):
        stamps.take(np.array([6]), np.empty((1, 3, 8, 8), np.float32))
