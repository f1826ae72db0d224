"""asinh and exp of our own: right, and the same bits whatever the processor can do."""

import os
import subprocess
import sys

import numpy as np
import pytest

from astrid_training.digests import digest_bytes
from astrid_training.elementary import asinh_in_place, exp

BITS = """
import sys, numpy as np
from astrid_training.digests import digest_bytes
from astrid_training.elementary import asinh_in_place, exp
values = np.frombuffer(sys.stdin.buffer.read()).copy()
powers = exp(-np.abs(values))
asinh_in_place(values)
print(digest_bytes(values.tobytes()), digest_bytes(powers.tobytes()))
"""


def some_values() -> np.ndarray:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.4, 100_000)
    wide = rng.choice([-1, 1], 100_000) * 10 ** rng.uniform(-30, 60, 100_000)
    edges = [1.0, -1.0, np.nextafter(1, 2), np.nextafter(1, 0), 1e-300, 1e149]
    return np.concatenate([noise, wide, edges])


def asinh(values: np.ndarray) -> np.ndarray:
    out = values.copy()
    asinh_in_place(out)
    return out


def test_asinh_is_right_to_14_digits() -> None:
    values = some_values()
    extended = values.astype(np.longdouble)
    size = np.abs(extended)
    true = np.copysign(np.log1p(size + size**2 / (1 + np.sqrt(1 + size**2))), extended)

    off = np.abs(asinh(values) / true - 1)

    assert off.max() < 1e-14


def test_asinh_keeps_shape_sign_zero_and_what_is_missing() -> None:
    values = np.array([[0.0, -0.0, np.nan], [2.0, -2.0, 0.5]])

    out = asinh(values)

    assert np.signbit(out).tolist() == [
        [False, True, bool(np.signbit(np.nan))],
        [False, True, False],
    ]
    assert np.isnan(out).tolist() == [[False, False, True], [False] * 3]
    assert out[1, 0] == -out[1, 1] == pytest.approx(1.4436354751788103)


def test_asinh_of_a_value_does_not_depend_on_its_company() -> None:
    values = some_values()
    order = np.random.default_rng(2).permutation(len(values))

    assert (asinh(values[order]) == asinh(values)[order]).all()


def test_exp_is_right_to_15_digits() -> None:
    values = np.random.default_rng(3).uniform(-690, 690, 100_000)

    off = np.abs(exp(values) / np.exp(values.astype(np.longdouble)) - 1)

    assert off.max() < 4e-16
    assert exp(np.array([0.0])) == 1
    assert exp(np.array([-1e5])) < 1e-300
    assert np.isnan(exp(np.array([np.nan])))


def test_a_processor_with_the_oldest_instructions_gives_the_same_bits() -> None:
    values = some_values()
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]

    child = subprocess.run(
        [sys.executable, "-c", BITS],
        input=values.tobytes(),
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)},
        capture_output=True,
        check=True,
    )

    powers = exp(-np.abs(values))
    expected = [digest_bytes(bits.tobytes()) for bits in (asinh(values), powers)]
    assert child.stdout.decode().split() == expected
