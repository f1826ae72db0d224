"""Stamps as pictures: the channels side by side, the mask drawn over the difference."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.samples import class_names

__all__ = ["BOGUS_COLOUR", "IGNORE_COLOUR", "TARGET_COLOUR", "Stamp", "choose", "draw", "pictures"]

TARGET_COLOUR = "#e69f00"  # the three are of Okabe and Ito's palette, which all eyes tell apart
BOGUS_COLOUR = "#56b4e9"
IGNORE_COLOUR = "#cc79a7"
TARGET, BOGUS, IGNORE = 1, 2, 255  # codes of a stored mask

ZOOM = 3  # screen pixels per stamp pixel, so that an outline is thinner than a pixel of the stamp
GAP = 6  # screen pixels between channels
STRIPES = 6  # screen pixels from one stripe of an ignored area to the next

GREYS = 252
OVER = [TARGET_COLOUR, BOGUS_COLOUR, IGNORE_COLOUR]
CLEAR = np.uint8(255)
PALETTE = bytes(round(255 * level / (GREYS - 1)) for level in range(GREYS) for _ in range(3))
PALETTE += b"".join(bytes.fromhex(colour[1:]) for colour in OVER) + bytes(3)
Colours = NDArray[np.uint8]
"""(y, x): places in the palette, which makes a picture half as large as one of red, green and blue."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One sample's picture and what stands under it."""

    sample_key: str
    split: str
    name: str
    """Its class."""
    is_anomaly: bool
    confidence: float
    png: bytes


def choose(samples: pa.Table, per_group: int) -> pa.Table:
    """Return the first samples, by sample_key, of each class in each split, in that order.

    Args:
        samples: the samples table.
        per_group: how many of each.
    """
    names = pa.array(class_names(samples), pa.string())
    keys = samples.select(["is_anomaly", "split", "sample_key"]).append_column("class_name", names)
    order = [
        ("is_anomaly", "descending"),
        *((name, "ascending") for name in ("class_name", "split", "sample_key")),
    ]
    rows = pc.sort_indices(keys, order)
    keys = keys.take(rows)
    groups = zip(keys["class_name"].to_pylist(), keys["split"].to_pylist(), strict=True)
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for row, group in zip(rows.to_pylist(), groups, strict=True):
        seen[group] += 1
        if seen[group] <= per_group:
            kept.append(row)
    return samples.take(pa.array(kept, pa.int64()))


def pictures(chosen: pa.Table, packs: PackCache, spec: PreprocessSpec) -> list[Stamp]:
    """Return the pictures of all rows, in order.

    Args:
        chosen: rows of the samples table.
        packs: where their stamps and masks are.
        spec: how their pixels were made.
    """
    inner = slice(spec.margin, spec.margin + spec.stamp_size)
    names = class_names(chosen)
    return [
        Stamp(
            row["sample_key"],
            row["split"],
            name,
            row["is_anomaly"],
            row["confidence"],
            draw(
                packs.open("images", row["image_pack"])[row["image_row"], :, inner, inner],
                packs.open("masks", row["mask_pack"])[row["mask_row"], inner, inner],
                spec.channels,
                asinh=spec.scale == "asinh",
            ),
        )
        for row, name in zip(chosen.to_pylist(), names, strict=True)
    ]


def draw(
    image: NDArray[np.float32], mask: NDArray[np.uint8], channels: Sequence[str], *, asinh: bool
) -> bytes:
    """Return a PNG of one sample, its channels from left to right, rows growing upwards.

    Args:
        image: (channel, y, x), scaled pixels.
        mask: (y, x), codes of a stored mask.
        channels: the names of the image's channels; the mask goes over `difference`, else over
            the last.
        asinh: the pixels are noise levels on an asinh scale, so that one range of greys suits all
            stamps; else each channel has the range of its own pixels.
    """
    over = channels.index("difference") if "difference" in channels else len(channels) - 1
    panels = []
    for number, (name, pixels) in enumerate(zip(channels, image, strict=True)):
        panel = _grey(pixels, name, asinh=asinh)
        panels.append(_overlaid(panel, mask) if number == over else panel)
    gap = np.full((panels[0].shape[0], GAP), CLEAR)  # see-through, for light and dark pages
    spaced = [part for panel in panels for part in (gap, panel)][1:]
    picture = Image.fromarray(np.hstack(spaced)[::-1])
    picture.putpalette(PALETTE)
    buffer = io.BytesIO()
    picture.save(
        buffer, format="png", transparency=int(CLEAR), compress_level=3
    )  # noise hardly shrinks further
    return buffer.getvalue()


def _grey(pixels: NDArray[np.float32], channel: str, *, asinh: bool) -> Colours:
    low, high = -1.0, 4.0
    if not asinh:
        pixels = _stretched(pixels, channel)
        low, high = _range(pixels)
    if channel == "difference":
        high = 3.0 if asinh else max(abs(low), abs(high))
        low = -high  # grey is zero: what brightened is light, what faded is dark
    level = np.clip((pixels - low) / (high - low), 0, 1)
    grey: Colours = np.kron(
        np.rint((GREYS - 1) * level).astype(np.uint8), np.ones((ZOOM, ZOOM), np.uint8)
    )
    return grey


def _stretched(pixels: NDArray[np.float32], channel: str) -> NDArray[np.float32]:
    """Return pixels of any unit on an asinh scale of their own noise, so that faint parts show."""
    middle = np.median(pixels)
    noise = 3 * 1.4826 * np.median(np.abs(pixels - middle)) or 1.0
    zero = 0.0 if channel == "difference" else middle
    stretched: NDArray[np.float32] = np.arcsinh((pixels - zero) / noise)
    return stretched


def _range(pixels: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(pixels, (1, 99.5)).tolist()
    return low, high if high > low else low + 1


def _overlaid(panel: Colours, mask: NDArray[np.uint8]) -> Colours:
    codes = np.kron(mask, np.ones((ZOOM, ZOOM), np.uint8))
    rows, columns = np.indices(codes.shape)
    panel[(codes == IGNORE) & ((rows + columns) % STRIPES < 2)] = GREYS + OVER.index(IGNORE_COLOUR)
    for code, colour in ((BOGUS, BOGUS_COLOUR), (TARGET, TARGET_COLOUR)):
        panel[_outline(codes == code)] = GREYS + OVER.index(colour)
    return panel


def _outline(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a line two screen pixels wide around `area`, which it leaves open to view."""
    grown = area
    for _ in range(2):
        padded = np.pad(grown, 1)
        across = padded[:-2, 1:-1] | padded[2:, 1:-1]
        grown = grown | across | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown & ~area
