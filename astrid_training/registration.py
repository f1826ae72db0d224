"""How well science and reference lie on each other, measured on the stars of each stamp."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.processor import ExposureFrames, same_grid
from astrid_training.scaling import measure_noise
from astrid_training.stamps import ROLES, Flag, Stamps, centre_pixel, has

__all__ = ["LEAST_STARS", "Registration", "measure_registration"]

LEAST_STARS = 2
"""Fewer say nothing: a single one may be a blend, or have moved."""

PEAK_SIGMA = 8.0
LEAST_SNR = 15.0
BOX = 4  # half a side of the window round a star, pixels: 9 x 9
ROUNDS = 4  # of the weighted centroid; a further one moves a star by less than 0.01 px
LEAST_WINDOW_PX = 2.0
LEAST_FILLED = 0.15  # of the window by the star, whose variance is halved by one of its own width;
# what is sharper is a cosmic ray
MOST_FILLED = 0.7  # of the window by the star; one that fills more is no star
MOST_APART_PX = 3.0
AWAY_FROM_TARGET = 2.5  # FWHM; nearer, light is the target's, which the reference need not have
SAMPLING = 4  # every fourth row and column tells the sky and its noise
FWHM_PER_SIGMA = 2.3548
MOST_FLAT = 0.2  # of a star: (xx - yy) / (xx + yy) along its axes

Floats = NDArray[np.float64]
Pixels = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Per stamp, (n,)."""

    residual_px: Floats
    """Median distance (of an even number the lower of the middle two) of a star of science from the
    same star of the reference, 3 px where the reference shows none; NaN with fewer than two stars."""
    stars: Pixels
    """Stars of science that the reference's pixels could show."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stars:
    """Stars, (k,), in pixels of the stored stamps."""

    x: Floats
    y: Floats
    whole: NDArray[np.bool_]
    """Every pixel of the window round it is there."""
    good: NDArray[np.bool_]
    """Whole, bright and round, near where it was looked for."""


def measure_registration(
    stamps: Stamps, frames: ExposureFrames, x: Floats, y: Floats, fwhm_px: float
) -> Registration:
    """Return how far the stars of the science stamps lie from those of the reference.

    It is a property of each stamp alone, so that it does not depend on which others are built with it.
    Where the two images have grids of their own, each star is looked for where the WCS puts it, so
    that the residual is what the WCS gets wrong.

    Args:
        stamps: of one exposure.
        frames: what they were cut from.
        x: (n,) 0-based columns of the targets in the stored stamps.
        y: (n,) rows.
        fwhm_px: of the PSF.

    Source: Bertin & Arnouts 1996 and the SExtractor manual, windowed positions.
    """
    count = len(stamps.raw)
    nothing = Registration(np.full(count, np.nan), np.zeros(count, np.intp))
    if frames.reference is None or not count:
        return nothing
    science, reference = _above_sky(stamps.raw)
    stamp, row, column = _peaks(*science)
    usable = np.hypot(column - x[stamp], row - y[stamp]) > AWAY_FROM_TARGET * fwhm_px
    usable &= ~has(stamps.flags[stamp, row, column], Flag.SATURATED)
    stamp, row, column = stamp[usable], row[usable], column[usable]
    if not len(stamp):
        return nothing
    seen = _centroids(*science, stamp, column.astype(np.float64), row.astype(np.float64), fwhm_px)
    at_x, at_y = _on_reference(stamps, frames, stamp, seen)
    meant = _centroids(*reference, stamp, at_x, at_y, fwhm_px)
    apart = np.hypot(meant.x - at_x, meant.y - at_y)
    apart = np.where(meant.good, apart, MOST_APART_PX)
    good = seen.good & meant.whole
    return _by_stamp(stamp[good], apart[good], count)


def _above_sky(raw: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], Floats]]:
    """Return of science and reference the stamps (n, y, x) less their median, and their noise (n,)."""
    images = [raw[:, ROLES.index(role)] for role in ("science", "reference")]
    some = np.stack([image[:, ::SAMPLING, ::SAMPLING] for image in images]).astype(np.float64)
    level, noise, _ = measure_noise(some.reshape(2 * len(raw), -1))
    levels = level.astype(np.float32).reshape(2, len(raw), 1, 1)
    return list(zip(images - levels, noise.reshape(2, len(raw)), strict=True))


def _peaks(light: NDArray[np.float32], noise: Floats) -> tuple[Pixels, Pixels, Pixels]:
    """Return stamp, row and column of the pixels that stand out and outshine those around."""
    inner = light[:, BOX:-BOX, BOX:-BOX]
    with np.errstate(invalid="ignore"):
        stamp, row, column = np.nonzero(inner > (PEAK_SIGMA * noise)[:, None, None])
    row, column = row + BOX, column + BOX
    around = _boxes(light, stamp, row, column, 2)
    top = light[stamp, row, column] >= around.max(axis=(1, 2))  # False where a pixel is missing
    return stamp[top], row[top], column[top]


def _boxes(
    light: NDArray[np.float32], stamp: Pixels, row: Pixels, column: Pixels, half: int
) -> NDArray[np.float32]:
    """Return the windows (k, y, x) round pixels, which lie at least `half` from the edges."""
    steps = np.arange(-half, half + 1)
    boxes: NDArray[np.float32] = light[
        stamp[:, None, None], row[:, None, None] + steps[:, None], column[:, None, None] + steps
    ]
    return boxes


def _centroids(
    light: NDArray[np.float32], noise: Floats, stamp: Pixels, x: Floats, y: Floats, fwhm_px: float
) -> _Stars:
    """Return the windowed centroids near (x, y), and which of them are whole, bright and round."""
    side = light.shape[1]
    column, row = centre_pixel(x), centre_pixel(y)
    inside = (np.minimum(column, row) >= BOX) & (np.maximum(column, row) < side - BOX)
    column, row = np.where(inside, column, BOX), np.where(inside, row, BOX)
    boxes = _boxes(light, stamp, row, column, BOX).astype(np.float64)
    steps = np.arange(-BOX, BOX + 1, dtype=np.float64)
    dx, dy = x - column, y - row
    window = (max(fwhm_px, LEAST_WINDOW_PX) / FWHM_PER_SIGMA) ** 2
    for _ in range(ROUNDS):
        to_x, to_y = steps - dx[:, None], steps - dy[:, None]
        weight_x, weight_y = np.exp(-(to_x**2) / (2 * window)), np.exp(-(to_y**2) / (2 * window))
        weighed = boxes * weight_y[:, :, None] * weight_x[:, None, :]
        along_x, along_y = weighed.sum(axis=1), weighed.sum(axis=2)
        total = along_x.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            off_x, off_y = (
                (a * to).sum(axis=1) / total for a, to in ((along_x, to_x), (along_y, to_y))
            )
            xx = (along_x * to_x**2).sum(axis=1) / total - off_x**2
            yy = (along_y * to_y**2).sum(axis=1) / total - off_y**2
            # a window as wide as the star sees half of the way
            step = 1 / (1 - np.clip((xx + yy) / (2 * window), 0, MOST_FILLED))
            dx, dy = dx + step * off_x, dy + step * off_y
    power = np.sqrt((weight_x**2).sum(axis=1) * (weight_y**2).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = (weighed * to_y[:, :, None] * to_x[:, None, :]).sum(
            axis=(1, 2)
        ) / total - off_x * off_y
        is_star = np.hypot(xx - yy, 2 * xy) <= MOST_FLAT * (xx + yy)
        is_star &= xx + yy >= LEAST_FILLED * 2 * window
        sure = total >= LEAST_SNR * noise[stamp] * power
    near = np.hypot(column + dx - x, row + dy - y) <= MOST_APART_PX
    whole = inside & np.isfinite(total)
    return _Stars(column + dx, row + dy, whole, whole & is_star & sure & near)


def _on_reference(
    stamps: Stamps, frames: ExposureFrames, stamp: Pixels, stars: _Stars
) -> tuple[Floats, Floats]:
    """Return where the reference stamps should show the stars; NaN where nothing tells."""
    science, reference = frames.science, frames.reference
    if reference is None or same_grid(science, reference):
        return stars.x, stars.y
    if science.wcs is None or reference.wcs is None:
        nowhere = np.full(len(stars.x), np.nan)
        return nowhere, nowhere
    half = stamps.raw.shape[-1] // 2
    centre = stamps.left + half, stamps.bottom + half
    corners = {
        role: [axis[stamp] - half for axis in frames.centres(role, *centre)]
        for role in ("science", "reference")
    }
    left, bottom = corners["science"]
    sky = science.wcs.all_pix2world(left + stars.x, bottom + stars.y, 0, ra_dec_order=True)
    x, y = reference.wcs.all_world2pix(*sky, 0, ra_dec_order=True, quiet=True)
    left, bottom = corners["reference"]
    return x - left, y - bottom


def _by_stamp(stamp: Pixels, apart: Floats, count: int) -> Registration:
    stars = np.bincount(stamp, minlength=count)
    order = np.lexsort((apart, stamp))
    first = np.cumsum(stars) - stars
    residual = np.full(count, np.nan)
    enough = stars >= LEAST_STARS
    # the lower one: what only science has, such as a cosmic ray, is never the nearer of two
    middle = first[enough] + (stars[enough] - 1) // 2
    residual[enough] = apart[order[middle]]
    return Registration(residual, stars)
