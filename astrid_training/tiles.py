"""Tile-compressed images, decoded tile by tile where a window asks for them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.fits_trouble import refused_content

__all__ = ["Tiles"]


class Tiles:
    """The pixels of a tile-compressed image; each tile is decoded once, when first needed.

    Args:
        hdu: astropy's, of an image that has one plane of two axes; it leaves values unscaled.
        name: of the file, for messages.
    """

    def __init__(self, hdu: Any, name: str) -> None:  # noqa: ANN401 - astropy has no types
        self._section, self._name = hdu.section, name
        self._planes = (0,) * (len(hdu.shape) - 2)
        self.shape: tuple[int, ...] = hdu.shape[-2:]
        self.dtype: np.dtype[Any] = self._section.dtype
        self.tile = int(hdu.tile_shape[-2]), int(hdu.tile_shape[-1])
        self._known = np.zeros(
            [-(-s // t) for s, t in zip(self.shape, self.tile, strict=True)], bool
        )
        self._values = np.empty(self.shape, self.dtype)  # memory is taken where it is written

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[Any]:
        """Return (rows, columns) of a window; see `Pixels`.

        Raises:
            FitsRefusedError: if a tile cannot be decoded.
            AbsentBytesError: if a tile was not fetched.
        """
        touched = tuple(
            slice(side.start // tile, -(-side.stop // tile))
            for side, tile in zip(window, self.tile, strict=True)
        )
        missing = np.argwhere(~self._known[touched])
        if len(missing):
            low, high = missing.min(axis=0), missing.max(axis=0) + 1
            self._decode(
                [
                    slice(t.start + a, t.start + b)
                    for t, a, b in zip(touched, low, high, strict=True)
                ]
            )
        values: NDArray[Any] = self._values[window]
        return values

    def _decode(self, tiles: list[slice]) -> None:
        rows, columns = (
            slice(at.start * tile, min(at.stop * tile, side))
            for at, tile, side in zip(tiles, self.tile, self.shape, strict=True)
        )
        with refused_content(self._name):
            decoded = self._section[(*self._planes, rows, columns)]
        self._values[rows, columns] = decoded
        self._known[tuple(tiles)] = True
