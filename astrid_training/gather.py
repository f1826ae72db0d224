"""Squares of many stamps into one array, turned and shifted on the way."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from astrid_training.npy import map_array

__all__ = ["Poses", "Stamps", "oriented"]

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Poses:
    """Which square of a padded stamp is shown, and how it is turned, of each of several samples."""

    turn: Integers
    """(sample,) 0 to 7, one element of the square's symmetry group; see `oriented`."""
    top: Integers
    """(sample,) first row of the turned stamp that is shown, 0 to twice the margin."""
    left: Integers
    """(sample,) its first column."""

    def codes(self, margin: int) -> list[int]:
        """Return one number for each pose; see `decode`."""
        width = 2 * margin + 1
        codes: list[int] = ((self.turn * width + self.top) * width + self.left).tolist()
        return codes


def decode(code: int, margin: int) -> tuple[int, int, int]:
    """Return turn, top and left of a code that `Poses.codes` gave."""
    rest, left = divmod(code, 2 * margin + 1)
    turn, top = divmod(rest, 2 * margin + 1)
    return turn, top, left


def oriented(stamps: NDArray[Any], turn: int) -> NDArray[Any]:
    """Return a view of the stamps (…, y, x), transposed (bit 2), then upside down (bit 1), then mirrored (bit 0)."""
    turned = stamps.swapaxes(-1, -2) if turn & 4 else stamps
    turned = turned[..., ::-1, :] if turn & 2 else turned
    return turned[..., ::-1] if turn & 1 else turned


@dataclass(frozen=True)
class Stamps:
    """Where the stamps of samples lie: rows of `.npy` files, or of arrays that are at hand.

    A file is mapped where it is first read, so that this can go to another process, and it is read
    without a copy of more than what is shown.
    """

    files: Sequence[Path | NDArray[Any]]
    """Each (row, plane, y, x), or (row, y, x) where there is one plane."""
    file: NDArray[np.int32]
    """(sample,) which of them."""
    row: NDArray[np.int32]
    """(sample,) which of its rows."""
    margin: int
    """Pixels around the square that is shown where nothing moves it."""
    planes: tuple[int, ...] | None = None
    """Those that are taken, in this order; None: all."""
    _views: dict[tuple[int, int], list[NDArray[Any]]] = field(default_factory=dict, repr=False)
    _whole: list[torch.Tensor] = field(default_factory=list, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_views": {}, "_whole": []}  # a map does not travel

    def of(self, samples: Integers) -> Self:
        """Return the stamps of some of the samples."""
        return replace(self, file=self.file[samples], row=self.row[samples], _views={}, _whole=[])

    def take(self, samples: Integers, out: NDArray[Any], poses: Poses | None = None) -> None:
        """Copy the squares of `samples` into `out`.

        One file whose planes are all wanted is read by one call that knows no poses, 1.5 times as
        fast as the plain loop. The loop keeps the order and beat taking row by row of each file in
        turn: that copies twice.

        Args:
            samples: (sample,) 0-based; negative ones count from the end.
            out: (sample, plane, y, x), of the files' type.
            poses: of each of them; None: the centre, as it is stored.
        """
        if poses is None and self.planes is None and len(self.files) == 1:
            rows = torch.from_numpy(self.row[samples])
            torch.index_select(self._tensor(), 0, rows, out=torch.from_numpy(out))
            return
        centre = self.margin * (2 * self.margin + 1) + self.margin
        codes = poses.codes(self.margin) if poses else [centre] * len(samples)
        files, rows_of = self.file[samples].tolist(), self.row[samples].tolist()
        for slot, (place, row) in enumerate(zip(zip(files, codes), rows_of, strict=True)):  # noqa: B905 - as long as rows
            for plane, view in enumerate(self._views.get(place) or self._view(*place)):
                out[slot, plane] = view[row]

    def _view(self, file: int, code: int) -> list[NDArray[Any]]:
        array = self._open(file)
        turn, top, left = decode(code, self.margin)
        side = array.shape[-1] - 2 * self.margin
        shown = oriented(array, turn)[..., top : top + side, left : left + side]
        planes = range(array.shape[1]) if self.planes is None else self.planes
        self._views[file, code] = [shown[:, plane] for plane in planes]
        return self._views[file, code]

    def _tensor(self) -> torch.Tensor:
        if not self._whole:
            array = self._open(0)
            inner = slice(self.margin, array.shape[-1] - self.margin)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                self._whole.append(torch.from_numpy(array)[..., inner, inner])
        return self._whole[0]

    def _open(self, file: int) -> NDArray[Any]:
        """Return a file's array with an axis of planes."""
        found = self.files[file]
        if isinstance(found, Path):
            # asarray: slicing a memmap object costs more than copying the row
            found = np.asarray(map_array(found))
        return found if found.ndim == 4 else found[:, None]
