"""What was built is there and whole, asked at the price of a look and not of a reading."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, file_digest
from pathlib import PurePosixPath
from typing import Literal

import pyarrow as pa
from sqlalchemy import Engine

from astrid_training import meter
from astrid_training.database import query
from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.packs import pack_key, read_table
from astrid_training.records import MaskRef, QualityRef, StampsRef
from astrid_training.store import ObjectChangedError, ObjectInfo, Store

__all__ = [
    "AT_ONCE",
    "PACKS",
    "check_objects",
    "masks_present",
    "objects_of",
    "problems",
    "quality_present",
    "stamps_present",
]

PACKS = ("images", "flags", "significance", "masks")
HASHED_FOR = timedelta(days=30)
"""So long a hash counts for an object whose size and ETag stay: disks lose bits without a word."""
AT_ONCE = 8  # the object store's client saturates here; hashing releases the interpreter's lock

Problem = Literal["missing", "damaged"]

_log = logging.getLogger(__name__)


def problems(engine: Engine, store: Store, keys: Iterable[str]) -> dict[str, Problem]:
    """Return what is wrong with these objects, by key; nothing for those that are there and whole.

    Each object's size and ETag are looked up. Its bytes are hashed only where that was not done in
    the last 30 days for an object of this size and ETag. Those asked for count as wanted from now
    on, so that nobody clears them away meanwhile.

    Args:
        engine: of the database that remembers what was hashed.
        store: where the objects lie.
        keys: `<folder>/<digest><suffix>`.

    Raises:
        StoreUnavailableError: if the store fails.
    """
    asked = sorted(set(keys))
    known = _want(engine, asked)
    with meter.pool(AT_ONCE) as pool:
        heads = list(pool.map(store.head, asked))
        found = [info for info in heads if info is not None]
        unknown = [info for info in found if known.get(info.key) != (info.size, info.etag)]
        is_whole = list(pool.map(lambda info: _is_whole(store, info), unknown))
    whole = [info for info, good in zip(unknown, is_whole, strict=True) if good]
    _remember(engine, whole)
    damaged = {info.key for info in unknown} - {info.key for info in whole}
    wrong: dict[str, Problem] = {
        **dict.fromkeys(sorted(set(asked) - {info.key for info in found}), "missing"),
        **dict.fromkeys(sorted(damaged), "damaged"),
    }
    for key, problem in wrong.items():
        _log.warning("%s in %s is %s", key, store.url, problem)
    return wrong


def check_objects(engine: Engine, store: Store, keys: Iterable[str]) -> None:
    """Return if these objects are there and whole; see `problems`.

    Raises:
        MissingObjectError: if one has gone.
        StoreCorruptError: if one holds other bytes than its name promises.
    """
    for key, problem in problems(engine, store, keys).items():
        if problem == "missing":
            raise MissingObjectError(f"no object {key} in {store.url}; collect again to rebuild it")
        raise StoreCorruptError(
            f"{store.url}/{key} holds other bytes than its name promises; collect again: it will be "
            "rebuilt from its sources"
        )


def objects_of(table: pa.Table) -> set[str]:
    """Return the keys of all objects that the rows of a table lie in.

    Args:
        table: with any of the columns image_pack, flag_pack, significance_pack, mask_pack and
            measure_table.
    """
    columns = {f"{kind.removesuffix('s')}_pack": kind for kind in PACKS}
    there = [name for name in columns if name in table.column_names]
    keys = {pack_key(columns[name], one) for name in there for one in _named(table, name)}
    if "measure_table" in table.column_names:
        keys |= {f"measures/{digest}.parquet" for digest in _named(table, "measure_table")}
    return keys


def _named(table: pa.Table, column: str) -> set[str]:
    return set(table[column].unique().to_pylist()) - {None}


def stamps_present(engine: Engine, store: Store, stamps: StampsRef) -> bool:
    """Tell whether a batch's table of stamps, its packs and measurements are there and whole."""
    table = _table(engine, store, "stamps", stamps.stamps)
    return table is not None and not problems(engine, store, objects_of(table))


def masks_present(engine: Engine, store: Store, masks: MaskRef) -> bool:
    """Tell whether a batch's table of masks and their pack are there and whole."""
    table = _table(engine, store, "mask_tables", masks.masks)
    if table is None:
        return False
    return not problems(engine, store, objects_of(table.select(["mask_pack"])))


def quality_present(engine: Engine, store: Store, quality: QualityRef) -> bool:
    """Tell whether a batch's table of samples is there and whole."""
    return _table(engine, store, "built", quality.samples) is not None


def _table(engine: Engine, store: Store, kind: str, digest: str) -> pa.Table | None:
    """Return the table after saying that it is wanted; None if it is not there and whole."""
    _want(engine, [f"{kind}/{digest}.parquet"])
    try:
        return read_table(store, kind, digest)
    except (MissingObjectError, StoreCorruptError) as error:
        _log.warning("%s", error)
        return None


def _want(engine: Engine, keys: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Say that these are wanted, and return size and ETag of those that were hashed of late.

    It is said before anybody looks: what is seen after that nobody takes away.
    """
    since = datetime.now(UTC) - HASHED_FOR
    with engine.begin() as connection:
        connection.execute(query("objects_lock_shared"))
        connection.execute(query("objects_want"), {"keys": keys})
        rows = connection.execute(query("objects_hashed"), {"keys": keys, "since": since})
        return {row.key: (row.size, row.etag) for row in rows}


def _remember(engine: Engine, whole: Sequence[ObjectInfo]) -> None:
    if whole:
        values = {
            "keys": [info.key for info in whole],
            "sizes": [info.size for info in whole],
            "etags": [info.etag for info in whole],
        }
        with engine.begin() as connection:
            connection.execute(query("objects_set_hashed"), values)


def _is_whole(store: Store, info: ObjectInfo) -> bool:
    """Tell whether the object that was looked up has the bytes that its name promises."""
    path = store.local_path(info.key)
    try:
        if path is None:
            got = digest_bytes(store.get(info.key, info.etag))
        else:
            with path.open("rb") as stream:
                got = file_digest(stream, lambda: blake2b(digest_size=32)).hexdigest()
    except (FileNotFoundError, MissingObjectError, ObjectChangedError):
        return False
    return got == PurePosixPath(info.key).stem
