"""Working arrays that are used again: fresh memory costs more than what is computed in it."""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["room"]

_held = threading.local()


def room(name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return this thread's working array of some name, with anything in it.

    It is the same memory at each call: use it only until the function that asked for it returns.

    Args:
        name: whose it is; two arrays that are used together have two names.
        shape: of the array.
        dtype: of its values.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    held: NDArray[np.uint8] | None = getattr(_held, name, None)
    if held is None or held.size < size:
        held = np.empty(size, np.uint8)
        setattr(_held, name, held)
    return held[:size].view(dtype).reshape(shape)
