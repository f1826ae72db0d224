"""Disks round targets on their differences, those of an exposure at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.stamps import centre_pixel

__all__ = ["Apertures", "apertures", "sums"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Apertures:
    """The valid pixels of n disks, in boxes (n, y, x) of one side."""

    x: Floats
    """(n, 1, side): columns of the image."""
    y: Floats
    """(n, side, 1): rows."""
    values: Floats
    """(n, side, side): 0 outside the disk and where missing."""
    noise: Floats
    """(n,): of one pixel."""
    snr: Floats
    """(n,): |sum| over its noise; NaN where a disk has no valid pixel."""
    polarity: Floats
    """(n,): +1 where the source brightened, -1 where it faded."""

    def light(self) -> Floats:
        """Return by how much each value stands out from the noise in its source's direction."""
        stands_out = self.polarity[:, None, None] * self.values - self.noise[:, None, None]
        return np.maximum(stands_out, 0, out=stands_out)


def apertures(
    images: NDArray[np.float32], x: Floats, y: Floats, radius: float, noise: Floats
) -> Apertures:
    """Return the valid pixels within `radius` of (x, y) on each image.

    Args:
        images: (n, height, width), NaN = missing.
        x: (n,) 0-based columns; NaN or far outside for no pixel.
        y: (n,) rows.
        radius: pixels.
        noise: (n,) of one pixel, same units as `images`; where it is not above 0 the disk is empty.
    """
    steps = np.arange(-int(radius + 0.5), int(radius + 0.5) + 1)
    usable = np.isfinite(x) & np.isfinite(y) & (noise > 0)
    x, y, noise = (np.where(usable, one, 1.0) for one in (x, y, noise))
    columns, rows = centre_pixel(x)[:, None] + steps, centre_pixel(y)[:, None] + steps
    near = (columns - x[:, None])[:, None, :] ** 2 + (rows - y[:, None])[:, :, None] ** 2
    inside = (near <= radius**2) & usable[:, None, None]
    height, width = images.shape[1:]
    inside &= ((columns >= 0) & (columns < width))[:, None, :]
    inside &= ((rows >= 0) & (rows < height))[:, :, None]
    image = np.arange(len(images))[:, None, None]
    at = np.clip(rows, 0, height - 1)[:, :, None], np.clip(columns, 0, width - 1)[:, None, :]
    boxes = images[image, *at].astype(np.float64)
    inside &= ~np.isnan(boxes)
    values = np.where(inside, boxes, 0.0)
    total, count = sums(values), inside.sum(axis=(1, 2))
    snr = np.where(count > 0, np.abs(total) / (noise * np.sqrt(np.maximum(count, 1))), np.nan)
    polarity = np.where(total >= 0, 1.0, -1.0)
    across, down = columns[:, None, :].astype(np.float64), rows[:, :, None].astype(np.float64)
    return Apertures(across, down, values, noise, snr, polarity)


def sums(boxes: Floats) -> Floats:
    """Return the sum of each box (n, y, x), added up in an order that no processor changes."""
    count, height, width = boxes.shape
    total: Floats = boxes.reshape(count, height * width).sum(axis=1)
    return total
