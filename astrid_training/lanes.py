"""How many files this machine fetches at once, whichever of its processes do."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from astrid_training.local_cache import Lease

__all__ = ["DOWNLOADS_AT_ONCE", "LANE_WIDTH", "lane"]

LANE_WIDTH = 8  # the object store's client saturates here
DOWNLOADS_AT_ONCE = 64
"""Of a machine, where nothing else is said: the batches of seven cores wait for nobody."""
ASK_AGAIN_S = 0.1

log = logging.getLogger(__name__)


@contextmanager
def lane(folder: Path, at_once: int = DOWNLOADS_AT_ONCE) -> Iterator[int]:
    """Give the block a lane, and say how many downloads go side by side in it.

    All lanes of a folder together are `at_once` wide. Where none is free, the block waits. A lane is a lock on
    a file, and the system gives it back when its holder ends, however that ends.

    Args:
        folder: of the locks, the same for all processes of the machine.
        at_once: 1 or more.
    """
    held, width = _take(folder, at_once)
    if held is None:
        log.info("all %d downloads of this machine are taken; waiting for one to end", at_once)
    while held is None:
        time.sleep(ASK_AGAIN_S)
        held, width = _take(folder, at_once)
    try:
        yield width
    finally:
        held.close()


def _take(folder: Path, at_once: int) -> tuple[Lease | None, int]:
    """Return the first lane that nobody has, and its width."""
    for first in range(0, at_once, LANE_WIDTH):
        path = folder / f"{first // LANE_WIDTH}"
        lease = Lease(path)
        if lease.try_own():
            path.touch()  # retention removes what nobody touches for long
            return lease, min(LANE_WIDTH, at_once - first)
        lease.close()
    return None, 0
