"""What it costs to bring in the flow of a collection: processor time and memory of a bare process.

Beside it the same for what nobody can leave out: Prefect, SQLAlchemy, Arrow and NumPy.
"""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

from benchmarks.rows import Goal, Row, at_most
from benchmarks.timing import ROUNDS

FLOW = "flows.collect"
BARE = "prefect, sqlalchemy, pyarrow, numpy"
PROGRAM = """
import json, resource, sys, time
import {modules}
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([time.process_time(), rss * unit, sorted({{"torch", "mlflow"}} & sys.modules.keys())]))
"""


@dataclass(frozen=True)
class Cost:
    """Medians over the rounds."""

    cpu_s: float
    peak_mb: float
    heavy: tuple[str, ...]
    """Which of torch and MLflow came along."""


def cost(modules: str) -> Cost:
    """Return what importing `modules`, separated by commas, costs a process."""
    runs = [_once(modules) for _ in range(ROUNDS + 1)][1:]  # the first compiles and reads the disk
    cpu, peak, heavy = zip(*runs, strict=True)
    return Cost(statistics.median(cpu), statistics.median(peak) / 1e6, tuple(heavy[0]))


def _once(modules: str) -> tuple[float, int, list[str]]:
    command = [sys.executable, "-c", PROGRAM.format(modules=modules)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    cpu_s, peak, heavy = json.loads(told.splitlines()[-1])
    return cpu_s, peak, heavy


def report() -> list[Row]:
    """Return the rows of the table of results."""
    ours, bare = cost(FLOW), cost(BARE)
    light = Goal("no torch", "torch" not in ours.heavy)
    return [
        Row(
            "imports of the flow",
            f"{ours.cpu_s:.1f} CPU-s",
            f"{BARE} {bare.cpu_s:.1f}",
            ours.cpu_s / bare.cpu_s,
            at_most(ours.cpu_s, 4, "CPU-s"),
        ),
        Row(
            "memory after the imports of the flow",
            f"{ours.peak_mb:,.0f} MB at most",
            f"{BARE} {bare.peak_mb:,.0f}",
            ours.peak_mb / bare.peak_mb,
            at_most(ours.peak_mb, 800, "MB") & light,
        ),
    ]
