"""What need not be kept for ever: found, counted, and removed if asked."""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine

from astrid_training.gc import clear_away, find_garbage, total
from astrid_training.store import Store

__all__ = ["Removed", "RetentionParams", "cut_logs", "forget_files", "forget_objects"]

DAY_S = 86_400
KEPT_LOGS = ".1"
"""What the former part of a log is called, until the next one takes its place."""


class RetentionParams(BaseModel):
    """How long what can be made again is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Retention")

    dry_run: bool = Field(default=True, description="Only count what would be removed.")
    object_days: int = Field(
        7,
        ge=2,
        le=3650,
        description="Objects in the store that nothing refers to go when older than so many days.",
    )
    cache_days: int = Field(
        30, ge=2, le=3650, description="Files in this machine's cache go when unread for so long."
    )
    cache_gb: float = Field(
        200.0,
        gt=0,
        description="What the cache may hold, copies for the loader apart; those unread longest go.",
    )
    result_days: int = Field(
        30, ge=2, le=3650, description="Steps' results in this machine's Prefect home."
    )
    log_mb: float = Field(
        50.0,
        ge=1,
        description="A log of this home that is larger is begun anew; one former is kept.",
    )


@dataclass(frozen=True, slots=True)
class Removed:
    """What went of one kind, or would go."""

    kind: str
    number: int
    bytes: int


def forget_objects(
    engine: Engine, store: Store, older_than: timedelta, *, dry_run: bool
) -> list[Removed]:
    """Remove the objects that nothing refers to; see `gc.clear_away` for what stays, and errors."""
    act = find_garbage if dry_run else clear_away
    counts = total(act(engine, store, older_than))
    return [Removed(f"store: {kind}", *counted) for kind, counted in sorted(counts.items())]


def forget_files(
    kind: str,
    folder: Path,
    unread_for: timedelta,
    limit_bytes: float | None = None,
    *,
    spared: Iterable[str] = (),
    dry_run: bool,
) -> Removed:
    """Remove the files below a folder that nobody has read for so long, and the oldest beyond a limit.

    What was read or written in the last day stays, whatever the limit: somebody may be at it.

    Args:
        kind: what it is called in the count.
        folder: it need not be there.
        unread_for: by the later of the last reading and writing, as far as the disk keeps count.
        limit_bytes: of all that stays; None: no limit.
        spared: names of folders in it that are left alone.
        dry_run: only count.
    """
    now, files = time.time(), sorted(_files(folder, set(spared)), key=lambda one: one[1])
    held, number, gone = sum(size for _, _, size in files), 0, 0
    for path, used, size in files:
        idle = now - used
        over = limit_bytes is not None and held > limit_bytes
        if idle < DAY_S or not (over or idle > unread_for.total_seconds()):
            continue
        if not dry_run:
            path.unlink(missing_ok=True)
        held, number, gone = held - size, number + 1, gone + size
    return Removed(kind, number, gone)


def cut_logs(folder: Path, most_bytes: float, *, dry_run: bool) -> Removed:
    """Begin large logs anew and keep the former part beside each.

    Who writes appends to the same file, so that it need not know; a line that is written between the
    copy and the cut is lost.
    """
    large = [path for path in sorted(folder.glob("*.log")) if path.stat().st_size > most_bytes]
    sizes = [path.stat().st_size for path in large]
    for path in [] if dry_run else large:
        shutil.copyfile(path, path.with_name(path.name + KEPT_LOGS))
        path.with_name(path.name + KEPT_LOGS).chmod(0o600)
        with path.open("r+b") as log:
            log.truncate()
    return Removed("logs begun anew", len(large), sum(sizes))


def _files(folder: Path, spared: set[str]) -> Iterator[tuple[Path, float, int]]:
    """Yield path, time of last use and size of each file."""
    for path in _walk(folder, lambda name: name not in spared):
        try:
            stat = path.stat()
        except FileNotFoundError:  # somebody was quicker
            continue
        yield path, max(stat.st_atime, stat.st_mtime), stat.st_size


def _walk(folder: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            if wanted(path.name):
                yield from _walk(path, lambda _name: True)
        else:
            yield path
