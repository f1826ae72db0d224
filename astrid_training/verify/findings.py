"""What a check finds, and where checks look."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from astrid_training.packs import PackCache
from astrid_training.sources import Sources
from astrid_training.store import Store

__all__ = ["Finding", "Kind", "Places", "gathered"]

Kind = Literal[
    "dataset_row",
    "samples_table",
    "sample_rows",
    "rejects",
    "packs",
    "pixels",
    "ledger",
    "report",
    "tracking",
    "references",
]
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was published, or cannot be shown to be."""

    kind: Kind
    where: str
    """The dataset, by name and version; or the table."""
    problem: str
    cure: str
    objects: frozenset[str] = field(default=frozenset(), repr=False)
    """Keys of the objects in the store that it is about."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a dataset is: rows, objects, the survey's files, runs."""

    engine: Engine
    store: Store
    sources: Sources
    cache: Path
    """Folder of this machine for what can be fetched again."""
    tracking_uri: str

    @property
    def packs(self) -> PackCache:
        """Return the store's packs as files of this machine."""
        return PackCache(self.store, self.cache)


def gathered(
    kind: Kind, where: str, what: str, names: Iterable[str], cure: str
) -> Iterator[Finding]:
    """Yield one finding for all `names`, with their number and the first few; none for none."""
    found = list(names)
    if found:
        more = ", …" if len(found) > EXAMPLES else ""
        told = f"{len(found):,} {what}: {', '.join(found[:EXAMPLES])}{more}"
        yield Finding(kind, where, told, cure)
