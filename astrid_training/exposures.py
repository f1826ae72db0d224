"""All stamps of one exposure: one outcome per target, a row or a reject."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.measure import MEASUREMENTS, measure_stamps
from astrid_training.positions import Position, positions_on_frame, refine_centroids
from astrid_training.processor import ExposureFrames
from astrid_training.processors import Processor
from astrid_training.psf import ExposureContext, Psf, measured_psf, stated_psf
from astrid_training.records import Reject
from astrid_training.significance import significance
from astrid_training.stamps import ROLES, Stamps

__all__ = ["ExposureContext", "ExposureStamps", "Target", "build_exposure"]

STEP = "preprocess"
BLOCK = 32  # stamps at once; their working arrays fit the cache
DIFFERENCE = ROLES.index("difference")


@dataclass(frozen=True, slots=True)
class Target:
    """A subject on an exposure."""

    sample_key: str
    ra_deg: float
    dec_deg: float
    pixel_x: float | None
    """0-based column as stored with the detection, of the image its model saw."""
    pixel_y: float | None


@dataclass(frozen=True, slots=True, eq=False)
class ExposureStamps:
    """The samples of one exposure. Rows and rejects together are as many as the targets."""

    pixels: NDArray[np.float32]
    """(n, channel, y, x), as the network sees them."""
    flags: NDArray[np.uint8]
    """(n, y, x), bits of `stamps.Flag`."""
    significance: NDArray[np.float16]
    """(n, y, x) of the difference, see `significance.significance`."""
    measures: pa.Table
    """n rows of `MEASUREMENTS`, in the order of the pixels."""
    rejects: list[Reject]


def build_exposure(
    frames: ExposureFrames,
    targets: Sequence[Target],
    processor: Processor,
    context: ExposureContext,
) -> ExposureStamps:
    """Return a stamp and its measurements per target, and rejects for those that have none.

    The stamp is framed by the sky position, as inference frames it; the target's own position comes
    from one centroid on the difference.

    Args:
        frames: the images of the exposure.
        targets: in the order of the rows to come.
        processor: makes the pixels.
        context: what is known of the exposure besides its files.
    """
    spec, size = processor.spec, processor.spec.padded_size
    positions, psf = _place(frames, targets, context)
    fwhm = psf.fwhm_px
    pixels = np.empty((len(targets), len(spec.channels), size, size), np.float32)
    flags = np.empty((len(targets), size, size), np.uint8)
    lit = np.empty(flags.shape, np.float16)
    measures: list[pa.Table] = []
    rejects: list[Reject] = []
    count = 0
    for start in range(0, len(targets), BLOCK):
        block = slice(start, start + BLOCK)
        x, y = np.array([(p.frame_x, p.frame_y) for p in positions[block]]).T
        made = processor.apply_many(frames, x, y, fwhm)
        keys = [target.sample_key for target in targets[block]]
        good = [index for index, problem in enumerate(made.problems) if problem is None]
        rejects += _rejects(keys, made)
        made = _only(made, good)
        new = slice(count, count + len(good))
        pixels[new], flags[new] = made.pixels, made.flags
        lit[new] = significance(made.raw[:, DIFFERENCE], fwhm)
        refined = _refined([positions[start + index] for index in good], made, fwhm)
        kept = [keys[index] for index in good]
        measures.append(measure_stamps(kept, refined, made, frames, context, spec, psf))
        count += len(good)
    table = pa.concat_tables(measures) if measures else MEASUREMENTS.empty_table()
    return ExposureStamps(pixels[:count], flags[:count], lit[:count], table, rejects)


def _place(
    frames: ExposureFrames, targets: Sequence[Target], context: ExposureContext
) -> tuple[list[Position], Psf]:
    """Return where the targets lie on the primary image, and the PSF there."""
    places = (
        [target.ra_deg for target in targets],
        [target.dec_deg for target in targets],
        [target.pixel_x for target in targets],
        [target.pixel_y for target in targets],
    )
    psf = stated_psf(frames, context)
    if psf is not None:
        return positions_on_frame(frames.primary, *places, psf.fwhm_px), psf
    rough = positions_on_frame(frames.primary, *places, context.profile.psf_fwhm_px)
    x, y = np.array([(p.frame_x, p.frame_y) for p in rough]).T
    psf = measured_psf(frames, context, x, y)
    return positions_on_frame(frames.primary, *places, psf.fwhm_px), psf


def _rejects(keys: Sequence[str], made: Stamps) -> list[Reject]:
    return [
        Reject(key, STEP, problem.reason, problem.detail)
        for key, problem in zip(keys, made.problems, strict=True)
        if problem is not None
    ]


def _only(made: Stamps, rows: list[int]) -> Stamps:
    if len(rows) == len(made.problems):
        return made
    arrays = ("pixels", "flags", "raw", "levels", "scales", "noise", "left", "bottom")
    chosen: dict[str, Any] = {name: getattr(made, name)[rows] for name in arrays}
    return replace(made, problems=[None] * len(rows), **chosen)


def _refined(positions: Sequence[Position], made: Stamps, fwhm_px: float) -> list[Position]:
    differences, noise = made.raw[:, DIFFERENCE], made.scales[:, DIFFERENCE]
    return refine_centroids(positions, differences, made.left, made.bottom, fwhm_px, noise)
