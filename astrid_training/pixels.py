"""Pixels of an image that are read, decoded or looked for only where a window asks for them."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["AbsentPixelsError", "Pixels", "PresentRows", "Scaled"]


class AbsentPixelsError(LookupError):
    """Pixels were asked for that were not fetched to this machine."""


class Pixels(Protocol):
    """What an image's pixels can do; an array of two axes is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the windows."""
        ...

    def __getitem__(self, window: tuple[slice, slice], /) -> Any:  # noqa: ANN401 - any number type
        """Return (rows, columns) of a window, perhaps a view.

        Args:
            window: rows and columns, 0-based, within the image.

        Raises:
            AbsentPixelsError: if some of it was not fetched.
        """
        ...


class PresentRows:
    """An image of which some rows are on this machine.

    Args:
        values: (height, width) of any type; rows that are not there hold anything.
        there: (height,) which rows are.
        name: of the file, for messages.
    """

    def __init__(self, values: NDArray[Any], there: NDArray[np.bool_], name: str) -> None:
        self._values, self._name = values, name
        self.there = there
        self.shape: tuple[int, ...] = values.shape
        self.dtype: np.dtype[Any] = values.dtype

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[Any]:
        """Return a view of a window; see `Pixels`."""
        rows, columns = window
        if not self.there[rows].all():
            raise AbsentPixelsError(
                f"{self._name}: of rows {rows.start} to {rows.stop} some were not fetched; "
                "it is a fault of this package"
            )
        return self._values[rows, columns]


class Scaled:
    """Stored numbers as the values they stand for, computed window by window.

    Args:
        stored: (height, width), integers or floats as the file holds them.
        scale: BSCALE.
        zero: BZERO.
        blank: the integer that stands for no value; None: none does.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, stored: Pixels, scale: float, zero: float, blank: int | None) -> None:
        self.stored = stored
        self.shape: tuple[int, ...] = stored.shape
        self._scale, self._zero, self._blank = scale, zero, blank

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return (rows, columns) float32, NaN where BLANK; see `Pixels`."""
        stored = self.stored[window]
        with np.errstate(over="ignore"):  # beyond float32 is inf, and inf is missing
            exact = stored.astype(np.float64)
            exact *= self._scale
            exact += self._zero
            values: NDArray[np.float32] = exact.astype(np.float32)
        if self._blank is not None:
            values[stored == self._blank] = np.nan
        return values
