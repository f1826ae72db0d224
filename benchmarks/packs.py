"""Samples a second into packs: our writer, a file for each array, MosaicML's MDS, one raw file."""

from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from astrid_training.packs import PackWriter
from astrid_training.store import Store
from benchmarks.peers import mosaic
from benchmarks.rows import Row, at_least, not_installed
from benchmarks.timing import interleave

SAMPLES = 1024
SIDE = 72

Images = NDArray[np.float32]
Masks = NDArray[np.uint8]


def ours(folder: Path, images: Images, masks: Masks) -> None:
    """Fill and store one pack of images and one of masks, hashed on the way."""
    store = Store(folder.as_uri())
    for kind, arrays in (("images", images), ("masks", masks)):
        writer = PackWriter(len(arrays), arrays.shape[1:], arrays.dtype)
        for row, one in zip(writer.rows, arrays, strict=True):
            row[...] = one
        writer.store(store, kind, len(arrays))


def files(folder: Path, images: Images, masks: Masks) -> None:
    """Write two `.npy` for each sample."""
    folder.mkdir()
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        np.save(folder / f"{number}.npy", image)
        np.save(folder / f"{number}-mask.npy", mask)


def shards(folder: Path, images: Images, masks: Masks) -> None:
    """Write MDS shards of 64 MiB."""
    writer = mosaic("streaming.base.format.mds.writer")
    if writer is None:
        raise LookupError
    shape = ",".join(map(str, images.shape[1:]))
    columns = {"image": f"ndarray:float32:{shape}", "mask": f"ndarray:uint8:{SIDE},{SIDE}"}
    with writer.MDSWriter(out=str(folder), columns=columns, size_limit=1 << 26) as out:
        for image, mask in zip(images, masks, strict=True):
            out.write({"image": image, "mask": mask})


def raw(folder: Path, images: Images, masks: Masks) -> None:
    """Write all bytes to one file: the limit."""
    folder.mkdir()
    with (folder / "raw").open("wb") as stream:
        stream.write(images.data)
        stream.write(masks.data)


def report() -> list[Row]:
    """Return the rows of the table of results."""
    rng = np.random.default_rng(5)
    images = rng.standard_normal((SAMPLES, 3, SIDE, SIDE), np.float32)
    masks = (rng.random((SAMPLES, SIDE, SIDE)) > 0.98).astype(np.uint8)
    sides = {"packs": ours, "npy per sample": files, "raw file": raw}
    if mosaic("streaming.base.format.mds.writer") is not None:
        sides["MosaicML MDS"] = shards
    numbers = count()
    with TemporaryDirectory() as name:

        def run(side: str) -> None:
            sides[side](Path(name) / str(next(numbers)), images, masks)

        times = interleave({side: partial(run, side) for side in sides})
    rate = {side: SAMPLES / timing.wall_s for side, timing in times.items()}
    shown = f"{rate['packs']:,.0f} samples/s of wall"
    rows = [
        Row(
            f"packs of {SAMPLES} stamps and masks written, hashed",
            shown,
            f"raw file {rate['raw file']:,.0f}",
            rate["packs"] / rate["raw file"],
        )
    ]
    for peer, wanted in (("npy per sample", 8.0), ("MosaicML MDS", 5.0)):
        if peer not in rate:
            rows.append(Row(f"packs beside {peer}", shown, not_installed(peer)))
            continue
        gain = rate["packs"] / rate[peer]
        row = Row(
            f"packs beside {peer}", shown, f"{peer} {rate[peer]:,.0f}", gain, at_least(gain, wanted)
        )
        rows.append(row)
    return rows
