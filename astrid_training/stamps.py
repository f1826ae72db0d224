"""Square windows of pixels: their geometry, their flags, and what is known of each."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ROLES",
    "Flag",
    "Overlap",
    "Stamp",
    "StampRefusedError",
    "Stamps",
    "central",
    "centre_pixel",
    "has",
    "overlap",
]

ROLES = ("science", "reference", "difference")
"""Order of the axis that holds every image of an exposure, whatever channels are stored."""


class Flag(IntFlag):
    """Bits of a stamp's flag plane."""

    MISSING = 1
    """No value in the difference; where there is no difference, in the science image."""
    SATURATED = 2
    """At least 0.95 of the saturation level in the science or the reference image."""
    PADDED = 4
    """Beyond the edge of the image that MISSING speaks of."""
    COSMIC_RAY = 8
    OTHER_MISSING = 16
    """No value in another stored channel, which holds 0 there."""


class StampRefusedError(ValueError):
    """No stamp can be made at this position.

    Attributes:
        reason: a short code: off_image, no_valid_pixels, edge or constant.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Stamps of one exposure; the first axis of each array is the stamp."""

    pixels: NDArray[np.float32]
    """(n, channel, y, x), scaled, 0 where missing; channels in the spec's order."""
    flags: NDArray[np.uint8]
    """(n, y, x), bits of `Flag`."""
    raw: NDArray[np.float32]
    """(n, role, y, x), in the order of `ROLES`; units of the files, NaN where missing or absent."""
    levels: NDArray[np.float64]
    """(n, role): what the scale takes for zero, after the background step; NaN if unusable."""
    scales: NDArray[np.float64]
    """(n, role): noise, 1.4826 x the median absolute deviation; NaN if unusable."""
    noise: NDArray[np.float64]
    """(n,): of the background cell under the centre of science, units; NaN without a mesh."""
    left: NDArray[np.intp]
    """(n,): 0-based frame column of the stamp's column 0; may be negative."""
    bottom: NDArray[np.intp]
    """(n,): 0-based frame row of the stamp's row 0; may be negative."""
    problems: list[StampRefusedError | None]
    """(n,): why no sample can be made of a stamp."""
    cosmic_rays: str
    """`found` if cosmic rays were looked for in science, else why not."""


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """One stamp; the fields are those of `Stamps` without the first axis."""

    pixels: NDArray[np.float32]
    """(channel, y, x)."""
    flags: NDArray[np.uint8]
    """(y, x)."""
    raw: NDArray[np.float32]
    """(role, y, x)."""
    levels: NDArray[np.float64]
    scales: NDArray[np.float64]
    left: int
    bottom: int

    @classmethod
    def only(cls, stamps: Stamps) -> "Stamp":
        """Return the one stamp of a set of one.

        Raises:
            StampRefusedError: if it has a problem.
        """
        problem = stamps.problems[0]
        if problem is not None:
            raise problem
        return cls(
            stamps.pixels[0],
            stamps.flags[0],
            stamps.raw[0],
            stamps.levels[0],
            stamps.scales[0],
            int(stamps.left[0]),
            int(stamps.bottom[0]),
        )


@dataclass(frozen=True, slots=True)
class Overlap:
    """The part of a window that lies on the frame, in the frame's and in the window's pixels."""

    rows: slice
    columns: slice
    inside: tuple[slice, slice]


def has(flags: NDArray[np.uint8], wanted: Flag) -> NDArray[np.bool_]:
    """Return which pixels carry any of the wanted bits."""
    carried: NDArray[np.bool_] = flags & np.uint8(wanted) != 0  # a bare Flag would make it int64
    return carried


def centre_pixel(position: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the pixels that hold 0-based positions, halves going up; far outside for NaN."""
    far_outside = -(1 << 40)
    pixel: NDArray[np.intp] = np.where(
        np.abs(position) < 1 << 40, np.floor(position + 0.5), far_outside
    ).astype(np.intp)
    return pixel


def overlap(left: int, bottom: int, size: int, shape: tuple[int, int]) -> Overlap | None:
    """Return where a square window lies on a frame, or None if nowhere.

    Args:
        left: 0-based frame column of the window's column 0; may be negative.
        bottom: 0-based frame row of the window's row 0; may be negative.
        size: side of the window, pixels.
        shape: (height, width) of the frame.
    """
    height, width = shape
    rows = slice(max(bottom, 0), min(bottom + size, height))
    columns = slice(max(left, 0), min(left + size, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    inside = (
        slice(rows.start - bottom, rows.stop - bottom),
        slice(columns.start - left, columns.stop - left),
    )
    return Overlap(rows, columns, inside)


def central(margin: int, size: int) -> tuple[slice, slice]:
    """Return the rows and columns of a padded stamp that the model sees."""
    inner = slice(margin, margin + size)
    return inner, inner
