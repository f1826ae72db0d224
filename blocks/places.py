"""What a step works with, from the blocks that `bootstrap` saves: loaded once per process."""

import functools
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import TypeVar, cast

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from sqlalchemy import Engine

from astrid_training.downloads import SourceCache
from astrid_training.packs import PackCache
from astrid_training.settings import resolve, training_home
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.workplace import Workplace, forget_places
from blocks.database import AstridDatabase
from blocks.notification import Notifier
from blocks.storage import AstridStore
from blocks.tracking import TrackingServer
from blocks.training import TrainingTarget

__all__ = [
    "NAME",
    "BlockNotFoundError",
    "cache",
    "clear",
    "database",
    "notifier",
    "packs",
    "source_cache",
    "sources",
    "store",
    "tracking",
    "training_target",
    "workplace",
]

NAME = "astrid"
"""The name under which each block is saved; its type tells one from the other."""

B = TypeVar("B", bound=Block)

_lock = RLock()  # threads that start together share one load of 0.3 s, and one engine


class BlockNotFoundError(LookupError):
    """A block that a step needs is not saved on this Prefect server."""


def database() -> Engine:
    """Return the engine of the `astrid-database/astrid` block.

    Raises:
        BlockNotFoundError: if the block is not saved.
    """
    with _lock:
        block: AstridDatabase = _load(AstridDatabase)
        return block.engine()


def workplace() -> Workplace:
    """Return what the blocks of database and store say, for this process and its workers.

    Raises:
        BlockNotFoundError: if one of them is not saved.
    """
    with _lock:
        block: AstridStore = _load(AstridStore)
        database_block: AstridDatabase = _load(AstridDatabase)
        return block.workplace(cache(), database_block.url.get_secret_value())


def store() -> Store:
    """Return the store of the `astrid-store/astrid` block.

    Raises:
        BlockNotFoundError: if the block is not saved.
    """
    with _lock:
        return workplace().store()


def sources() -> Sources:
    """Return where AstrID's paths lead, as the `astrid-store/astrid` block says.

    Raises:
        BlockNotFoundError: if the block is not saved.
    """
    with _lock:
        return workplace().sources()


def tracking() -> str:
    """Return the MLflow URI of the `astrid-tracking-server/astrid` block.

    Raises:
        BlockNotFoundError: if the block is not saved.
    """
    with _lock:
        block: TrackingServer = _load(TrackingServer)
        return block.uri


def training_target() -> TrainingTarget:
    """Return what is started for a published dataset: the saved block's, else our own training."""
    with _lock:
        try:
            target: TrainingTarget = _load(TrainingTarget)
        except BlockNotFoundError:
            return TrainingTarget()
        return target


def notifier() -> Notifier | None:
    """Return who is told of what goes wrong, or None where no `astrid-notifier/astrid` is saved."""
    with _lock:
        try:
            block: Notifier = _load(Notifier)
        except BlockNotFoundError:
            return None
        return block


def cache() -> Path:
    """Return the folder on this machine for what can be fetched again."""
    return training_home() / "cache"


def packs() -> PackCache:
    """Return the store's packs as files of this machine."""
    return workplace().packs()


def source_cache() -> SourceCache:
    """Return the survey's files as files of this machine, fetched as many at once as its settings say."""
    return workplace().source_cache(resolve().downloads_at_once)


def clear() -> None:
    """Forget what was loaded: the next call reads the blocks again."""
    with _lock:
        _load.cache_clear()
        forget_places()


@functools.cache
def _load(kind: type[B]) -> B:
    load = cast("Callable[..., B]", kind.load)  # Prefect's annotation lacks `_sync`
    try:
        return load(NAME, _sync=True)  # in a notebook too, where an event loop is running
    except ValueError as error:
        if not isinstance(error.__cause__, ObjectNotFound):
            raise
        raise BlockNotFoundError(
            f"no block {kind.get_block_type_slug()}/{NAME} on the Prefect server; "
            "run `astrid-training bootstrap`, which saves it from your settings"
        ) from error
