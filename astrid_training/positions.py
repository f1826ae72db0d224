"""Where a detection lies on the image that is cut."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.scaling import measure_noise
from astrid_training.stamps import centre_pixel, overlap
from astrid_training.surveys.frames import Frame

__all__ = [
    "REFINED",
    "Aperture",
    "Position",
    "aperture",
    "locate",
    "positions_on_frame",
    "refine_centroid",
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


@dataclass(frozen=True, slots=True, eq=False)
class Aperture:
    """The valid pixels of a disk on a difference."""

    x: Floats
    """Columns."""
    y: Floats
    """Rows."""
    values: Floats
    snr: float
    """|sum| over its noise."""
    polarity: int
    """+1 where the source brightened, -1 where it faded."""

    def light(self, noise: float) -> Floats:
        """Return by how much each value stands out from the noise, in the source's direction."""
        return np.maximum(self.polarity * self.values - noise, 0)


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
    noise = float(measure_noise(pixels.astype(np.float64).reshape(1, -1))[1][0])
    return refine_centroid(framed, pixels, place.columns.start, place.rows.start, fwhm_px, noise)


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


def refine_centroid(
    position: Position, difference: Pixels, left: int, bottom: int, fwhm_px: float, noise: float
) -> Position:
    """Return the position moved onto the source's centroid if that is sure and near.

    Args:
        position: on the frame.
        difference: (height, width), a window of the frame, NaN = missing.
        left: 0-based frame column of the window's column 0.
        bottom: 0-based frame row of the window's row 0.
        fwhm_px: of the PSF; the centroid is that of the light within it.
        noise: of a pixel of the difference, same units.
    """
    x, y = position.x - left, position.y - bottom
    disk = aperture(difference, x, y, max(fwhm_px, LEAST_RADIUS_PX), noise)
    if disk is None or disk.snr < LEAST_SNR:
        return position
    light = disk.light(noise)
    total = float(light.sum())
    if total <= 0:
        return position
    dx, dy = float(light @ disk.x) / total - x, float(light @ disk.y) / total - y
    shift = math.hypot(dx, dy)
    if shift > MOST_SHIFT_PX:
        return position
    return Position(
        position.x + dx,
        position.y + dy,
        position.frame_x,
        position.frame_y,
        shift,
        (*position.flags, REFINED),
        position.axes,
    )


def aperture(
    difference: Pixels, x: float, y: float, radius: float, noise: float
) -> Aperture | None:
    """Return the valid pixels within `radius` of (x, y), or None if there are none.

    Args:
        difference: (height, width), NaN = missing.
        x: 0-based column.
        y: 0-based row.
        radius: pixels.
        noise: of one pixel, above 0, same units as `difference`.
    """
    if not (math.isfinite(x) and math.isfinite(y) and noise > 0):
        return None
    height, width = difference.shape
    rows = np.arange(max(math.ceil(y - radius), 0), min(math.floor(y + radius) + 1, height))
    columns = np.arange(max(math.ceil(x - radius), 0), min(math.floor(x + radius) + 1, width))
    if not (rows.size and columns.size):
        return None
    box = difference[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
    near = (columns - x) ** 2 + ((rows - y) ** 2)[:, None] <= radius**2
    near &= ~np.isnan(box)
    values = box[near]
    if not values.size:
        return None
    row, column = np.nonzero(near)
    total = float(values.sum())
    return Aperture(
        (column + columns[0]).astype(np.float64),
        (row + rows[0]).astype(np.float64),
        values,
        abs(total) / (noise * math.sqrt(values.size)),
        1 if total >= 0 else -1,
    )


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
