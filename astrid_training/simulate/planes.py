"""The error and the quality of each pixel, as the space telescopes' pipelines give them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.frames import move
from astrid_training.simulate.layouts import Layout
from astrid_training.simulate.pixels import Floats
from astrid_training.simulate.plan import SkyPlan

__all__ = ["FLAGS", "Flags", "Planes", "difference_planes", "frame_planes"]


@dataclass(frozen=True, slots=True)
class Flags:
    """Bits of a quality plane."""

    missing: int
    full: int
    dtype: type[np.int16 | np.uint32]
    """Of the plane in the file."""


FLAGS = {
    "hst": Flags(missing=2, full=256, dtype=np.int16),  # replaced by a fill value; full well
    "jwst": Flags(missing=1 | 1024, full=1 | 2, dtype=np.uint32),  # 1 says: do not use
}
"""By composition. Source: ACS Data Handbook, table of data quality flags; documentation of the
JWST calibration pipeline, data quality flags."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """What goes with an image; both are (height, width)."""

    error: Floats
    """One standard deviation, units of the image; NaN = missing."""
    quality: NDArray[np.int64]
    """Bits of `Flags`; 0 is a good pixel."""


def frame_planes(
    plan: SkyPlan, conditions: Conditions, image: Floats, exposures: int = 1
) -> Planes | None:
    """Return the planes of a science or reference frame, None where the layout has none.

    Args:
        plan: the survey.
        conditions: of the frame.
        image: (height, width), units; NaN = missing, or full where the layout blanks full pixels.
        exposures: how many were averaged.
    """
    layout = plan.instrument
    if not layout.has_planes:
        return None
    gain = layout.gain * exposures
    read_noise = layout.read_noise * np.sqrt(exposures) / gain
    flags, missing = FLAGS[layout.composition], conditions.missing(image.shape)
    full = ~missing & (np.isnan(image) | (image >= layout.saturation))
    return Planes(
        error=np.sqrt(np.maximum(image, 0) / gain + read_noise**2),
        quality=missing * flags.missing | full * flags.full,
    )


def difference_planes(
    layout: Layout, planes: tuple[Planes | None, Planes | None], new: Conditions, old: Conditions
) -> Planes | None:
    """Return the planes of a difference, None where the layout has none.

    A pixel has the flags of both frames, and is missing where the reference does not reach. What
    blurring the reference does to its noise is left out, as in most pipelines.

    Args:
        layout: of the survey.
        planes: of the science frame and of its reference.
        new: conditions of the science frame.
        old: conditions of the reference.
    """
    science, reference = planes
    if science is None or reference is None:
        return None
    missing = FLAGS[layout.composition].missing
    moved = move(reference.quality.astype(np.float64), new.dither)
    error = move(reference.error, new.dither) * new.throughput / old.throughput
    return Planes(
        error=np.hypot(science.error, error),
        quality=science.quality | np.nan_to_num(moved, nan=missing).astype(np.int64),
    )
