"""The sky's level over a frame, from robust medians of square cells, evaluated where it is asked.

A cell counts its sigma-clipped median; a 3x3 median over the mesh of cells takes out those that
hold a bright galaxy; between cell centres the level is bilinear. Each number depends on nearby
pixels only, and is computed by the same operations wherever it is asked for. So a window's level is
bit for bit that of the whole frame's, at the cost of the cells within its reach.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from astrid_training.surveys.frames import MISSING_ABOVE, Frame

__all__ = ["ALGORITHM", "BackgroundMesh", "needed_rows"]

ALGORITHM = 1
"""Raise it when a value may change."""
CLIP_SIGMA = 3.0
CLIP_ROUNDS = 5
QUARTILES_TO_SIGMA = 0.7413
LEAST_VALID = 0.25  # of a full cell's pixels; with fewer the cell is left to its neighbours

Floats = NDArray[np.float64]


def needed_rows(shape: tuple[int, int], cell_px: int, rows: slice) -> slice:
    """Return the rows of pixels that the level and the noise of a window depend on, its own included.

    Args:
        shape: (height, width) of the frame.
        cell_px: side of a cell.
        rows: of the window, 0-based, not empty, within the frame.
    """
    axis = _axis(shape[0], cell_px)
    cells = axis.reach(rows)
    return slice(axis.span(cells.start).start, axis.span(cells.stop - 1).stop)


class BackgroundMesh:
    """The background of one frame. Cells are computed when first needed, and kept."""

    def __init__(self, frame: Frame, cell_px: int, missing_above: float = MISSING_ABOVE) -> None:
        self._frame = frame
        self._cell = cell_px
        self._missing_above = np.float32(missing_above)
        height, width = frame.shape
        self._y = _axis(height, cell_px)
        self._x = _axis(width, cell_px)
        shape = self._y.cells, self._x.cells
        self._known = np.zeros(shape, np.bool_)
        self._medians = np.full(shape, np.nan)
        self._sigmas = np.full(shape, np.nan)

    def at(self, rows: slice, columns: slice) -> Floats:
        """Return the level of a window: (rows, columns) float64, frame units; NaN = no sky nearby.

        Args:
            rows: 0-based, not empty, within the frame.
            columns: 0-based, not empty, within the frame.
        """
        row0, row1, t = self._y.nodes(rows)
        column0, column1, u = self._x.nodes(columns)
        top, left = row0[0], column0[0]
        nodes = self._smoothed(slice(top, row1[-1] + 1), slice(left, column1[-1] + 1))
        t = t[:, None]
        along_y = nodes[row0 - top] + t * (nodes[row1 - top] - nodes[row0 - top])
        before, after = along_y[:, column0 - left], along_y[:, column1 - left]
        level: Floats = before + u * (after - before)
        return level

    def rms(self, row: int, column: int) -> float:
        """Return the noise of the cell that holds a pixel, frame units; NaN if it has no sky."""
        i, j = row // self._cell, column // self._cell
        self._compute(slice(i, i + 1), slice(j, j + 1))
        return float(self._sigmas[i, j])

    def _smoothed(self, rows: slice, columns: slice) -> Floats:
        """Return the 3x3 medians of a block of cells; beyond the frame there are none to count."""
        wide = slice(max(rows.start - 1, 0), min(rows.stop + 1, self._y.cells))
        broad = slice(max(columns.start - 1, 0), min(columns.stop + 1, self._x.cells))
        self._compute(wide, broad)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        padded = np.full((height + 2, width + 2), np.nan)
        i, j = wide.start - rows.start + 1, broad.start - columns.start + 1
        block = self._medians[wide, broad]
        padded[i : i + block.shape[0], j : j + block.shape[1]] = block
        around = np.stack(
            [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
        )
        around.sort(axis=0)
        count = 9 - np.isnan(around).sum(axis=0)
        low, high = np.maximum(count - 1, 0) // 2, count // 2
        low_high = np.take_along_axis(around, np.stack([low, np.minimum(high, 8)]), axis=0)
        medians: Floats = (low_high[0] + low_high[1]) / 2
        return medians

    def _compute(self, rows: slice, columns: slice) -> None:
        """Fill in the cells of a block that are not known yet."""
        missing = np.argwhere(~self._known[rows, columns])
        missing += np.array([rows.start, columns.start])
        if not len(missing):
            return
        pixels = np.full((len(missing), self._cell, self._cell), np.nan, np.float32)
        for cell, (i, j) in zip(pixels, missing.tolist(), strict=True):
            values = self._frame.unmasked(self._y.span(i), self._x.span(j))
            cell[: values.shape[0], : values.shape[1]] = values
        at = missing[:, 0], missing[:, 1]
        flat = pixels.reshape(len(missing), -1)
        self._medians[at], self._sigmas[at] = _clipped(flat, self._missing_above)
        self._known[at] = True


class _Axis:
    """Cells along one axis, and how each pixel hangs between two cell centres."""

    def __init__(self, size: int, cell: int) -> None:
        self._size, self._cell = size, cell
        self.cells = -(-size // cell)
        starts = np.arange(self.cells) * cell
        centres = (starts + np.minimum(starts + cell, size) - 1) / 2
        pixels = np.arange(size)
        self._before = np.clip(np.searchsorted(centres, pixels, "right") - 1, 0, None)
        self._after = np.minimum(self._before + 1, self.cells - 1)
        gap = np.maximum(centres[self._after] - centres[self._before], 1)
        self._weight = np.clip((pixels - centres[self._before]) / gap, 0, 1)
        self._weight[self._before == self._after] = 0
        self._after[self._weight == 0] = self._before[self._weight == 0]

    def span(self, cell: int) -> slice:
        return slice(cell * self._cell, min((cell + 1) * self._cell, self._size))

    def nodes(self, window: slice) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Return per pixel the cell before, the cell after, and the weight of the latter."""
        return self._before[window], self._after[window], self._weight[window]

    def reach(self, window: slice) -> slice:
        """Return the cells whose medians count in a window's level: its nodes and those beside."""
        first, last = self._before[window.start], self._after[window.stop - 1]
        return slice(max(int(first) - 1, 0), min(int(last) + 2, self.cells))


