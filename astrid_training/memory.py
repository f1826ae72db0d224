"""What this process has freed goes back to the system, and what it may take meanwhile."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pyarrow as pa

__all__ = ["at_most_more", "give_back"]


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


@contextmanager
def at_most_more(bytes_: int) -> Iterator[None]:
    """Let this process take so much memory more while the block lasts, then as much as before.

    What goes beyond raises a `MemoryError`, in whichever thread; where the system knows no such
    limit, nothing is bounded.
    """
    if sys.platform != "linux":
        yield
        return
    import resource  # Windows has none

    before = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + bytes_
    limits = [limit for limit in (wanted, *before) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
