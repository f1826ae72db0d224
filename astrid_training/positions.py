"""Where a detection lies on the image that is cut."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.apertures import apertures, sums
from astrid_training.scaling import measure_noise
from astrid_training.stamps import centre_pixel, overlap
from astrid_training.surveys.frames import Frame

__all__ = [
    "REFINED",
    "Position",
    "locate",
    "positions_on_frame",
    "refine_centroids",
]

NO_WCS = "no_wcs"
MISMATCH = "wcs_pixel_mismatch"
REFINED = "refined"
LEAST_MISMATCH_PX = 2.0
MISMATCH_FWHM = 0.5
LEAST_SNR = 5.0
MOST_SHIFT_PX = 1.0
LEAST_RADIUS_PX = 1.5
LOCAL_SIDE_PX = 64
STEP_DEG = 1 / 3600  # over which the directions on the sky are measured
LEAST_COSINE = 1e-6

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Position:
    """A target on a frame; columns and rows are 0-based pixels of the frame."""

    x: float
    """Column of the target, from the centroid where that could be measured."""
    y: float
    frame_x: float
    """Column that the stamp is framed by: from the sky position alone, as at inference."""
    frame_y: float
    shift_px: float | None = None
    """How far the centroid lies from the sky position; None where it was not used."""
    flags: tuple[str, ...] = ()
    """Any of no_wcs, wcs_pixel_mismatch, refined."""
    axes: tuple[float, float, float, float] | None = None
    """Columns and rows per arcsecond to the east, then to the north; None without a WCS."""


def locate(
    frame: Frame,
    ra_deg: float,
    dec_deg: float,
    pixel_x: float | None,
    pixel_y: float | None,
    fwhm_px: float,
    *,
    centroid: bool = True,
) -> Position:
    """Return where a detection lies on a frame; NaN where nothing tells.

    Args:
        frame: the difference image, or science where there is none.
        ra_deg: right ascension, degrees, ICRS.
        dec_deg: declination, degrees, ICRS.
        pixel_x: 0-based column as stored with the detection, of the image its model saw.
        pixel_y: 0-based row as stored.
        fwhm_px: of the PSF.
        centroid: refine on the pixels; for a difference only.
    """
    framed = positions_on_frame(frame, [ra_deg], [dec_deg], [pixel_x], [pixel_y], fwhm_px)[0]
    if not centroid:
        return framed
    left, bottom = (
        int(centre_pixel(np.array(value))) - LOCAL_SIDE_PX // 2
        for value in (framed.frame_x, framed.frame_y)
    )
    place = overlap(left, bottom, LOCAL_SIDE_PX, frame.shape)
    if place is None:
        return framed
    pixels = frame.window(place.rows, place.columns)
    _, noise, _ = measure_noise(pixels.astype(np.float64).reshape(1, -1))
    corner = np.array([place.columns.start]), np.array([place.rows.start])
    return refine_centroids([framed], pixels[None], *corner, fwhm_px, noise)[0]


def positions_on_frame(
    frame: Frame,
    ra_deg: Sequence[float],
    dec_deg: Sequence[float],
    pixel_x: Sequence[float | None],
    pixel_y: Sequence[float | None],
    fwhm_px: float,
) -> list[Position]:
    """Return the positions of several detections, none refined; see `locate`."""
    stored = list(zip(pixel_x, pixel_y, strict=True))
    if frame.wcs is None:
        return [_stored_position(x, y) for x, y in stored]
    columns, rows, axes = _sky_to_pixels(frame.wcs, ra_deg, dec_deg)
    limit = max(LEAST_MISMATCH_PX, MISMATCH_FWHM * fwhm_px)
    return [
        Position(x, y, x, y, None, (MISMATCH,) if _apart(x, y, *pixel) > limit else (), tuple(turn))
        for x, y, turn, pixel in zip(
            columns.tolist(), rows.tolist(), axes.tolist(), stored, strict=True
        )
    ]


def refine_centroids(
    positions: Sequence[Position],
    differences: Pixels,
    left: NDArray[np.intp],
    bottom: NDArray[np.intp],
    fwhm_px: float,
    noise: Floats,
) -> list[Position]:
    """Return each position moved onto its source's centroid if that is sure and near.

    Args:
        positions: n of them, on the frame.
        differences: (n, height, width), windows of the frame, NaN = missing.
        left: (n,) 0-based frame columns of the windows' column 0.
        bottom: (n,) 0-based frame rows of the windows' row 0.
        fwhm_px: of the PSF; the centroid is that of the light within it.
        noise: (n,) of a pixel of the difference, same units.
    """
    x = np.array([position.x for position in positions], np.float64) - left
    y = np.array([position.y for position in positions], np.float64) - bottom
    disks = apertures(differences, x, y, max(fwhm_px, LEAST_RADIUS_PX), noise)
    light = disks.light()
    total = sums(light)
    lit = total > 0
    whole = np.where(lit, total, 1)
    dx, dy = sums(light * disks.x) / whole - x, sums(light * disks.y) / whole - y
    shift = np.sqrt(dx * dx + dy * dy)
    sure = lit & (disks.snr >= LEAST_SNR) & (shift <= MOST_SHIFT_PX)
    moves = zip(positions, sure.tolist(), dx.tolist(), dy.tolist(), shift.tolist(), strict=True)
    return [
        replace(at, x=at.x + a, y=at.y + b, shift_px=by, flags=(*at.flags, REFINED)) if sure else at
        for at, sure, a, b, by in moves
    ]


def _sky_to_pixels(
    wcs: Any,  # noqa: ANN401 - astropy has no types
    ra_deg: Sequence[float],
    dec_deg: Sequence[float],
) -> tuple[Floats, Floats, Floats]:
    """Return columns (n,), rows (n,) and their change (n, 4) along east and north, px/arcsec."""
    ra, dec = np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
    north = np.where(dec > 0, -STEP_DEG, STEP_DEG)  # away from the pole
    east = STEP_DEG / np.maximum(np.cos(np.radians(dec)), LEAST_COSINE)
    sky = np.stack([np.tile(ra, 3), np.tile(dec, 3)], axis=1)
    sky[len(ra) : 2 * len(ra), 0] += east
    sky[2 * len(ra) :, 1] += north
    found = wcs.all_world2pix(sky, 0, ra_dec_order=True, quiet=True).reshape(3, len(ra), 2)
    here, eastward, northward = found
    per_arcsec = np.sign(north)[:, None] / (STEP_DEG * 3600)
    axes = np.hstack([(eastward - here) / (STEP_DEG * 3600), (northward - here) * per_arcsec])
    return here[:, 0], here[:, 1], axes


def _stored_position(x: float | None, y: float | None) -> Position:
    if x is None or y is None:
        return Position(math.nan, math.nan, math.nan, math.nan, flags=(NO_WCS,))
    return Position(float(x), float(y), float(x), float(y), flags=(NO_WCS,))


def _apart(x: float, y: float, stored_x: float | None, stored_y: float | None) -> float:
    if stored_x is None or stored_y is None:
        return 0.0
    return math.hypot(x - stored_x, y - stored_y)
