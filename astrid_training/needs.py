"""Which pixels of its images the stamps of an exposure depend on, from their headers alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrid_training.background import needed_rows
from astrid_training.cosmic_rays import CONTEXT_PX
from astrid_training.params import PreprocessSpec
from astrid_training.positions import positions_on_frame
from astrid_training.processor import ExposureFrames
from astrid_training.psf import MOST_WINDOWS, WINDOW_PX, ExposureContext, stated_psf
from astrid_training.stamps import ROLES, centre_pixel, overlap
from astrid_training.surveys import Frame, profile_for

__all__ = ["Window", "context_of", "needed_windows"]

Window = tuple[slice, slice]
"""Rows and columns, 0-based, not empty, within the image."""


def context_of(row: Mapping[str, Any]) -> ExposureContext:
    """Return what a row of `plan.TARGETS` says of its exposure besides the files."""
    return ExposureContext(
        survey=row["survey"],
        band=row["band"],
        seeing_arcsec=row["seeing_arcsec"],
        pixel_scale=row["pixel_scale"],
        profile=profile_for(row["survey"], row["science_kind"]),
        candidates_fwhm_px=row["candidates_fwhm_px"],
    )


def needed_windows(
    frames: ExposureFrames, rows: Sequence[Mapping[str, Any]], spec: PreprocessSpec
) -> dict[str, list[Window]]:
    """Return by role the windows that `build_exposure` looks at.

    Args:
        frames: the exposure; none of its pixels need be there.
        rows: of `plan.TARGETS`, all of this exposure, in their order.
        spec: how pixels are prepared.
    """
    context = context_of(rows[0])
    ra, dec, stored_x, stored_y = (
        [row[name] for row in rows] for name in ("ra_deg", "dec_deg", "pixel_x", "pixel_y")
    )
    fwhm = context.profile.psf_fwhm_px  # moves no stamp
    placed = positions_on_frame(frames.primary, ra, dec, stored_x, stored_y, fwhm)
    x, y = (centre_pixel(np.array([getattr(p, f"frame_{axis}") for p in placed])) for axis in "xy")
    needs_stars = stated_psf(frames, context) is None
    windows: dict[str, list[Window]] = {}
    for role in ROLES:
        frame = frames.role(role)
        if frame is None:
            continue
        places = list(zip(*(axis.tolist() for axis in frames.centres(role, x, y)), strict=True))
        windows[role] = _stamp_windows(frame, role, places, spec)
        if needs_stars and role != "difference":
            windows[role] += _windows(frame, places[:MOST_WINDOWS], WINDOW_PX)
    return windows


def _stamp_windows(
    frame: Frame, role: str, places: Sequence[tuple[int, int]], spec: PreprocessSpec
) -> list[Window]:
    """Return the windows of the stamps and of what their pixels and flags are made from."""
    stamps = _windows(frame, places, spec.padded_size)
    if role == "difference":
        return stamps
    around = list(stamps)
    if spec.cosmic_rays != "off":
        around += _windows(frame, places, max(CONTEXT_PX, spec.padded_size))
    if spec.background == "mesh" and frame.kind != "stamp":
        height, width = frame.shape
        around += [
            (
                needed_rows((height, width), spec.cell_px, rows),
                needed_rows((width, height), spec.cell_px, columns),
            )
            for rows, columns in stamps
        ]
    return around


def _windows(frame: Frame, places: Sequence[tuple[int, int]], size: int) -> list[Window]:
    found = (overlap(x - size // 2, y - size // 2, size, frame.shape) for x, y in places)
    return [(place.rows, place.columns) for place in found if place is not None]
