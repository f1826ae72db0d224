"""How all benchmarks time: sides interleaved, medians, processor time beside the wall's."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds, seconds."""

    wall_s: float
    cpu_s: float


def interleave(sides: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, Timing]:
    """Run all sides in turn, `rounds` times, after one warm-up each."""
    for run in sides.values():
        run()
    walls: dict[str, list[float]] = {name: [] for name in sides}
    cpus: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    return {
        name: Timing(statistics.median(walls[name]), statistics.median(cpus[name]))
        for name in sides
    }


def machine() -> str:
    """Return what the figures were measured on."""
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
