"""Run benchmarks, each in a process of its own, print and keep their rows: `make bench`.

`python -m benchmarks.run` runs all; `python -m benchmarks.run loader packs` these. What follows a
colon goes to the benchmark: `scale:100000`. What was run replaces its section of RESULTS.md.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from astrid_training import cpu
from benchmarks.rows import HEAD, Row
from benchmarks.timing import ROUNDS, machine

NAMES = (
    "build_core",
    "cosmic_rays",
    "sparse",
    "masks",
    "packs",
    "loader",
    "selection",
    "fetching",
    "freshness",
    "leaks",
    "publishing",
    "comparing",
    "imports",
    "orchestration",
    "scale",
    "cluster",
    "training",
)
"""Modules with a `report`, in the order of the table, which is that of a collection."""
AS_WORKERS = {"sparse"}
"""Those that run with what worker processes have in their environment."""
RESULTS = Path(__file__).with_name("RESULTS.md")
LIMIT_S = 600
INTRODUCTION = """# Results

Medians of {rounds} rounds with the sides interleaved, processor time where nothing else is said. Ratios
are what to compare between machines. How to read the rows, and what they compare with:
[Benchmarks](../docs/reference/benchmarks.md).

{verdicts}
"""
SECTION = """
## {name}

{machine}; {day}, {seconds:.0f} s.

{head}
{rows}
"""


def main(asked: list[str]) -> int:
    """Run what is asked, or everything, and return 1 if a benchmark failed, else 0.

    Raises:
        SystemExit: if one that is asked does not exist.
    """
    unknown = [name for name in asked if module_of(name) not in NAMES]
    if unknown:
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    sections = read_sections(RESULTS)
    failed = False
    for name in asked or NAMES:
        start = time.monotonic()
        rows, fault = measure(name)
        failed = failed or fault is not None
        sections[name] = section(name, rows, time.monotonic() - start)
        sys.stdout.write(sections[name])
        sys.stdout.flush()
        RESULTS.write_text(page(sections), encoding="utf-8")
    return int(failed)


def measure(name: str, limit_s: float = LIMIT_S) -> tuple[list[str], str | None]:
    """Run a benchmark in a process of its own and return its lines, and why it failed or None."""
    with TemporaryDirectory() as folder:
        told = Path(folder) / "rows"
        command = [sys.executable, "-m", "benchmarks.run", "--into", str(told), name]
        added = cpu.environment() if module_of(name) in AS_WORKERS else {}
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=sys.stderr,
            text=True,
            env={**os.environ, **added},
        )
        fault = None
        try:
            _, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end(process)
            fault = f"took more than {limit_s:.0f} s"
        else:
            if process.returncode:
                sys.stderr.write(errors)
                fault = (errors.strip().splitlines() or [f"exit {process.returncode}"])[-1]
        rows = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    if fault is not None:
        rows.append(str(Row(name, f"failed: {fault}")))
    return rows, fault


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a benchmark, so that it stops the servers it started; kill it if it goes on."""
    # who was started in the background ignores the first
    for number in (signal.SIGINT, signal.SIGKILL):
        process.send_signal(number)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            continue
        return


def tell(into: Path, name: str) -> None:
    """Write the rows of one benchmark, measured in this process, and why goals are missed if any."""
    module, _, argument = name.partition(":")
    benchmark = import_module(f"benchmarks.{module}")
    report: Callable[..., list[Row]] = benchmark.report
    rows = report(int(argument)) if argument else report()
    lines = [str(row) for row in rows]
    if any(row.goal and not row.goal.met for row in rows) and hasattr(benchmark, "WHY_MISSED"):
        lines += ["", *benchmark.WHY_MISSED.strip().splitlines()]
    into.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def section(name: str, rows: list[str], seconds: float) -> str:
    """Return a benchmark's part of the page."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    return SECTION.format(
        name=name, machine=machine(), day=day, seconds=seconds, head=HEAD, rows="\n".join(rows)
    )


def read_sections(page: Path) -> dict[str, str]:
    """Return the sections of an earlier run by name; of benchmarks that are gone, none."""
    if not page.exists():
        return {}
    parts = page.read_text(encoding="utf-8").split("\n## ")[1:]
    found = {part.partition("\n")[0]: f"\n## {part}" for part in parts}
    return {name: text for name, text in found.items() if module_of(name) in NAMES}


def module_of(name: str) -> str:
    """Return the module of a benchmark that may have an argument."""
    return name.partition(":")[0]


def page(sections: dict[str, str]) -> str:
    """Return the whole page: the verdicts, then the sections in the order of NAMES."""
    ordered = sorted((NAMES.index(module_of(name)), name) for name in sections)
    body = "".join(sections[name] for _, name in ordered)
    rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("|")]
    missed = [cells[0] for cells in rows if cells[-1] == "**missed**"]
    met = sum(cells[-1] == "met" for cells in rows)
    verdicts = f"{met} of {met + len(missed)} goals are met."
    if missed:
        verdicts += f" Missed: {'; '.join(missed)}."
    return INTRODUCTION.format(rounds=ROUNDS, verdicts=verdicts) + body


if __name__ == "__main__":
    if sys.argv[1:2] == ["--into"]:
        tell(Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main(sys.argv[1:]))
