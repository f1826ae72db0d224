"""What this process has freed goes back to the system."""

import ctypes
import sys

import pyarrow as pa

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory to the system, after a step that held a whole collection.

    Arrow's pool and the C library keep what is freed for later; without this a process holds the
    peak of its largest step, 200 MB at 50,000 samples, on top of each step that follows.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others need none
        if trim is not None:
            trim(0)
