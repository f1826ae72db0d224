"""How all benchmarks time: sides interleaved, medians, processor time beside the wall's."""

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROUNDS = 5
NAMED = ("numpy", "astropy", "torch")
"""Packages whose versions move the figures."""


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds, seconds."""

    wall_s: float
    cpu_s: float


def interleave(
    sides: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, Timing]:
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
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = ", ".join(f"{name} {version(name)}" for name in NAMED)
    return (
        f"{processor()}, {cores()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's model, with family and model number where Linux tells them."""
    told = Path("/proc/cpuinfo")
    if not told.exists():
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(\S[^\t:]*)\s*: (.*)$", told.read_text(encoding="utf-8"), re.M))
    numbers = [
        f"{part.split()[-1]} {found[part]}" for part in ("cpu family", "model") if part in found
    ]
    return " ".join([found.get("model name", platform.machine()), *numbers])
