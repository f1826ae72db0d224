"""Shuffled batches a second: a copy, packs as they lie, turned, one channel, and other ways to store samples."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from astrid_training.augment import Augmentation
from astrid_training.dataset import AstrIDTrainingDataset, Sample
from astrid_training.digests import sample_key
from astrid_training.local_cache import LocalCache
from astrid_training.pack_parts import LoadedChannel, PackReader
from astrid_training.packs import put_array
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset
from astrid_training.store import Store
from astrid_training.stored_pixels import open_pixels
from benchmarks.peers import mosaic
from benchmarks.rows import Row, at_least, not_installed
from benchmarks.timing import interleave

SAMPLES = 4000
MANY_PACKS = 200
SMALL = 500
"""Samples stored one by one, and with MosaicML's streaming: those are slow to read."""
BATCH = 256
CHANNELS: tuple[LoadedChannel, ...] = ("science", "reference", "difference")


class OneByOne(Dataset[Sample]):
    """The same samples, asked for one at a time."""

    def __init__(self, whole: AstrIDTrainingDataset) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, index: int) -> Sample:
        return self._whole[index]


class Sets:
    """Samples of noise in packs, and datasets that read them."""

    def __init__(self, folder: Path) -> None:
        self.spec = PreprocessSpec()
        self._store = Store((folder / "store").as_uri())
        self._cache = LocalCache(folder / "cache")
        self._table = _table(self._store, self.spec)

    def open(
        self,
        channels: tuple[LoadedChannel, ...] = CHANNELS,
        *,
        in_place: bool = False,
        augmentation: Augmentation | None = None,
    ) -> AstrIDTrainingDataset:
        """Return all samples as one split."""
        reader = PackReader(self._store, self.spec, channels)
        pixels = open_pixels(reader, self._table, self._cache, in_place=in_place)
        record = _record(self.spec)
        return AstrIDTrainingDataset(record, "train", self._table, pixels, channels, augmentation)


def _table(store: Store, spec: PreprocessSpec) -> pa.Table:
    """Write packs of noise; return the rows of the samples table that the loader reads."""
    rng, side, size = np.random.default_rng(1), spec.padded_size, SAMPLES // MANY_PACKS
    packs = []
    for _ in range(MANY_PACKS):
        images = rng.standard_normal((size, len(spec.channels), side, side), np.float32)
        masks = (rng.random((size, side, side)) > 0.98).astype(np.uint8)
        packs.append((put_array(store, "images", images), put_array(store, "masks", masks)))
    rows, numbers = np.tile(np.arange(size, dtype=np.int32), MANY_PACKS), range(SAMPLES)
    unknown = np.full(SAMPLES, np.nan)
    return pa.table(
        {
            "sample_key": [sample_key("det", str(number)) for number in numbers],
            "image_pack": [images for images, _ in packs for _ in range(size)],
            "image_row": rows,
            "mask_pack": [masks for _, masks in packs for _ in range(size)],
            "mask_row": rows,
            "is_anomaly": [number % 2 == 0 for number in numbers],
            "anomaly_type": [("supernova", "artifact")[number % 2] for number in numbers],
            "weight": np.ones(SAMPLES),
            "survey": ["bench"] * SAMPLES,
            "pixel_scale": unknown,
            "fwhm_px": unknown,
            "zero_point": unknown,
        }
    )


def _record(spec: PreprocessSpec) -> TrainingDataset:
    """Return a dataset's row with what the loader reads of it."""
    values: dict[str, Any] = dict.fromkeys(TrainingDataset.__dataclass_fields__)
    values |= {"id": UUID(int=1), "name": "bench", "preprocess_spec": spec.model_dump(mode="json")}
    return TrainingDataset(**values)


def _drain(of: Dataset[Sample]) -> None:
    for _ in DataLoader(of, BATCH, shuffle=True):
        pass


def _copy(planes: int, side: int) -> Callable[[], None]:
    """Return the bare gather of as many images and masks as an epoch has: the limit."""
    images = np.ones((SAMPLES, planes, side, side), np.float32)
    masks = np.ones((SAMPLES, 1, side, side), np.uint8)
    order = np.random.default_rng(2).permutation(SAMPLES)

    def run() -> None:
        for start in range(0, SAMPLES, BATCH):
            at = order[start : start + BATCH]
            images[at], masks[at]

    return run


