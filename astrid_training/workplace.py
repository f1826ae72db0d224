"""Where a collection works, said in settings that another process can open."""

import functools
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from astrid_training.database import open_database
from astrid_training.downloads import SourceCache
from astrid_training.lanes import DOWNLOADS_AT_ONCE
from astrid_training.packs import PackCache
from astrid_training.sources import Sources
from astrid_training.store import Credentials, Store

__all__ = ["Workplace", "forget_places"]

PLACES_KEPT = 4  # lent keys expire, and the places they opened are forgotten one by one


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where tables, packs, rows and source files lie, as settings: small, opened once per process."""

    store_url: str
    cache: Path
    """The folder on this machine for what can be fetched again."""
    credentials: Credentials = field(default_factory=Credentials, repr=False)
    source_bucket: str | None = None
    source_hosts: tuple[str, ...] = ()
    source_folders: tuple[str, ...] | None = None
    database_url: str = field(default="", repr=False)
    """Of PostgreSQL, with its password; empty where no row is read or written."""

    def database(self) -> Engine:
        """Return this process's engine for the database; nothing is contacted yet."""
        return open_database(self.database_url)

    def store(self) -> Store:
        """Return where tables and packs are written."""
        return _store(self)

    def sources(self) -> Sources:
        """Return where the paths in AstrID's database lead."""
        return _sources(self)

    def packs(self) -> PackCache:
        """Return the store's packs as files of this machine."""
        return PackCache(self.store(), self.cache)

    def source_cache(self, at_once: int = DOWNLOADS_AT_ONCE) -> SourceCache:
        """Return the survey's files as files of this machine, of which so many are fetched at once."""
        return SourceCache(self.sources(), self.cache / "sources", at_once)


@functools.lru_cache(PLACES_KEPT)
def _store(place: Workplace) -> Store:
    return Store(place.store_url, place.credentials)


@functools.lru_cache(PLACES_KEPT)
def _sources(place: Workplace) -> Sources:
    return Sources(
        place.store(),
        place.credentials,
        place.source_bucket,
        place.source_hosts,
        folders=place.source_folders,
    )


def forget_places() -> None:
    """Let the next call open store and sources anew."""
    _store.cache_clear()
    _sources.cache_clear()
