"""Whether what was read stays flat, once everything is warm."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.load.readings import PARTS, PLACES, Reading

__all__ = ["Trend", "growth", "judge"]

SHARE, MEMORY_MB, HANDLES = 0.10, 10.0, 10
"""A process may grow by a tenth of what it takes, and 10 MB or 10 handles, in its life."""
DISK_RATIO, DISK_MB = 1.5, 0.15
"""A collection of the second half may take half as much disk again as one of the first, and 0.15 MB."""
WARM_SHARE, WARM_READINGS = 0.25, 2
"""Left out: the first quarter of the soak, and of each process its first two readings."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One process or place: at the start, at the end, and what was fitted."""

    name: str
    what: str
    """memory, handles or disk."""
    start: float
    end: float
    fitted: float
    """Growth in the longest life of a process; of disk: MB a collection in the second half."""
    allowed: float

    @property
    def is_flat(self) -> bool:
        """Whether it grows no more than it may."""
        return bool(self.fitted <= self.allowed)


def judge(readings: Sequence[Reading]) -> list[Trend]:
    """Return the trend of memory and handles of each process, and of disk at each place."""
    found = []
    for name in PARTS:
        own = [one for one in readings if one.name == name]
        found += [_trend_of(own, "memory"), _trend_of(own, "handles")]
    for name in PLACES:
        found.append(_trend_of_disk([one for one in readings if one.name == f"disk: {name}"]))
    return found


def _trend_of(own: Sequence[Reading], what: str) -> Trend:
    values = [one.mb if what == "memory" else one.handles for one in own]
    runs = list(_lives(own, values))
    fitted = growth(runs, max((np.ptp(x) for x, _ in runs), default=0.0))
    allowed = SHARE * float(np.mean(values)) + (MEMORY_MB if what == "memory" else HANDLES)
    return Trend(own[0].name, what, values[0], values[-1], fitted, allowed)


def _lives(
    own: Sequence[Reading], values: Sequence[float]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield collections and values of each process that bore the name, without its warm-up."""
    warm_from = own[-1].minute * WARM_SHARE
    by_pid = defaultdict(list)
    for one, value in zip(own, values, strict=True):
        by_pid[one.pid].append((one, value))
    for pairs in by_pid.values():
        kept = [pair for pair in pairs[WARM_READINGS:] if pair[0].minute >= warm_from]
        if len(kept) > 1:
            x = np.array([one.collections for one, _ in kept], float)
            yield x, np.array([value for _, value in kept], float)


def growth(lives: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], span: float) -> float:
    """Return the growth over `span` by the slope that all lives share, each from its own level."""
    centred = [(x - x.mean(), y - y.mean()) for x, y in lives]
    square = sum(float((x * x).sum()) for x, _ in centred)
    if not square:
        return 0.0
    return float(span * sum(float((x * y).sum()) for x, y in centred) / square)


def _trend_of_disk(own: Sequence[Reading]) -> Trend:
    warm = [one for one in own if one.minute >= own[-1].minute * WARM_SHARE]
    half = len(warm) // 2
    first, second = (_per_collection(part) for part in (warm[: half + 1], warm[half:]))
    allowed = DISK_RATIO * max(first, 0.0) + DISK_MB
    return Trend(own[0].name, "disk", own[0].mb, own[-1].mb, second, allowed)


def _per_collection(part: Sequence[Reading]) -> float:
    x = np.array([one.collections for one in part], float)
    y = np.array([one.mb for one in part], float)
    return growth([(x, y)], 1.0) if len(part) > 1 else 0.0