@lru_cache(maxsize=64)
def _axis(size: int, cell: int) -> _Axis:
    """Return the cells along one axis; frames of a survey share theirs."""
    return _Axis(size, cell)


def _clipped(pixels: NDArray[np.float32], missing_above: np.float32) -> tuple[Floats, Floats]:
    """Return median and sigma of each row (cells, pixels) after clipping; NaN with few pixels."""
    least = LEAST_VALID * pixels.shape[1]
    pixels.sort(axis=1)  # NaN last
    medians = np.full(len(pixels), np.nan)
    sigmas = np.full(len(pixels), np.nan)
    for number, row in enumerate(pixels):
        first, last = np.searchsorted(row, [-missing_above, np.nextafter(missing_above, np.inf)])
        if last - first >= least:
            medians[number], sigmas[number] = _clip_sorted(row[first:last])
    return medians, sigmas


def _clip_sorted(values: NDArray[np.float32]) -> tuple[float, float]:
    first, last = 0, len(values)
    median, sigma = _middle(values)
    for _ in range(CLIP_ROUNDS):
        reach = CLIP_SIGMA * sigma
        bounds = np.array([median - reach, median + reach], np.float32)
        low = int(values.searchsorted(bounds[0], "left"))
        high = int(values.searchsorted(bounds[1], "right"))
        if (low, high) == (first, last) or high <= low:
            break
        first, last = low, high
        median, sigma = _middle(values[first:last])
    return median, sigma


def _middle(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the median of sorted values, and sigma from their quartiles."""
    last = len(values) - 1
    median = (float(values[last // 2]) + float(values[len(values) // 2])) / 2
    spread = float(values[3 * last // 4]) - float(values[last // 4])
    return median, QUARTILES_TO_SIGMA * spread
