"""One image of a survey in memory, with what its header says."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrid_training.pixels import Pixels

__all__ = ["FlagPlane", "Frame", "FrameMeta", "Kind", "Role", "WeightPlane"]

MISSING_ABOVE = 1e30  # sentinels such as -3.4e38 pass isfinite

Role = Literal["science", "reference", "difference"]
Kind = Literal["raw", "processed", "stamp"]


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """What a header says of its image; None where it says nothing usable."""

    gain: float | None = None
    """Electrons per unit."""
    read_noise: float | None = None
    """Electrons."""
    saturation: float | None = None
    """Units at which a pixel is full."""
    zero_point: float | None = None
    """Magnitude of one unit."""
    mjd_mid: float | None = None
    """Mid-exposure, days, in `time_scale`."""
    time_scale: str | None = None
    """utc, tai, tdb and the like."""
    exposure_s: float | None = None
    seeing_px: float | None = None
    """Full width at half maximum of the PSF, pixels of this frame."""
    pixel_scale_arcsec: float | None = None
    """Arcseconds per pixel, from the header or the WCS."""
    units: str | None = None
    band: str | None = None
    """Canonical name."""


@dataclass(frozen=True, slots=True, eq=False)
class FlagPlane:
    """Bits beside an image; some of them say that a pixel has no value."""

    values: Pixels
    """(height, width) as stored, any integer type and byte order; may be a view of a mapped file."""
    bits: int
    """The bits that make a pixel missing."""
    zero: int = 0
    """What the file adds to `values` (BZERO: unsigned integers are stored with an offset)."""

    def missing(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Return which pixels of a window have no value: (rows, columns)."""
        missing: NDArray[np.bool_] = (
            self.values[rows, columns].astype(np.int64) + self.zero
        ) & self.bits != 0
        return missing


@dataclass(frozen=True, slots=True, eq=False)
class WeightPlane:
    """Weights beside an image; a pixel without a positive one has no value."""

    values: Pixels
    """(height, width), any float type and byte order; may be a view of a mapped file."""

    def missing(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Return which pixels of a window have no value: (rows, columns)."""
        missing: NDArray[np.bool_] = ~(self.values[rows, columns] > 0)
        return missing


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A 2-D image. Pixels may be a view of a mapped file; take them through `window` or `data`."""

    pixels: Any
    """(height, width), any float type and byte order, units of the file: an array, or `Pixels`."""
    wcs: Any = None
    """A celestial WCS with astropy's methods, or None."""
    meta: FrameMeta = field(default_factory=FrameMeta)
    kind: Kind = "raw"
    """What the file is: a raw or processed frame, or a stamp that a survey cut itself."""
    sign: Literal[1, -1] = 1
    """-1 on a difference that holds reference minus science; `data` and `window` apply it."""
    planes: tuple[FlagPlane | WeightPlane, ...] = ()
    """Which pixels have no value though they hold a number; looked at window by window."""
    caches: dict[object, Any] = field(default_factory=dict, repr=False)
    """What others derived from this frame and want to keep for as long as it lives."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.pixels.shape
        return height, width

    @property
    def data(self) -> NDArray[np.float32]:
        """A copy of all pixels: (height, width) float32, NaN = missing."""
        height, width = self.shape
        return self.window(slice(0, height), slice(0, width))

    def window(
        self, rows: slice, columns: slice, missing_above: float = MISSING_ABOVE
    ) -> NDArray[np.float32]:
        """Return a copy of some pixels: (rows, columns) float32, native byte order, NaN = missing.

        Args:
            rows: 0-based, within the frame.
            columns: 0-based, within the frame.
            missing_above: larger absolute values are sentinels.
        """
        values = self.unmasked(rows, columns)
        with np.errstate(invalid="ignore"):
            values[~(np.abs(values) <= missing_above)] = np.nan
        return values

    def unmasked(
        self, rows: slice, columns: slice, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return a copy of some pixels as `window` does, but with sentinels and infinities left.

        Args:
            rows: 0-based, within the frame.
            columns: 0-based, within the frame.
            out: (rows, columns), where the copy goes; None: a new array.
        """
        pixels = self.pixels[rows, columns]
        values = np.empty(pixels.shape, np.float32) if out is None else out
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(values, pixels, casting="same_kind")  # one pass turns bytes and type
        for plane in self.planes:
            values[plane.missing(rows, columns)] = np.nan
        return np.negative(values, out=values) if self.sign < 0 else values
