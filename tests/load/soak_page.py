"""A soak as a picture, and in the documentation."""

import platform
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.load.readings import PARTS, PLACES, Reading
from tests.load.rounds import Round

__all__ = ["draw", "write_page"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "soak.md"
PICTURE = ROOT / "docs" / "images" / "soak.png"
BEGIN, END = "<!-- figures of `make soak` -->", "<!-- end of figures -->"
TITLES = {
    "prefect_server": "Prefect server",
    "worker": "worker",
    "mlflow": "MLflow",
    "postgres": "PostgreSQL",
    "api": "REST API",
}


def draw(readings: Sequence[Reading], rounds: Sequence[Round], path: Path) -> None:
    """Draw memory, handles and disk over time, and when something died."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(8, 9), sharex=True, layout="constrained")
    for name in PARTS:
        _plot(axes[0], readings, name, TITLES[name], lambda one: one.mb)
        _plot(axes[1], readings, name, TITLES[name], lambda one: one.handles)
    for name in PLACES:
        _plot(axes[2], readings, f"disk: {name}", name, lambda one: one.mb)
    ends = {one.round: one.minute for one in readings}
    for axis, label in zip(axes, ("memory (MB)", "open handles", "disk (MB)"), strict=True):
        axis.set_ylabel(label)
        axis.set_ylim(0, axis.get_ylim()[1] * 1.25)
        axis.grid(alpha=0.3)
        for one in (one for one in rounds if one.broken and one.number in ends):
            axis.axvline(ends[one.number] - one.took_s / 60, color="0.7", lw=0.8, zorder=0)
        axis.legend(fontsize=8, ncols=4, loc="upper left")
    axes[0].set_title("Soak of the embedded stack; a grey line: a part is killed")
    axes[-1].set_xlabel("time (minutes)")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot(
    axis: Any,
    readings: Sequence[Reading],
    name: str,
    label: str,
    value: Callable[[Reading], float],
) -> None:
    own = [one for one in readings if one.name == name]
    axis.plot([one.minute for one in own], [value(one) for one in own], ".-", ms=3, label=label)


def write_page(summary: dict[str, Any], picture: Path) -> None:
    """Write the figures into the documentation, and the picture beside."""
    shutil.copyfile(picture, PICTURE)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    told = f"{_told(summary)}\n\n{_table(summary)}"
    PAGE.write_text(f"{before}{BEGIN}\n\n{told}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _told(summary: dict[str, Any]) -> str:
    counts = summary["counts"]
    machine = (
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GB, "
        f"Python {platform.python_version()}"
    )
    grows = [f"{one['name']} ({one['what']})" for one in summary["trends"] if not one["is_flat"]]
    ended = (
        f"it failed: {summary['failure'].strip().splitlines()[-1]}"
        if summary["failure"]
        else "all held"
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}: {summary['minutes']} minutes, "
        f"{summary['rounds']} rounds, {counts['collections']} collections, {counts['datasets']} datasets, "
        f"{counts['killed']} kills and {counts['recovered']} recoveries, "
        f"{counts['requests']} requests; {ended}. Memory of all processes: "
        f"{summary['memory_start_mb']} MB after the first round, {summary['memory_end_mb']} MB after the last. "
        f"Grows by more than it may: {', '.join(grows) or 'nothing'}."
    )


def _table(summary: dict[str, Any]) -> str:
    rows = ["| | | start | end | fitted | may be |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for one in summary["trends"]:
        unit = {"memory": "MB", "handles": "handles", "disk": "MB"}[one["what"]]
        name = TITLES.get(one["name"], one["name"])
        fitted = "MB a collection" if one["what"] == "disk" else unit
        digits = 2 if one["what"] == "disk" else 0
        rows.append(
            f"| {name} | {unit} | {one['start']:.0f} | {one['end']:.0f} | "
            f"{one['fitted']:.{digits}f} {fitted} | {one['allowed']:.{digits}f} |"
        )
    return "\n".join(rows)
