"""Functions whose every bit is the same on every processor.

NumPy and the C library have several versions of asinh and exp, for processors with wider and narrower
registers, which differ in the last bit. These are made of additions, multiplications, divisions and
square roots, which IEEE 754 rounds in one way only.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["asinh_in_place", "exp"]

BLOCK = 16384  # values at once: they and their working arrays stay in a cache
ATANH = (
    1.9999999999999907,
    0.6666666666774684,
    0.39999999793069,
    0.2857144389319626,
    0.22221648634483473,
    0.18194078503447317,
    0.15226491825244645,
    0.1457677229422884,
    0.060267238571574275,
    0.24129867357945192,
)
"""Polynomial in t^2 through 2 atanh(t) / t at the Chebyshev nodes of 0 <= t^2 <= 3 - sqrt(8): the
relative error is below 6e-15."""
EXP = tuple(1 / math.factorial(power) for power in range(15))
LN2_HIGH = float.fromhex("0x1.62e42feep-1")
"""The first 32 bits of ln 2: its product with a whole number is exact."""
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
LOG2_E = 1.4426950408889634
EXPONENT_AT, EXPONENT_BIAS = 52, 1023  # of a float64's bits
SQRT_HALF_BITS = int(np.array(math.sqrt(0.5)).view(np.int64))
LEAST_EXPONENT = -700.0  # the exponential of less is no normal number

Floats = NDArray[np.float64]


def asinh_in_place(values: Floats) -> None:
    """Replace values by their inverse hyperbolic sines, with a relative error below 1e-14.

    Args:
        values: any shape, C-contiguous, below 1e150 in size; NaN stays NaN.
    """
    flat = values.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        size = np.abs(block)
        large = np.flatnonzero(size > 1)
        beyond = np.copysign(_log(size[large] + np.sqrt(size[large] ** 2 + 1)), block[large])
        np.multiply(block, block, out=size)
        size += 1
        np.sqrt(size, out=size)
        size += 1
        block /= size  # tanh(asinh(x) / 2)
        _two_atanh_in_place(block, size)
        block[large] = beyond


def exp(values: Floats) -> Floats:
    """Return the exponentials of values from -700 to 700, with a relative error below 1e-15 x 4.

    Below that range it is that of -700: as good as nothing. NaN stays NaN.
    """
    bounded = np.maximum(values, LEAST_EXPONENT)
    twos = np.rint(bounded * LOG2_E)
    rest = bounded - twos * LN2_HIGH - twos * LN2_LOW
    result = np.full_like(rest, EXP[-1])
    for term in EXP[-2::-1]:
        result *= rest
        result += term
    exponents = np.where(np.isnan(twos), 0, twos).astype(np.int64) + EXPONENT_BIAS
    scaled: Floats = result * (exponents << EXPONENT_AT).view(np.float64)
    return scaled


def _log(values: Floats) -> Floats:
    """Return the natural logarithms of finite values above 1."""
    bits = values.view(np.int64)
    twos = (bits - SQRT_HALF_BITS) >> EXPONENT_AT
    mantissa = (bits - (twos << EXPONENT_AT)).view(np.float64)
    logarithm: Floats = (mantissa - 1) / (mantissa + 1)
    _two_atanh_in_place(logarithm, np.empty_like(logarithm))
    return twos * LN2_HIGH + (twos * LN2_LOW + logarithm)


def _two_atanh_in_place(values: Floats, room: Floats) -> None:
    """Replace values up to sqrt(2) - 1 in size by twice their inverse hyperbolic tangents."""
    squares = values * values
    np.multiply(squares, ATANH[-1], out=room)
    for term in ATANH[-2:0:-1]:
        room += term
        room *= squares
    room += ATANH[0]
    values *= room
