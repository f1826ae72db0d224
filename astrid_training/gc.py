"""Objects in the store that nothing refers to: found, counted, and cleared away if asked."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from sqlalchemy import Connection, Engine

from astrid_training.audit import record
from astrid_training.catalogue import LEFTOVER_AGE
from astrid_training.database import query
from astrid_training.errors import ForeignStoreError
from astrid_training.formats import check_all_formats
from astrid_training.presence import objects_of
from astrid_training.samples import read_samples
from astrid_training.store import ObjectInfo, Store
from astrid_training.urls import mask_url
from astrid_training.users import user_name

__all__ = ["FOLDERS", "GRACE", "clear_away", "find_garbage", "total"]

GRACE = timedelta(days=7)
"""What was written or wanted since may belong to a collection that has not ended."""

_NAMES = {
    **dict.fromkeys(("images", "flags", "significance", "masks"), r"[0-9a-f]{64}\.npy"),
    **dict.fromkeys(
        (
            "measures",
            "selections",
            "targets",
            "labels",
            "stamps",
            "mask_tables",
            "built",
            "divisions",
            "samples",
        ),
        r"[0-9a-f]{64}\.parquet",
    ),
    **dict.fromkeys(("reports", "refusals", "runs"), r"[^/]+\.(html|json)"),
    "cards": r"[0-9a-f-]{36}/(README\.md|croissant\.json)",
}
FOLDERS = tuple(_NAMES)
"""Where this package writes what it makes; survey files and anything else are never looked at."""
_PARTIAL = re.compile(r".+#\d+")  # what the store's client leaves in a folder when it is killed
_AT_ONCE = 8
_LOCKED_FOR = 500  # objects, a second or two: so long a collection waits at most


def find_garbage(engine: Engine, store: Store, older_than: timedelta = GRACE) -> list[ObjectInfo]:
    """Return the objects that nothing refers to, by key.

    That is, no dataset of any status, no entry of the catalogue of built stamps, and no collection
    that asked for them of late. Entries that no dataset has used for 30 days count no more.

    Args:
        engine: of the database that the store belongs to.
        store: where the objects lie.
        older_than: what was written or wanted since stays.

    Raises:
        ForeignStoreError: if the store's datasets are not those of the database.
        MissingObjectError: if a dataset's table of samples has gone; what it named is not known then.
        StoreCorruptError: if such a table is damaged, or a dataset is of a later format.
    """
    check_all_formats(engine)
    before = datetime.now(UTC) - older_than
    listed = [info for folder in FOLDERS for info in _objects(store, folder)]
    used = _referenced(engine, store, before, {info.key for info in listed})
    return [info for info in listed if info.key not in used and _is_older(info, before)]


def clear_away(
    engine: Engine, store: Store, older_than: timedelta = GRACE, by: str | None = None
) -> list[ObjectInfo]:
    """Remove what `find_garbage` finds and return what was removed.

    First the database forgets what it knows of the objects, then they go: whoever is killed between
    leaves objects that the next try finds, never an entry without its object. Beside a running
    collection this is safe: what it asks for while we work is left, or is gone before it looks.

    The arguments and errors are those of `find_garbage`; `StoreUnavailableError` where the store fails.
    `by` is who clears away; None: the user of this process.
    """
    before = datetime.now(UTC) - older_than
    removed: list[ObjectInfo] = []
    found = find_garbage(engine, store, older_than)
    for start in range(0, len(found), _LOCKED_FOR):
        some = found[start : start + _LOCKED_FOR]
        with engine.connect() as connection, _nobody_asks(connection):
            doomed = _still_garbage(connection, store, some, before)
            told = {"objects": len(doomed), "bytes": sum(one.size for one in doomed)}
            if doomed:
                record(connection, "objects removed", mask_url(store.url), by or user_name(), told)
            _forget(connection, doomed)
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda info: _remove(store, info.key), doomed))
        removed += doomed
    return removed


def total(objects: Sequence[ObjectInfo]) -> dict[str, tuple[int, int]]:
    """Return folder -> number of objects and their bytes, for folders that have any."""
    sizes: dict[str, list[int]] = {}
    for info in objects:
        sizes.setdefault(info.key.partition("/")[0], []).append(info.size)
    return {folder: (len(some), sum(some)) for folder, some in sizes.items()}


def _objects(store: Store, folder: str) -> Iterator[ObjectInfo]:
    name = re.compile(_NAMES[folder])
    for info in store.objects(folder):
        if name.fullmatch(info.key.removeprefix(f"{folder}/")):
            yield info
    local = store.local_path(folder)
    for path in sorted(local.glob("*#*")) if local else []:
        if _PARTIAL.fullmatch(path.name):
            stat = path.stat()
            modified = datetime.fromtimestamp(stat.st_mtime, UTC)
            yield ObjectInfo(f"{folder}/{path.name}", stat.st_size, "", modified)


def _referenced(engine: Engine, store: Store, before: datetime, listed: set[str]) -> set[str]:
    """Return the keys that anything refers to."""
    since = {"wanted_since": before, "left_before": min(before, datetime.now(UTC) - LEFTOVER_AGE)}
    with engine.connect() as connection:
        used = set(connection.execute(query("gc_referenced"), since).scalars())
    tables = sorted(key for key in used if key and key.startswith("samples/"))
    there = sum(key.startswith("samples/") for key in listed)
    if there and not listed.intersection(tables):
        raise ForeignStoreError(
            f"{store.url} holds {there} tables of samples, none of a dataset in this database; "
            "correct ASTRID_DATABASE_URL or ASTRID_STORE_URL, which belong together, or collect again "
            "if this database's first collection was cut off"
        )
    for key in tables:
        used |= objects_of(read_samples(store, key))
    return used


def _is_older(info: ObjectInfo, before: datetime) -> bool:
    return info.modified is not None and info.modified < before


@contextmanager
def _nobody_asks(connection: Connection) -> Iterator[None]:
    """Keep collections from asking for objects meanwhile; across transactions of the connection."""
    connection.execute(query("gc_lock"))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(query("gc_unlock"))
        connection.commit()


def _still_garbage(
    connection: Connection, store: Store, found: Sequence[ObjectInfo], before: datetime
) -> list[ObjectInfo]:
    """Return those that nobody has asked for or written again since they were found."""
    values = {"keys": [info.key for info in found], "since": before}
    wanted = set(connection.execute(query("gc_wanted"), values).scalars())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        now = list(pool.map(lambda info: _look_again(store, info), found))
    return [info for info in now if info and info.key not in wanted and _is_older(info, before)]


def _look_again(store: Store, info: ObjectInfo) -> ObjectInfo | None:
    return info if _PARTIAL.fullmatch(info.key) else store.head(info.key)


def _forget(connection: Connection, doomed: Sequence[ObjectInfo]) -> None:
    digests = [PurePosixPath(info.key).stem for info in doomed]
    connection.execute(query("gc_forget_built"), {"digests": digests})
    connection.execute(query("gc_forget"), {"keys": [info.key for info in doomed]})
    connection.commit()


def _remove(store: Store, key: str) -> None:
    path = store.local_path(key)
    if path is not None and _PARTIAL.fullmatch(key):  # the client does not see it
        path.unlink(missing_ok=True)
        return
    store.delete(key)
