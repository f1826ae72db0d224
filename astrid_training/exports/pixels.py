"""The stored pixels of samples, bit for bit, from packs whose bytes were verified."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.pack_parts import check_pack, split_by_pack
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.stamps import central

__all__ = ["PLANES", "Plane", "StoredPixels"]

PACKS_OPEN = 16  # each holds a file open


class Plane(NamedTuple):
    """One kind of pixels that a sample has."""

    kind: str
    """`images`, `masks` or `flags`: where the packs lie."""
    pack: str
    """The column with the pack's digest."""
    row: str
    """The column with the row in it."""


PLANES = (
    Plane("images", "image_pack", "image_row"),
    Plane("masks", "mask_pack", "mask_row"),
    Plane("flags", "flag_pack", "image_row"),
)


class StoredPixels:
    """Reads stamps, masks and flags of samples.

    Args:
        packs: where they lie.
        spec: how they were made.
        with_margin: give stored stamps whole, not just what a model sees.
    """

    def __init__(self, packs: PackCache, spec: PreprocessSpec, *, with_margin: bool) -> None:
        self._packs, self._spec = packs, spec
        self.margin = 0 if with_margin else spec.margin
        """Pixels that are cut off each side of a stored stamp."""
        self.side = spec.padded_size - 2 * self.margin
        self.window = central(self.margin, self.side)
        self._open = lru_cache(PACKS_OPEN)(packs.open)

    def verify(self, table: pa.Table) -> None:
        """Return if every pack of the samples holds what its name promises, and is of their shape.

        Raises:
            MissingObjectError: if the store lacks one.
            StoreCorruptError: if one holds something else.
        """
        for plane in PLANES:
            for part in split_by_pack(table, [plane.pack], plane.row):
                digest = part.digests[0]
                self._packs.verify(plane.kind, digest)
                array = self._open(plane.kind, digest)
                check_pack(plane.kind, digest, array, self._spec, int(part.rows[-1]) + 1)

    def of(self, row: Mapping[str, Any], plane: Plane) -> NDArray[Any]:
        """Return one sample's pixels: (channel, y, x) float32 of images, else (y, x) uint8."""
        pixels = self._open(plane.kind, row[plane.pack])[row[plane.row]]
        return np.array(pixels[..., *self.window])

    def fill(self, table: pa.Table, plane: Plane, out: NDArray[Any]) -> None:
        """Copy the pixels of all samples into `out`, in the table's order.

        Args:
            table: (samples).
            plane: which pixels.
            out: (samples, …) of their shape and type.
        """
        for part in split_by_pack(table, [plane.pack], plane.row):
            stored = self._open(plane.kind, part.digests[0])
            for sample, row in zip(part.samples, part.rows, strict=True):
                out[sample] = stored[row][..., *self.window]
