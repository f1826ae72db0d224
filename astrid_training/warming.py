"""A dataset is made ready on this machine: verified, and copied where a loader would copy it."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from astrid_training.errors import DatasetDamagedError, MissingObjectError, StoreCorruptError
from astrid_training.local_cache import LocalCache
from astrid_training.packs import FORMAT_VERSION
from astrid_training.presence import objects_of, problems
from astrid_training.records import TrainingDataset
from astrid_training.store import Store

__all__ = ["WarmDataset", "warm_dataset"]


@dataclass(frozen=True, slots=True)
class WarmDataset:
    """Where a dataset's pixels lie on this machine."""

    objects: int
    """How many objects of the store were looked at and are whole, the table of samples included."""
    in_place: bool
    """Whether packs are read as they lie in the store's folder; else there is a copy."""
    images: list[Path]
    masks: list[Path]


def warm_dataset(
    engine: Engine, store: Store, record: TrainingDataset, cache_dir: Path, limit_bytes: int
) -> WarmDataset:
    """Verify all objects of a dataset, make the loader's copy where it wants one, return the places.

    `load_training_dataset` with its usual channels then needs nothing from the store but the table
    of samples. No lock is kept: a copy that is not used may make room for others.

    Args:
        engine: of the database that remembers what was hashed; see `presence.problems`.
        store: where its objects are.
        record: the dataset's row.
        cache_dir: where copies of packs are kept on this machine.
        limit_bytes: what all copies may take.

    Raises:
        DatasetDamagedError: naming the objects that are missing or damaged.
        ParityError: if this version of the package would prepare its pixels in another way.
        ProcessorError: if the class that prepared them cannot be imported here.
        StoreCorruptError: if the dataset has a format that this version does not know.
        StoreUnavailableError: if the store fails.
        CacheFullError: if there is no room for a copy.
    """
    from astrid_training.dataset import samples_of  # brings torch
    from astrid_training.stored_pixels import open_pixels  # the same

    try:
        reader, samples = samples_of(record, store, ("difference",), None)
    except (MissingObjectError, StoreCorruptError) as error:
        if record.format_version > FORMAT_VERSION:
            raise
        wrong = "missing" if isinstance(error, MissingObjectError) else "damaged"
        raise DatasetDamagedError(record.name, {record.samples_key: wrong}) from error
    keys = objects_of(samples)
    if found := problems(engine, store, keys):
        raise DatasetDamagedError(record.name, found)
    pixels = open_pixels(reader, samples, LocalCache(cache_dir / "loader", limit_bytes))
    return WarmDataset(
        len(keys) + 1,
        pixels.lease is None,
        [path for path in pixels.images.files if isinstance(path, Path)],
        [path for path in pixels.masks.files if isinstance(path, Path)],
    )
