"""The sky's level over a frame, from robust medians of square cells, evaluated where it is asked.

A cell counts its sigma-clipped median; a 3x3 median over the mesh of cells takes out those that
hold a bright galaxy; between cell centres the level is bilinear. Each number depends on nearby
pixels only, and is computed by the same operations wherever it is asked for. So a window's level is
bit for bit that of the whole frame's, at the cost of the cells within its reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from astrid_training.ordered import count_below, median_of_sorted
from astrid_training.scratch import room
from astrid_training.surveys.frames import MISSING_ABOVE, Frame

__all__ = ["ALGORITHM", "BackgroundMesh", "needed_rows", "prepare_meshes"]

ALGORITHM = 1
"""Raise it when a value may change."""
CLIP_SIGMA = 3.0
CLIP_ROUNDS = 5
QUARTILES_TO_SIGMA = 0.7413
LEAST_VALID = 0.25  # of a full cell's pixels; with fewer the cell is left to its neighbours
BLOCK_CELLS = 512  # sorted before they are clipped together
DOWN, ACROSS = np.divmod(np.arange(9), 3)  # to a cell and its neighbours, where a border is before

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]
Indices = NDArray[np.intp]
Window = tuple[slice, slice]
_Cells = tuple["BackgroundMesh", Indices, Indices]


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
        self.cell_px = cell_px
        self.missing_above = np.float32(missing_above)
        height, width = frame.shape
        self._y = _axis(height, cell_px)
        self._x = _axis(width, cell_px)
        shape = self._y.cells, self._x.cells
        self._known = np.zeros(shape, np.bool_)
        self._sigmas = np.full(shape, np.nan)
        self._padded = np.full((shape[0] + 2, shape[1] + 2), np.nan)  # beyond is nothing to count
        self._medians = self._padded[1:-1, 1:-1]
        self._smooth_known = np.zeros(shape, np.bool_)
        self._smooth = np.full(shape, np.nan)

    def prepare(self, windows: Sequence[Window]) -> None:
        """Compute all that the levels of some windows need, which is cheaper than one by one.

        Args:
            windows: rows and columns as in `at`.
        """
        prepare_meshes({self: windows})

    def at(self, rows: slice, columns: slice) -> Floats:
        """Return the level of a window: (rows, columns) float64, frame units; NaN = no sky nearby.

        Args:
            rows: 0-based, not empty, within the frame.
            columns: 0-based, not empty, within the frame.
        """
        block = self._y.around(rows), self._x.around(columns)
        if not self._smooth_known[block].all():
            self.prepare([(rows, columns)])
        nodes = self._smooth[block]
        row0, row1, t = self._y.nodes(rows)
        column0, column1, u = self._x.nodes(columns)
        top, left = row0[0], column0[0]
        t = t[:, None]
        along_y = nodes[row0 - top] + t * (nodes[row1 - top] - nodes[row0 - top])
        before = along_y.take(column0 - left, axis=1)
        level: Floats = along_y.take(column1 - left, axis=1)
        level -= before
        level *= u
        level += before
        return level

    def rms(self, row: int, column: int) -> float:
        """Return the noise of the cell that holds a pixel, frame units; NaN if it has no sky."""
        i, j = row // self.cell_px, column // self.cell_px
        if not self._known[i, j]:
            _compute([(self, np.array([i]), np.array([j]))])
        return float(self._sigmas[i, j])

    def unknown_nodes(self, windows: Sequence[Window]) -> NDArray[np.bool_]:
        """Return which nodes of some windows are not known yet."""
        wanted = np.zeros_like(self._known)
        for rows, columns in windows:
            wanted[self._y.around(rows), self._x.around(columns)] = True
        return wanted & ~self._smooth_known

    def unknown_cells(self, cells: NDArray[np.bool_]) -> list[_Cells]:
        """Return the cells in and beside some that are not known yet, in parts of at most a block."""
        rows, columns = np.nonzero(_with_neighbours(cells) & ~self._known)
        parts = (slice(start, start + BLOCK_CELLS) for start in range(0, len(rows), BLOCK_CELLS))
        return [(self, rows[part], columns[part]) for part in parts]

    def keep(self, rows: Indices, columns: Indices, medians: Floats, sigmas: Floats) -> None:
        """Take over what was found of some cells."""
        self._medians[rows, columns], self._sigmas[rows, columns] = medians, sigmas
        self._known[rows, columns] = True

    def smooth_out(self, nodes: NDArray[np.bool_]) -> None:
        """Find the levels of nodes whose cells and neighbours are known."""
        rows, columns = np.nonzero(nodes)
        self._smooth[rows, columns] = _medians_of_9(self._padded, rows, columns)
        self._smooth_known |= nodes

    def sort_cells(self, rows: Indices, columns: Indices, ordered: Pixels) -> None:
        """Set `ordered` (cells, pixels) to the pixels of cells, in order of row and column, sorted."""
        stripe = room("stripe", (self.cell_px * self._frame.shape[1],))
        breaks = np.flatnonzero((np.diff(rows) != 0) | (np.diff(columns) != 1)) + 1
        for first, last in pairwise((0, *breaks.tolist(), len(rows))):
            y = self._y.span(rows[first])
            x = self._x.span(columns[first], columns[last - 1])
            height, width = y.stop - y.start, x.stop - x.start
            pixels = stripe[: height * width].reshape(height, width)
            self._frame.unmasked(y, x, pixels)
            run = ordered[first:last]
            _divide(pixels, run.reshape(len(run), self.cell_px, self.cell_px))
            run.sort(axis=1)  # while it is in the cache; NaN last


def prepare_meshes(windows: Mapping[BackgroundMesh, Sequence[Window]]) -> None:
    """Compute all that the levels of some windows need, those of several frames together.

    Args:
        windows: rows and columns as in `BackgroundMesh.at`; the meshes have one kind of cells.
    """
    nodes = {mesh: mesh.unknown_nodes(some) for mesh, some in windows.items()}
    parts = [part for mesh, some in nodes.items() for part in mesh.unknown_cells(some)]
    if sum(len(rows) for _, rows, _ in parts) <= BLOCK_CELLS:
        _compute(parts)
    else:
        for part in parts:
            _compute([part])
    for mesh, some in nodes.items():
        mesh.smooth_out(some)


def _compute(parts: Sequence[_Cells]) -> None:
    """Fill in cells of meshes of one kind, clipped together."""
    if not parts:
        return
    bounds = np.cumsum([0, *(len(rows) for _, rows, _ in parts)]).tolist()
    some = parts[0][0]
    ordered = room("cells", (bounds[-1], some.cell_px**2))
    for (mesh, rows, columns), (first, last) in zip(parts, pairwise(bounds), strict=True):
        mesh.sort_cells(rows, columns, ordered[first:last])
    medians, sigmas = _clipped(ordered, some.missing_above)
    for (mesh, rows, columns), (first, last) in zip(parts, pairwise(bounds), strict=True):
        mesh.keep(rows, columns, medians[first:last], sigmas[first:last])


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

    def span(self, first: int, last: int | None = None) -> slice:
        """Return the pixels of one cell, or of all from the first to the last."""
        stop = ((first if last is None else last) + 1) * self._cell
        return slice(int(first) * self._cell, int(min(stop, self._size)))

    def nodes(self, window: slice) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Return per pixel the cell before, the cell after, and the weight of the latter."""
        return self._before[window], self._after[window], self._weight[window]

    def around(self, window: slice) -> slice:
        """Return the cells between whose centres a window's pixels lie."""
        return slice(int(self._before[window.start]), int(self._after[window.stop - 1]) + 1)

    def reach(self, window: slice) -> slice:
        """Return the cells whose medians count in a window's level: those around and beside."""
        around = self.around(window)
        return slice(max(around.start - 1, 0), min(around.stop + 1, self.cells))


