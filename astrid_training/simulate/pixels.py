"""Light on pixels: everything that shines is a sum of two-dimensional Gaussians."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blobs", "Floats", "galaxy_blobs", "join", "paint", "point_blobs", "psf_radius"]

Floats: TypeAlias = NDArray[np.float64]

WING_SHARE = 0.08
WING_SIGMA_PX = 3.0
"""The aureole is added in quadrature to the seeing. So a sharper frame that is smoothed by a
Gaussian matches a blurred one exactly, and static stars vanish from a difference."""
PIXEL_VARIANCE = 1 / 12  # of a pixel's own width, px^2
CUT_SIGMA = 5.0
BOX_HALF_SIDES = (8, 16, 32, 64)
DISK = ((0.15, 0.25), (0.50, 0.60), (0.35, 1.20))
"""(flux share, sigma / scale radius) of Gaussians that fall off like an exponential disk."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """Gaussians, one an element."""

    flux: Floats
    """Total, image units."""
    x: Floats
    """0-based column of the centre."""
    y: Floats
    """0-based row of the centre."""
    xx: Floats
    """Variance along columns, px^2, the seeing included."""
    yy: Floats
    """Variance along rows, px^2."""
    xy: Floats
    """Covariance, px^2."""


def join(*parts: Blobs) -> Blobs:
    """Return all Gaussians of `parts` as one set."""
    columns = zip(*((p.flux, p.x, p.y, p.xx, p.yy, p.xy) for p in parts), strict=True)
    return Blobs(*(np.concatenate(column) for column in columns))


def point_blobs(flux: Floats, x: Floats, y: Floats, sigma_px: float) -> Blobs:
    """Return point sources (n,) seen through seeing of `sigma_px`: a core and a wing each."""
    parts = []
    for share, extra in ((1 - WING_SHARE, 0.0), (WING_SHARE, WING_SIGMA_PX**2)):
        variance = np.full_like(flux, sigma_px**2 + extra)
        parts.append(Blobs(share * flux, x, y, variance, variance, np.zeros_like(flux)))
    return join(*parts)


def galaxy_blobs(
    flux: Floats, x: Floats, y: Floats, shape: tuple[Floats, Floats, Floats], sigma_px: float
) -> Blobs:
    """Return elliptical disks (n,) seen through seeing of `sigma_px`.

    Args:
        flux: total, image units.
        x: 0-based columns.
        y: 0-based rows.
        shape: scale radius in px along the major axis, axis ratio, angle of the major axis from
            +x towards +y in radians.
        sigma_px: of the seeing.
    """
    radius, ratio, angle = shape
    cos, sin = np.cos(angle), np.sin(angle)
    parts = []
    for share, scale in DISK:
        major, minor = (scale * radius) ** 2, (scale * radius * ratio) ** 2
        xx = major * cos**2 + minor * sin**2 + sigma_px**2
        yy = major * sin**2 + minor * cos**2 + sigma_px**2
        parts.append(Blobs(share * flux, x, y, xx, yy, (major - minor) * cos * sin))
    return join(*parts)


def paint(shape: tuple[int, int], blobs: Blobs) -> Floats:
    """Return an image (height, width) with `blobs` on it; light beyond the edges is lost.

    Boxes of one size are evaluated together. Each ends at 5 sigma or, at most, at 64 px.
    """
    height, width = shape
    image = np.zeros(height * width)
    reach = CUT_SIGMA * np.sqrt(np.maximum(blobs.xx, blobs.yy))
    sizes = np.searchsorted(BOX_HALF_SIDES[:-1], reach)
    for size, half in enumerate(BOX_HALF_SIDES):
        near = (
            (sizes == size)
            & (np.abs(blobs.x - width / 2) < width / 2 + half)
            & (np.abs(blobs.y - height / 2) < height / 2 + half)
        )
        if near.any():
            _paint_boxes(image, shape, blobs, np.flatnonzero(near), half)
    return image.reshape(shape)


def _paint_boxes(
    image: Floats, shape: tuple[int, int], blobs: Blobs, chosen: NDArray[np.intp], half: int
) -> None:
    """Add the chosen blobs to the flat `image`, each in a box of 2 * half + 1 pixels."""
    height, width = shape
    offsets = np.arange(-half, half + 1)
    x, y = blobs.x[chosen], blobs.y[chosen]
    columns = np.rint(x).astype(np.int64)[:, None] + offsets
    rows = np.rint(y).astype(np.int64)[:, None] + offsets
    dx, dy = (columns - x[:, None])[:, None, :], (rows - y[:, None])[:, :, None]
    xx, yy = blobs.xx[chosen] + PIXEL_VARIANCE, blobs.yy[chosen] + PIXEL_VARIANCE
    xy = blobs.xy[chosen]
    det = xx * yy - xy**2
    a, b, c = ((v / det)[:, None, None] for v in (yy, xy, xx))
    light = np.exp(-0.5 * (a * dx**2 - 2 * b * dx * dy + c * dy**2))
    light *= (blobs.flux[chosen] / (2 * np.pi * np.sqrt(det)))[:, None, None]
    on_image = ((rows >= 0) & (rows < height))[:, :, None]
    on_image = on_image & ((columns >= 0) & (columns < width))[:, None, :]
    index = rows[:, :, None] * width + columns[:, None, :]
    image += np.bincount(index[on_image], weights=light[on_image], minlength=image.size)


def psf_radius(sigma_px: float, share: float = 0.95) -> float:
    """Return the radius in px that holds `share` of a point source's light."""
    radii = np.linspace(0.0, 8.0 * np.hypot(sigma_px, WING_SIGMA_PX), 2000)
    held = np.zeros_like(radii)
    for weight, extra in ((1 - WING_SHARE, 0.0), (WING_SHARE, WING_SIGMA_PX**2)):
        variance = sigma_px**2 + extra + PIXEL_VARIANCE
        held += weight * (1 - np.exp(-(radii**2) / (2 * variance)))
    return float(np.interp(share, held, radii))
