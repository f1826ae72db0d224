"""Where the pixels of a dataset are read from: its packs as they lie, or a copy on this machine."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.gather import Stamps
from astrid_training.local_cache import Lease, LocalCache
from astrid_training.pack_parts import VALID, Kind, PackReader, check_pack, planes_of
from astrid_training.packs import PackCache

__all__ = ["PACKS_IN_PLACE", "Pixels", "open_pixels"]

PACKS_IN_PLACE = 16
"""Up to so many image packs in a folder are read as they lie.

Shuffled batches of 256 come at .6 of the rate of a copy; but a copy costs disk and the time to make
it, and few packs are soon read.
"""


class Pixels(NamedTuple):
    """The images and masks of the samples of a table, in its order."""

    images: Stamps
    masks: Stamps
    lease: Lease | None
    """Of the copy; to be kept as long as the pixels are read."""

    def of(self, samples: NDArray[np.int64]) -> "Pixels":
        """Return those of some of the samples."""
        return Pixels(self.images.of(samples), self.masks.of(samples), self.lease)


def open_pixels(
    reader: PackReader, table: pa.Table, cache: LocalCache, *, in_place: bool | None = None
) -> Pixels:
    """Return where to read the samples' pixels; from here on nobody needs the store.

    Packs in a folder are read in place when they are few, or when a copy may not be as large as it
    would have to be. All others are fetched, verified and copied once.

    Args:
        reader: of the store, for the channels that are wanted.
        table: (samples) rows of the samples table.
        cache: where copies lie.
        in_place: True or False: what the store being a folder and the number of packs would decide.

    Raises:
        MissingObjectError: if the store lacks a pack.
        StoreCorruptError: if a pack is not what it should be; in place only its shape is looked at.
        CacheFullError: if there is no room for a copy.
        ValueError: if packs of a bucket, or the channel `valid`, are wanted in place.
    """
    possible = reader.store.local_path("") is not None and VALID not in reader.channels
    if in_place and not possible:
        raise ValueError(
            f"packs of a bucket and channel {VALID} need a copy on this machine; "
            "leave in_place at None"
        )
    if in_place is None:
        few = len(reader.parts("images", table)) <= PACKS_IN_PLACE
        in_place = possible and (few or not cache.fits(reader, table.num_rows))
    if in_place:
        packs = PackCache(reader.store, cache.folder)
        return Pixels(
            _as_they_lie("images", reader, table, packs),
            _as_they_lie("masks", reader, table, packs),
            None,
        )
    copy, margin = cache.copy_of(reader, table), reader.spec.margin
    one = np.zeros(table.num_rows, np.int32)
    return Pixels(
        Stamps([copy.images], one, copy.image_row, margin),
        Stamps([copy.masks], one, copy.mask_row, margin),
        copy.lease,
    )


def _as_they_lie(kind: Kind, reader: PackReader, table: pa.Table, packs: PackCache) -> Stamps:
    """Return the rows in packs of a folder, after a look at each pack."""
    parts = reader.parts(kind, table)
    file, row = np.empty((2, table.num_rows), np.int32)
    for number, part in enumerate(parts):
        digest = part.digests[0]
        check_pack(kind, digest, packs.open(kind, digest), reader.spec, int(part.rows[-1]) + 1)
        file[part.samples], row[part.samples] = number, part.rows
    paths = [packs.path(kind, part.digests[0]) for part in parts]
    planes = planes_of(reader.spec, reader.channels) if kind == "images" else None
    return Stamps(paths, file, row, reader.spec.margin, planes)
