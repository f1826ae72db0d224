"""What the processes and places of a stack take, read once a round."""

import csv
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

from deployments.embedded.parts import Worker
from deployments.embedded.stack import status

__all__ = [
    "PARTS",
    "PLACES",
    "Reading",
    "folder_mb",
    "read_parts",
    "read_places",
    "wait_for_runs_to_end",
    "write_csv",
]

PARTS = ("prefect_server", "worker", "mlflow", "postgres", "api")
PLACES = ("store", "prefect", "mlflow", "postgres", "results", "cache", "logs")
SURVEY_FILES = {"raw", "difference"}
"""Folders of the store that are the survey's; the others grow with datasets."""
DATABASES = text("SELECT sum(pg_database_size(oid)) FROM pg_database")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process, or a place on the disk, takes at the end of a round."""

    minute: float
    round: int
    collections: int
    datasets: int
    name: str
    """One of `PARTS`, or `disk: ` and one of `PLACES`."""
    pid: int
    """0: a place."""
    mb: float
    """Memory of the process and its children, pages that several share counted once; or disk."""
    handles: int


def wait_for_runs_to_end(home: Path, limit_s: float = 60.0) -> None:
    """Return when no flow runs, so that what the worker takes is the worker's alone."""
    deadline = time.monotonic() + limit_s
    while Worker(home).flow_runs() and time.monotonic() < deadline:
        time.sleep(0.3)


def read_parts(home: Path, api: psutil.Process) -> Iterator[tuple[str, int, float, int]]:
    """Yield name, pid, MB and open handles of each process with all its children."""
    parts = status(home).parts
    for name in PARTS:
        pid = api.pid if name == "api" else parts[name].pid
        if pid is not None:
            head = psutil.Process(pid)
            family = [head, *head.children(recursive=True)]
            yield name, pid, sum(map(_memory_mb, family)), sum(map(_handles, family))


def read_places(home: Path, engine: Engine) -> Iterator[tuple[str, int, float, int]]:
    """Yield name, 0, MB and files of each place where things are kept."""
    store = [folder for folder in (home / "store").iterdir() if folder.name not in SURVEY_FILES]
    with engine.connect() as connection:
        databases = float(connection.execute(DATABASES).scalar_one()) / 1e6
    sizes = {
        "store": folders_mb(store),
        "prefect": files_mb((home / "prefect").glob("prefect.db*")),
        "mlflow": folder_mb(home / "mlartifacts") + files_mb(home.glob("mlflow.db*")),
        "postgres": databases,
        "results": folder_mb(home / "prefect" / "storage"),
        "cache": folder_mb(home / "cache"),
        "logs": folder_mb(home / "logs"),
    }
    for name in PLACES:
        yield f"disk: {name}", 0, sizes[name], 0


def _memory_mb(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss)) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _handles(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.NoSuchProcess:
        return 0


def folder_mb(folder: Path) -> float:
    """Return what the files below a folder hold, in MB."""
    return files_mb(Path(at) / name for at, _, names in os.walk(folder) for name in names)


def folders_mb(folders: Iterable[Path]) -> float:
    """Return what the files below folders hold, in MB."""
    return sum(map(folder_mb, folders))


def files_mb(files: Iterable[Path]) -> float:
    """Return what files hold, in MB; one that has gone meanwhile holds nothing."""
    total = 0
    for path in files:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total / 1e6


def write_csv(readings: Iterable[Reading], path: Path) -> None:
    """Write one line a reading, under a header."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(field.name for field in fields(Reading))
        writer.writerows(
            [round(value, 3) if isinstance(value, float) else value for value in astuple(one)]
            for one in readings
        )