def _one_file_each(folder: Path, samples: list[Sample]) -> Callable[[], None]:
    """Store image and mask of each sample as `.npy` files of their own; return how to read them."""
    folder.mkdir()
    for number, sample in enumerate(samples):
        np.save(folder / f"{number}.image.npy", sample.image.numpy())
        np.save(folder / f"{number}.mask.npy", sample.mask.numpy())

    def read(number: int, what: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(folder / f"{number}.{what}.npy")
        return array

    return lambda: _stacked(lambda number: (read(number, "image"), read(number, "mask")))


def _mds(folder: Path, samples: list[Sample]) -> Callable[[], None] | None:
    """Store the samples as one MDS shard; return how to read them, None without the peer."""
    writing = mosaic("streaming.base.format.mds.writer")
    reading = mosaic("streaming.base.format.mds.reader")
    if writing is None or reading is None:
        return None
    columns = {"image": "ndarray", "mask": "ndarray"}
    with writing.MDSWriter(out=str(folder), columns=columns, size_limit=None) as writer:
        for sample in samples:
            writer.write({"image": sample.image.numpy(), "mask": sample.mask.numpy()})
    (shard,) = json.loads((folder / "index.json").read_text(encoding="utf-8"))["shards"]
    reader = reading.MDSReader.from_json(str(folder), None, shard)

    def read(number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        stored = reader[number]
        return stored["image"], stored["mask"]

    return lambda: _stacked(read)


def _stacked(read: Callable[[int], tuple[NDArray[Any], NDArray[Any]]]) -> None:
    """Read all samples in a shuffled order and stack them to batches."""
    order = np.random.default_rng(2).permutation(SMALL).tolist()
    for start in range(0, SMALL, BATCH):
        images, masks = zip(*map(read, order[start : start + BATCH]), strict=True)
        torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks))


def _rates(folder: Path) -> dict[str, float]:
    """Return samples a CPU-second of each way."""
    sets = Sets(folder)
    whole, side = sets.open(), sets.spec.stamp_size
    single = sets.open(("difference",))
    packs = sets.open(in_place=True)
    turned = sets.open(augmentation=Augmentation(seed=1))
    small = [whole[number] for number in range(SMALL)]
    sides: dict[str, Callable[[], None]] = {
        "copy": _copy(len(CHANNELS), side),
        "copy of one": _copy(1, side),
        "consolidated": lambda: _drain(whole),
        "packs": lambda: _drain(packs),
        "turned": lambda: _drain(turned),
        "one channel": lambda: _drain(single),
        "items": lambda: _drain(OneByOne(whole)),
        "npy": _one_file_each(folder / "npy", small),
    }
    mds = _mds(folder / "mds", small)
    if mds is not None:
        sides["mds"] = mds
    times = interleave(sides)
    counts = dict.fromkeys(sides, SAMPLES) | dict.fromkeys(("npy", "mds"), SMALL)
    return {name: counts[name] / timing.cpu_s for name, timing in times.items()}


WHY_MISSED = """
A sample's own cost in Python, 2 to 3 us here, weighs more on one channel than on three: the copy of
one takes 1.8 us. Packs in place are read with one more look-up for each sample; beyond 16 packs they
are consolidated unless that is switched off. The shares of MDS and npy follow the memory: the copy
runs at half the speed of the machine that the goals come from, and so do we, while the peers
decode at the speed of the processor.
"""


def report() -> list[Row]:
    """Return the rows of the table of results."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        rate = _rates(Path(folder))

    def row(name: str, ours: str, other: str, told: str, wanted: float) -> Row:
        figure = f"{rate[ours]:,.0f} samples/CPU-s"
        if other not in rate:
            return Row(name, figure, not_installed(told))
        ratio = rate[ours] / rate[other]
        return Row(name, figure, f"{told} {rate[other]:,.0f}", ratio, at_least(ratio, wanted))

    head = f"loader, batch {BATCH}, shuffled"
    three, one = "3 channels", "1 of 3 channels"
    return [
        row(f"{head}, consolidated, {three}", "consolidated", "copy", "copy", 0.5),
        row(f"{head}, {MANY_PACKS} packs in place, {three}", "packs", "copy", "copy", 0.4),
        row(f"{head}, D4, consolidated, {three}", "turned", "copy", "copy", 0.2),
        row(f"{head}, consolidated, {one}", "one channel", "copy of one", "copy of it", 0.7),
        row(f"{head}, consolidated", "consolidated", "items", "item by item", 3.5),
        row(f"{head}, consolidated", "consolidated", "mds", "MosaicML MDS", 10),
        row(f"{head}, consolidated", "consolidated", "npy", "npy per sample", 20),
    ]
