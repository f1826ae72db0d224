"""Samples written as packs, beside a file per array and MosaicML's shards; packs looked up or read.

A sample is what a training needs of it: a stamp (3, 72, 72) float32 and a mask (72, 72) uint8. Our
side makes the packs, hashes them and stores them; no other side hashes anything.
"""

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from astrid_training.packs import PackWriter, pack_key, put_array
from astrid_training.presence import problems
from astrid_training.store import Store
from benchmarks.database import database
from benchmarks.peers import mosaic
from benchmarks.rows import Row, at_least, not_installed
from benchmarks.timing import ROUNDS

SAMPLES = 512
PACKS = 200
Images = NDArray[np.float32]
Masks = NDArray[np.uint8]
Write = Callable[[Path, Images, Masks], None]


def write_packs(folder: Path, images: Images, masks: Masks) -> None:
    """Fill two packs row by row, as the build does, and store them under their digests."""
    store = Store(f"file://{folder}")
    for kind, rows in (("images", images), ("masks", masks)):
        pack = PackWriter(len(rows), rows.shape[1:], rows.dtype)
        for number, row in enumerate(rows):
            pack.rows[number] = row
        pack.store(store, kind)


def write_raw(folder: Path, images: Images, masks: Masks) -> None:
    """Write the bytes and nothing else: the physical limit."""
    for name, rows in (("images", images), ("masks", masks)):
        (folder / name).write_bytes(rows.data)


def write_npy(folder: Path, images: Images, masks: Masks) -> None:
    """Write a file per array of each sample."""
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        np.save(folder / f"{number}.npy", image)
        np.save(folder / f"{number}_mask.npy", mask)


def mds_writer() -> Write | None:
    """Return what writes MosaicML's shards, or None where that is not installed."""
    writer = mosaic("streaming.base.format.mds.writer")
    if writer is None:
        return None
    columns = {"image": "ndarray:float32:3,72,72", "mask": "ndarray:uint8:72,72"}

    def write(folder: Path, images: Images, masks: Masks) -> None:
        with writer.MDSWriter(out=str(folder / "mds"), columns=columns) as out:
            for image, mask in zip(images, masks, strict=True):
                out.write({"image": image, "mask": mask})

    return write


def time_writing(sides: dict[str, Write]) -> dict[str, float]:
    """Return the CPU seconds of each side; what a round wrote is removed before the next."""
    rng = np.random.default_rng(5)
    images = rng.normal(0, 1, (SAMPLES, 3, 72, 72)).astype(np.float32)
    masks = rng.integers(0, 2, (SAMPLES, 72, 72), np.uint8)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    with TemporaryDirectory() as place:
        for _ in range(1 + ROUNDS):
            for name, write in sides.items():
                folder = Path(place) / "round"
                folder.mkdir()
                start = time.process_time()
                write(folder, images, masks)
                taken[name].append(time.process_time() - start)
                shutil.rmtree(folder)  # so that its memory is the next side's page cache
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def time_looking() -> tuple[float, float]:
    """Return wall seconds of asking for many packs: the first time, hashed, and the second time."""
    with TemporaryDirectory() as folder, database() as engine:
        store = Store(f"file://{folder}")
        pack = np.zeros((SAMPLES, 3, 72, 72), np.uint8)
        keys = []
        for number in range(PACKS):
            pack[0] = number
            keys.append(pack_key("images", put_array(store, "images", pack)))
        taken = []
        for _ in range(2):
            start = time.perf_counter()
            if problems(engine, store, keys):
                raise AssertionError("a pack that was just written is not whole")
            taken.append(time.perf_counter() - start)
    return taken[0], taken[1]


WHY_MISSED = """
BLAKE2b over the bytes is 70 % of our side; neither npy per sample nor MDS names what it writes by
its content. Without it the ratios would be about 7.6 and 4.3. The digest is what makes packs immutable, found
again and verified, and is part of the format.
"""


def report() -> list[Row]:
    """Return the rows of the table of results."""
    sides: dict[str, Write] = {"ours": write_packs, "raw": write_raw, "npy": write_npy}
    mds = mds_writer()
    took = time_writing({**sides, "mds": mds} if mds else sides)
    ours = f"{SAMPLES / took['ours']:,.0f} samples/CPU-s"
    name = f"{SAMPLES} samples written, hashed and stored"
    rows = [
        Row(
            name,
            ours,
            f"bytes alone {SAMPLES / took['raw']:,.0f}",
            took["raw"] / took["ours"],
        )
    ]
    for peer, side, wanted in (("npy per sample", "npy", 8), ("MosaicML MDS", "mds", 5)):
        if side not in took:
            rows.append(Row(name, ours, not_installed("mosaicml-streaming")))
            continue
        gain = took[side] / took["ours"]
        rate = f"{peer} {SAMPLES / took[side]:,.0f}"
        rows.append(Row(name, ours, rate, gain, at_least(gain, wanted)))
    hashed, looked_up = time_looking()
    size = f"{PACKS} packs, {PACKS * SAMPLES * 3 * 72 * 72 / 1e9:.1f} GB"
    rows.append(
        Row(
            f"{size}, asked for again",
            f"{looked_up * 1e3:.0f} ms wall",
            f"the first time, hashed: {hashed * 1e3:,.0f}",
            hashed / looked_up,
        )
    )
    return rows
