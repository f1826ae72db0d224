"""`.npy` files are read as NumPy reads them, by many threads at once too, and nothing else is."""

import gc
import io
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from astrid_training.npy import as_array, map_array, npy_header

DTYPES = st.sampled_from(["|b1", "|u1", "<i4", ">f4", "<f2", "<f8", "<c16"]).map(np.dtype)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0)


def saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@given(array=arrays.arrays(DTYPES, SHAPES))
def test_what_numpy_saves_is_read(tmp_path_factory: pytest.TempPathFactory, array: Any) -> None:
    npy = saved(array)
    assert npy == npy_header(array.shape, array.dtype) + array.tobytes()
    found = [as_array(npy)]
    if array.size:
        path = tmp_path_factory.mktemp("npy") / "array.npy"
        path.write_bytes(npy)
        found.append(map_array(path))

    for one in found:
        assert (one.shape, one.dtype, one.tobytes()) == (array.shape, array.dtype, array.tobytes())
        assert not one.flags.writeable


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(saved(np.ones(3))[:9], id="no head"),
        pytest.param(saved(np.ones(3))[:-1], id="too short"),
        pytest.param(saved(np.ones((2, 3), order="F")), id="Fortran's order"),
        pytest.param(saved(np.array(["a"])), id="text"),
        pytest.param(saved(np.zeros(3, [("a", "<f4")])), id="records"),
        pytest.param(saved(np.ones(3)).replace(b"NUMPY\x01", b"NUMPY\x02"), id="another version"),
        pytest.param(saved(np.ones(3)).replace(b"(3,)", b"(-3)"), id="negative"),
        pytest.param(saved(np.ones(3)).replace(b"(3,)", b"(9,)"), id="more than is there"),
        pytest.param(
            saved(np.ones(3)).replace(b"(3,)", b"(%d,)" % 2**62), id="more than there can be"
        ),
        pytest.param(saved(np.ones(3)).replace(b"<f8", b"|O8"), id="objects"),
        pytest.param(saved(np.ones(3)).replace(b"<f8", b"<f3"), id="no type"),
    ],
)
def test_nothing_else_is(tmp_path: Path, wrong: bytes) -> None:
    with pytest.raises(ValueError, match="npy"):
        as_array(wrong)
    (tmp_path / "wrong.npy").write_bytes(wrong)
    with pytest.raises(ValueError, match="npy"):
        map_array(tmp_path / "wrong.npy")


class Waste:
    """Garbage whose collection gives other threads their turn."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(20))


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads that take turns all the time, and garbage that is collected all the time."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("_restless")
def test_many_threads_read_at_once() -> None:
    npy = saved(np.ones((3, 4), np.float32))

    def read(_: int) -> Any:
        for _ in range(20):
            Waste()
            shape = as_array(npy).shape
        return shape

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(40))) == {(3, 4)}