@lru_cache(maxsize=64)
def _axis(size: int, cell: int) -> _Axis:
    """Return the cells along one axis; frames of a survey share theirs."""
    return _Axis(size, cell)


def _divide(pixels: Pixels, cells: Pixels) -> None:
    """Copy pixels that lie side by side (rows, columns) into cells (n, cell, cell), rest NaN."""
    (height, width), cell = pixels.shape, cells.shape[1]
    whole = width // cell
    inside = pixels[:, : whole * cell].reshape(height, whole, cell)
    cells[:whole, :height] = inside.transpose(1, 0, 2)
    cells[:, height:] = np.nan
    if whole < len(cells):  # the last one is cut by the frame's edge
        cells[whole, :height, : width - whole * cell] = pixels[:, whole * cell :]
        cells[whole, :, width - whole * cell :] = np.nan


def _with_neighbours(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which cells (rows, columns) are some given ones or touch them."""
    tall = cells.copy()
    tall[1:] |= cells[:-1]
    tall[:-1] |= cells[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _medians_of_9(padded: Floats, rows: Indices, columns: Indices) -> Floats:
    """Return the medians (n,) of cells and those that touch them, of the ones that have a value."""
    around = padded[rows[:, None] + DOWN, columns[:, None] + ACROSS]
    around.sort(axis=1)  # NaN last
    return median_of_sorted(around, 9 - np.isnan(around).sum(axis=1))


def _clipped(ordered: Pixels, missing_above: np.float32) -> tuple[Floats, Floats]:
    """Return median and sigma of each sorted row (cells, pixels) after clipping; NaN if too few."""
    kept = _valid(ordered, missing_above)
    active = np.flatnonzero(kept[:, 1] - kept[:, 0] >= LEAST_VALID * ordered.shape[1])
    first = kept = kept[active]
    medians, sigmas = np.full(len(ordered), np.nan), np.full(len(ordered), np.nan)
    medians[active], sigmas[active] = median, sigma = _middles(ordered, active, kept)
    for _ in range(CLIP_ROUNDS):
        reach = CLIP_SIGMA * sigma
        with np.errstate(over="ignore"):
            bounds = np.stack([median - reach, median + reach], axis=1).astype(np.float32)
        new = np.clip(_within(ordered, active, bounds), first[:, :1], first[:, 1:])
        moved = (new != kept).any(axis=1) & (new[:, 0] < new[:, 1])
        if not moved.any():
            break
        active, kept, first = active[moved], new[moved], first[moved]
        medians[active], sigmas[active] = median, sigma = _middles(ordered, active, kept)
    return medians, sigmas


def _valid(ordered: Pixels, missing_above: np.float32) -> Indices:
    """Return of each sorted row the run (rows, 2) of values that are not missing."""
    kept = np.tile(np.array([0, ordered.shape[1]], np.intp), (len(ordered), 1))
    holed = ~((ordered[:, 0] >= -missing_above) & (ordered[:, -1] <= missing_above))
    if holed.any():
        rows = np.flatnonzero(holed)
        limits = np.array([-missing_above, missing_above], np.float32)
        kept[rows] = _within(ordered, rows, np.tile(limits, (len(rows), 1)))
    return kept


def _within(ordered: Pixels, rows: Indices, bounds: Pixels) -> Indices:
    """Return of some rows the run (k, 2) of values from the first to the second bound (k, 2)."""
    beyond = np.stack([bounds[:, 0], np.nextafter(bounds[:, 1], np.float32(np.inf))], axis=1)
    return count_below(ordered, rows, beyond)


def _middles(ordered: Pixels, rows: Indices, kept: Indices) -> tuple[Floats, Floats]:
    """Return of runs of sorted values (k, 2) the medians, and sigma from their quartiles."""
    first, count = kept[:, 0], kept[:, 1] - kept[:, 0]
    last = count - 1
    ranks = np.stack([last // 2, count // 2, last // 4, 3 * last // 4])
    low, high, lower, upper = ordered[rows, first + ranks].astype(np.float64)
    return (low + high) / 2, QUARTILES_TO_SIGMA * (upper - lower)
