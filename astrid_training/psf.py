"""How wide the PSF of an exposure is, and who says so."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.processor import ExposureFrames
from astrid_training.stamps import centre_pixel, overlap
from astrid_training.stars import Star, find_stars
from astrid_training.surveys.frames import Frame
from astrid_training.surveys.profiles import SurveyProfile

__all__ = ["FEW_STARS", "UNSURE_SOURCES", "ExposureContext", "Psf", "measured_psf", "stated_psf"]

FEW_STARS = "few_stars"
UNSURE_SOURCES = (FEW_STARS, "profile")
"""Good enough to draw a mask by; no measurement of the seeing."""
ENOUGH_STARS = 3
ENOUGH_CANDIDATES = 20
STAR_OR_GALAXY = 1.5
"""Galaxies are round too; what is so much wider than the narrowest quarter is one."""
WINDOW_PX = 256  # near a target, in rows that its background needs anyway
MOST_WINDOWS = 4
TARGET_PX = 4.0
"""So near a target is what the target lies on: its galaxy, or what nobody knows yet to be a star."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Psf:
    """The width of a PSF."""

    fwhm_px: float
    """Full width at half maximum, pixels of the primary image."""
    source: str
    """header, observation, stars, few_stars (one or two), candidates or profile."""


@dataclass(frozen=True, slots=True)
class ExposureContext:
    """What the database and the survey's profile say of an exposure."""

    survey: str
    band: str
    seeing_arcsec: float | None
    pixel_scale: float | None
    """Arcseconds per pixel."""
    profile: SurveyProfile
    candidates_fwhm_px: float | None = None
    """Median over its candidates; None with fewer than 20."""


def stated_psf(frames: ExposureFrames, context: ExposureContext) -> Psf | None:
    """Return what header or observation say of science, or the reference's header if that is larger.

    None where nothing is said of science.
    """
    scale = frames.science.meta.pixel_scale_arcsec or context.pixel_scale
    stated = frames.science.meta.seeing_px
    source = "header"
    if stated is None and context.seeing_arcsec and scale:
        stated, source = context.seeing_arcsec / scale, "observation"
    if stated is None:
        return None
    return Psf(max(stated, _of_reference(frames, context) or 0.0), source)


def measured_psf(frames: ExposureFrames, context: ExposureContext, x: Floats, y: Floats) -> Psf:
    """Return the width of the stars near some positions, else that of candidates, else the profile's.

    What lies at the positions themselves is not asked: whether it is a star is the question. For a difference it is the larger one of science and reference.

    Args:
        frames: the exposure.
        context: of it.
        x: (n,) 0-based columns in the primary image.
        y: (n,) 0-based rows.
    """
    science = _of_stars(frames, "science", x, y)
    if science is None and context.candidates_fwhm_px:
        science = Psf(context.candidates_fwhm_px, "candidates")
    if science is None:
        science = Psf(context.profile.psf_fwhm_px, "profile")
    if frames.difference is None or frames.reference is None:
        return science
    stated = _of_reference(frames, context)
    if stated is not None:
        return Psf(max(science.fwhm_px, stated), science.source)
    reference = _of_stars(frames, "reference", x, y)
    if reference is None or reference.fwhm_px <= science.fwhm_px:
        return science
    doubtful = FEW_STARS in (science.source, reference.source)
    return Psf(reference.fwhm_px, FEW_STARS if doubtful else science.source)


def _of_reference(frames: ExposureFrames, context: ExposureContext) -> float | None:
    """Return what the reference's header says, in pixels of science; None without a difference."""
    if frames.difference is None or frames.reference is None:
        return None
    meta, scale = (
        frames.reference.meta,
        frames.science.meta.pixel_scale_arcsec or context.pixel_scale,
    )
    if meta.seeing_px is None:
        return None
    ratio = meta.pixel_scale_arcsec / scale if meta.pixel_scale_arcsec and scale else 1.0
    return meta.seeing_px * ratio


def _of_stars(frames: ExposureFrames, role: str, x: Floats, y: Floats) -> Psf | None:
    frame = frames.role(role)
    if frame is None:
        return None
    at_x, at_y = frames.centres(role, centre_pixel(x), centre_pixel(y))
    targets = np.stack([at_x, at_y], axis=1)
    found: dict[tuple[int, int], float] = {}
    for column, row in targets[:MOST_WINDOWS].tolist():
        for star_x, star_y, fwhm in _stars_near(frame, column, row):
            if np.hypot(*(targets - (star_x, star_y)).T).min() > TARGET_PX:
                found.setdefault((round(star_x), round(star_y)), fwhm)  # windows may overlap
        if len(found) >= ENOUGH_STARS:
            break
    if not found:
        return None
    widths = np.array(list(found.values()))
    widths = widths[widths <= STAR_OR_GALAXY * np.quantile(widths, 0.25, method="lower")]
    ratio = _pixel_ratio(frames, frame)
    source = "stars" if len(widths) >= ENOUGH_STARS else FEW_STARS
    return Psf(float(np.median(widths)) * ratio, source)


def _stars_near(frame: Frame, column: int, row: int) -> Iterator[Star]:
    place = overlap(column - WINDOW_PX // 2, row - WINDOW_PX // 2, WINDOW_PX, frame.shape)
    if place is None:
        return
    window = frame.window(place.rows, place.columns)
    for x, y, fwhm in find_stars(window, frame.meta.saturation):
        yield x + place.columns.start, y + place.rows.start, fwhm


def _pixel_ratio(frames: ExposureFrames, frame: Frame) -> float:
    """Return how many pixels of the primary image one of `frame` is wide, 1 where not known."""
    own, primary = frame.meta.pixel_scale_arcsec, frames.primary.meta.pixel_scale_arcsec
    return own / primary if own and primary else 1.0
