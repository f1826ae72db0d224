"""Cosmic rays by L.A.Cosmic: a flag and a metric. Pixels are never replaced, nothing is dropped.

Source: van Dokkum 2001, PASP 113, 1420, as implemented by astroscrappy.
"""

import numpy as np
from numpy.typing import NDArray

from astrid_training.stamps import overlap
from astrid_training.surveys.frames import Frame

__all__ = ["ALGORITHM", "FOUND", "flag_cosmic_rays", "why_not"]

ALGORITHM = 1
"""Raise it when a flag may change."""
FOUND = "found"
CONTEXT_PX = 96  # flags of the inner 72 px then equal those of the whole frame
ITERATIONS = 4
LEAST_FWHM_PX = 3.0  # sharper stars look like cosmic rays


def why_not(frame: Frame | None, fwhm_px: float | None) -> str:
    """Return `found` if cosmic rays can be told from stars in `frame`, else the reason.

    The reasons are not_available (no frame, or a stamp without its surroundings), unknown_gain,
    unknown_read_noise, unknown_fwhm and undersampled.
    """
    if frame is None or frame.kind == "stamp":
        return "not_available"
    if frame.meta.gain is None:
        return "unknown_gain"
    if frame.meta.read_noise is None:
        return "unknown_read_noise"
    if fwhm_px is None:
        return "unknown_fwhm"
    return "undersampled" if fwhm_px < LEAST_FWHM_PX else FOUND


def flag_cosmic_rays(
    frame: Frame, left: int, bottom: int, size: int, missing_above: float
) -> NDArray[np.bool_]:
    """Return which pixels of a window a cosmic ray hit: (size, size).

    Args:
        frame: with its sky still in it, and gain and read noise in its header.
        left: 0-based frame column of the window's column 0.
        bottom: 0-based frame row of the window's row 0.
        size: side of the window, pixels.
        missing_above: larger absolute values are missing.
    """
    from astroscrappy import detect_cosmics  # compiled, and only this option needs it

    border = max(0, -(-(CONTEXT_PX - size) // 2))
    wide = size + 2 * border
    found = np.zeros((wide, wide), np.bool_)
    place = overlap(left - border, bottom - border, wide, frame.shape)
    if place is not None:
        pixels = frame.window(place.rows, place.columns, missing_above)
        missing = np.isnan(pixels)
        pixels[missing] = 0
        saturation = frame.meta.saturation
        found[place.inside], _ = detect_cosmics(
            pixels,
            inmask=missing,
            gain=frame.meta.gain,
            readnoise=frame.meta.read_noise,
            satlevel=saturation * frame.meta.gain if saturation and frame.meta.gain else np.inf,
            niter=ITERATIONS,
        )
    return found[border : border + size, border : border + size]
