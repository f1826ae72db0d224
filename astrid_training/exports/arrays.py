"""Samples as arrays that numpy alone reads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from astrid_training.exports.pixels import PLANES, StoredPixels
from astrid_training.pack_parts import DTYPES

__all__ = ["ARRAYS", "array_bytes", "write_arrays"]

ARRAYS = {
    "images.npy": "(sample, channel, y, x) float32, scaled as the network sees them, missing ones 0",
    "masks.npy": "(sample, y, x) uint8: 0 background, 1 target, 2 footprint of a rejected detection, "
    "255 ignore",
    "flags.npy": "(sample, y, x) uint8, bits: 1 missing, 2 saturated, 4 beyond the edge, 8 cosmic ray, "
    "16 missing in another channel",
    "labels.npy": "(sample,) int64: 1 real, 0 bogus",
    "weights.npy": "(sample,) float32: weight in a loss, 2 x confidence - 1",
    "splits.npy": "(sample,) text: train, val or test",
    "keys.npy": "(sample,) text: lasting name of the sample",
}
"""Files, and what they hold."""


def array_bytes(samples: int, channels: int, side: int) -> int:
    """Return what the pixels of so many samples take."""
    return samples * side * side * (4 * channels + 2)


def write_arrays(
    folder: Path, samples: pa.Table, pixels: StoredPixels, channels: int, step: Callable[[], None]
) -> None:
    """Write the files of `ARRAYS`, rows in the table's order, without holding the pixels in memory.

    Args:
        folder: where they go.
        samples: of the samples table.
        pixels: of the samples.
        channels: how many images a sample has.
        step: called after each of the three arrays of pixels.
    """
    count, side = samples.num_rows, pixels.side
    for plane in PLANES:
        inner = (channels, side, side) if plane.kind == "images" else (side, side)
        out = np.lib.format.open_memmap(
            folder / f"{plane.kind}.npy", "w+", DTYPES[plane.kind], (count, *inner)
        )
        pixels.fill(samples, plane, out)
        out.flush()
        step()
    np.save(folder / "labels.npy", samples["is_anomaly"].to_numpy().astype(np.int64))
    np.save(folder / "weights.npy", samples["weight"].to_numpy().astype(np.float32))
    for name, column in (("splits.npy", "split"), ("keys.npy", "sample_key")):
        np.save(folder / name, np.array(samples[column].to_pylist(), dtype=np.str_))
