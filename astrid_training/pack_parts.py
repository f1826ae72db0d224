"""Which rows of which packs the samples of a table are, and their pixels as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.errors import StoreCorruptError
from astrid_training.packs import pack_key, read_pack
from astrid_training.params import Channel, PreprocessSpec
from astrid_training.stamps import Flag, has
from astrid_training.store import Store

__all__ = [
    "BOGUS_FOOTPRINT",
    "DTYPES",
    "KINDS",
    "VALID",
    "Kind",
    "LoadedChannel",
    "PackReader",
    "Part",
    "check_pack",
    "fold_masks",
    "planes_of",
    "split_by_pack",
]

VALID = "valid"
LoadedChannel = Channel | Literal["valid"]
BOGUS_FOOTPRINT = 2  # code of a rejected detection's pixels; to a network they are background
Kind = Literal["images", "masks"]
KINDS: tuple[Kind, ...] = ("images", "masks")
DTYPES: dict[str, np.dtype[Any]] = {
    "images": np.dtype(np.float32),
    "masks": np.dtype(np.uint8),
    "flags": np.dtype(np.uint8),
}

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Samples that lie in one pack."""

    digests: tuple[str, ...]
    """Of the pack; of an image pack, that of its flags may follow."""
    samples: Integers
    """(sample,) their numbers in the table, in the order of the rows."""
    rows: Integers
    """(sample,) of the pack, ascending."""


def split_by_pack(table: pa.Table, packs: Sequence[str], row: str) -> list[Part]:
    """Return the samples of `table` by pack, packs in the order of their digests.

    Args:
        table: (samples) rows of the samples table.
        packs: columns with digests; samples belong together that have all of them in common.
        row: the column with the row in those packs.
    """
    if table.num_rows == 0:
        return []
    encoded = [table[name].combine_chunks().dictionary_encode() for name in packs]
    names = [column.dictionary.to_pylist() for column in encoded]
    columns = [column.indices.to_numpy() for column in encoded]
    rows = table[row].to_numpy().astype(np.int64)
    order = np.lexsort((rows, *columns[::-1]))
    changes = np.zeros(len(order), np.bool_)
    for column in columns:
        changes[1:] |= column[order][1:] != column[order][:-1]
    parts = [
        Part(
            tuple(name[column[at[0]]] for name, column in zip(names, columns, strict=True)),
            at.astype(np.int64),
            rows[at],
        )
        for at in np.split(order, np.flatnonzero(changes))
    ]
    return sorted(parts, key=lambda part: part.digests)


def planes_of(spec: PreprocessSpec, channels: Sequence[str]) -> tuple[int, ...]:
    """Return the number of each channel in a pack, of `valid` that beyond the last.

    Raises:
        ValueError: if none is asked for, or one that is not stored.
    """
    if not channels or not set(channels) <= {*spec.channels, VALID}:
        raise ValueError(
            f"channels {', '.join(channels) or '(none)'} asked for, but the dataset stores "
            f"{', '.join(spec.channels)}; ask for some of those, or for {VALID}"
        )
    return tuple([*spec.channels, VALID].index(channel) for channel in channels)


def check_pack(
    kind: str, digest: str, array: NDArray[Any], spec: PreprocessSpec, rows: int
) -> None:
    """Return if a pack is what a dataset of `spec` can have at least `rows` rows of.

    Raises:
        StoreCorruptError: if its type, its shape, or the number of its rows is another.
    """
    side = spec.padded_size
    shape = (len(spec.channels), side, side) if kind == "images" else (side, side)
    if array.shape[1:] != shape or array.dtype != DTYPES[kind] or len(array) < rows:
        raise StoreCorruptError(
            f"{pack_key(kind, digest)} is {array.dtype} of shape {array.shape}, but the "
            f"dataset needs {rows} rows of {DTYPES[kind]} {shape}; restore the pack or "
            "collect the dataset again"
        )


def fold_masks(masks: NDArray[np.uint8]) -> None:
    """Make the footprints of rejected detections background, in place."""
    masks *= (masks != BOGUS_FOOTPRINT).view(np.uint8)  # bool would be cast piece by piece


@dataclass(frozen=True)
class PackReader:
    """Reads packs whole from the store, verifies them, and gives what a dataset shows of them."""

    store: Store
    spec: PreprocessSpec
    channels: tuple[str, ...]

    def parts(self, kind: Kind, table: pa.Table) -> list[Part]:
        """Return the samples of `table` by the packs of `kind` that `read` needs."""
        if kind == "masks":
            return split_by_pack(table, ["mask_pack"], "mask_row")
        packs = ["image_pack", "flag_pack"] if VALID in self.channels else ["image_pack"]
        return split_by_pack(table, packs, "image_row")

    def shape(self, kind: Kind) -> tuple[int, int, int]:
        """Return the shape of what one sample has of `kind`: (plane, y, x)."""
        planes = len(self.channels) if kind == "images" else 1
        return (planes, self.spec.padded_size, self.spec.padded_size)

    def read(self, kind: Kind, part: Part) -> NDArray[Any]:
        """Return the part's samples, (sample, plane, y, x) float32 or, of masks, uint8.

        Masks have the footprints of rejected detections folded to background already.

        Raises:
            MissingObjectError: if the store lacks a pack.
            StoreCorruptError: if one of them is not what its name promises.
        """
        if kind == "masks":
            masks = self._pack("masks", part.digests[0], part.rows)
            fold_masks(masks)
            return masks[:, None]
        images = np.empty((len(part.rows), *self.shape("images")), np.float32)
        stored = [name for name in self.channels if name in get_args(Channel)]
        if stored:
            pack = self._pack("images", part.digests[0], part.rows)
        for plane, number in enumerate(planes_of(self.spec, self.channels)):
            if self.channels[plane] == VALID:
                flags = self._pack("flags", part.digests[1], part.rows)
                images[:, plane] = ~has(flags, _without_value(stored))
            else:
                images[:, plane] = pack[:, number]
        return images

    def _pack(self, kind: str, digest: str, rows: Integers) -> NDArray[Any]:
        array = read_pack(self.store, kind, digest)
        check_pack(kind, digest, array, self.spec, int(rows[-1]) + 1)
        taken: NDArray[Any] = array[rows]
        return taken


def _without_value(shown: list[str]) -> Flag:
    """Return the flags of pixels that have no value in one of the channels that are shown."""
    beside = Flag(0) if shown == ["difference"] else Flag.OTHER_MISSING
    return Flag.MISSING | Flag.PADDED | beside
