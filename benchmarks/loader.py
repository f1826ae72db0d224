"""Shuffled batches a second: from packs as they lie, from one copy, with turns; peers; the bare copy."""

import json
from collections.abc import Callable
from functools import partial
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
from astrid_training.dataset import AstrIDTrainingDataset
from astrid_training.digests import sample_key
from astrid_training.items import Sample
from astrid_training.local_cache import LocalCache
from astrid_training.pack_parts import PackReader
from astrid_training.packs import put_array
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset
from astrid_training.store import Store
from astrid_training.stored_pixels import open_pixels
from benchmarks.peers import mosaic
from benchmarks.rows import Row, at_least, not_installed
from benchmarks.timing import interleave

SAMPLES = 8192
PEER_SAMPLES = 2048
BATCH = 256
SIDE = 64


class OneByOne(Dataset[Sample]):
    """The same samples, asked for one at a time."""

    def __init__(self, whole: AstrIDTrainingDataset) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, index: int) -> Sample:
        return self._whole[index]


class Files(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """A `.npy` for each image and each mask."""

    def __init__(self, folder: Path, count: int) -> None:
        rng = np.random.default_rng(3)
        self._paths = [(folder / f"{n}.npy", folder / f"{n}-mask.npy") for n in range(count)]
        for image, mask in self._paths:
            np.save(image, rng.standard_normal((1, SIDE, SIDE), np.float32))
            np.save(mask, (rng.random((1, SIDE, SIDE)) > 0.98).astype(np.uint8))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self._paths[index]
        return torch.from_numpy(np.load(image)), torch.from_numpy(np.load(mask))


class Shards(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """MosaicML's MDS shards, read at random."""

    def __init__(self, folder: Path, count: int) -> None:
        writer, reader = (mosaic(f"streaming.base.format.mds.{part}") for part in WRITER_READER)
        if writer is None or reader is None:
            raise LookupError
        columns = {
            "image": f"ndarray:float32:1,{SIDE},{SIDE}",
            "mask": f"ndarray:uint8:1,{SIDE},{SIDE}",
        }
        rng = np.random.default_rng(3)
        with writer.MDSWriter(out=str(folder), columns=columns, size_limit=1 << 26) as out:
            for _ in range(count):
                image = rng.standard_normal((1, SIDE, SIDE), np.float32)
                mask = (rng.random((1, SIDE, SIDE)) > 0.98).astype(np.uint8)
                out.write({"image": image, "mask": mask})
        index = json.loads((folder / "index.json").read_text())["shards"]
        self._shards = [reader.MDSReader.from_json(str(folder), None, one) for one in index]
        sizes = [len(shard) for shard in self._shards]
        self._at = [(s, n) for s, size in enumerate(sizes) for n in range(size)]

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        shard, row = self._at[index]
        item = self._shards[shard][row]
        return torch.from_numpy(item["image"].copy()), torch.from_numpy(item["mask"].copy())


WRITER_READER = ("writer", "reader")


def make_dataset(
    folder: Path,
    pack: int,
    stored: tuple[Any, ...] = ("difference",),
    *,
    in_place: bool | None = None,
    augmentation: Augmentation | None = None,
) -> AstrIDTrainingDataset:
    """Write packs of noise and return them as a dataset of the difference alone."""
    spec, rng = PreprocessSpec(channels=stored), np.random.default_rng(1)
    store = Store(folder.as_uri())
    side = spec.padded_size
    rows = []
    for start in range(0, SAMPLES, pack):
        count = min(pack, SAMPLES - start)
        stamps = rng.standard_normal((count, len(stored), side, side), np.float32)
        images = put_array(store, "images", stamps)
        drawn = (rng.random((count, side, side)) > 0.98).astype(np.uint8)
        masks = put_array(store, "masks", drawn)
        rows += [(sample_key("det", str(start + n)), images, n, masks, n) for n in range(count)]
    table = _table(rows)
    reader = PackReader(store, spec, ("difference",))
    pixels = open_pixels(reader, table, LocalCache(folder / "cache"), in_place=in_place)
    return AstrIDTrainingDataset(
        _record(spec), "train", table, pixels, ("difference",), augmentation
    )


def _table(rows: list[tuple[str, str, int, str, int]]) -> pa.Table:
    keys, images, image_rows, masks, mask_rows = zip(*rows, strict=True)
    count = len(rows)
    return pa.table(
        {
            "sample_key": keys,
            "image_pack": images,
            "image_row": pa.array(image_rows, pa.int32()),
            "mask_pack": masks,
            "mask_row": pa.array(mask_rows, pa.int32()),
            "is_anomaly": [n % 2 == 0 for n in range(count)],
            "anomaly_type": ["supernova" if n % 2 == 0 else "artifact" for n in range(count)],
            "weight": np.ones(count),
            "survey": ["ztf"] * count,
            "pixel_scale": np.ones(count),
            "fwhm_px": np.full(count, 2.2),
            "zero_point": np.full(count, 26.0),
        }
    )


def _record(spec: PreprocessSpec) -> TrainingDataset:
    """Return a dataset's row with what the loader reads of it."""
    values: dict[str, Any] = dict.fromkeys(TrainingDataset.__dataclass_fields__)
    values |= {"id": UUID(int=1), "name": "bench", "preprocess_spec": spec.model_dump(mode="json")}
    return TrainingDataset(**values)


def drain(of: Dataset[Any]) -> None:
    """Take one epoch of shuffled batches."""
    for _ in DataLoader(of, BATCH, shuffle=True):
        pass


def copier() -> Callable[[], None]:
    """Return the limit: shuffled rows of one array in memory, batch by batch."""
    source: NDArray[np.float32] = np.ones((SAMPLES, SIDE, SIDE), np.float32)
    order = np.random.default_rng(2).permutation(SAMPLES)

    def copy() -> None:
        for start in range(0, SAMPLES, BATCH):
            source[order[start : start + BATCH]]

    return copy


def report() -> list[Row]:
    """Return the rows of the table of results."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        turned = Augmentation(d4=True)
        whole = make_dataset(folder / "copy", 1024, in_place=False)
        sets: dict[str, Dataset[Any]] = {
            "one copy": whole,
            "8 packs as they lie": make_dataset(folder / "few", 1024, in_place=True),
            "200 packs": make_dataset(folder / "many", 41),
            "1 of 3 stored channels, 8 packs": make_dataset(
                folder / "three", 1024, ("science", "reference", "difference")
            ),
            "with turns and flips": make_dataset(
                folder / "turned", 1024, in_place=False, augmentation=turned
            ),
        }
        sets["items"] = OneByOne(whole)
        sides = {name: partial(drain, one) for name, one in sets.items()}
        times = interleave({**sides, "copy": copier()})
        rate = {name: SAMPLES / timing.cpu_s for name, timing in times.items()}
        return [*_rows(rate), *_peers(folder, rate["one copy"])]


def _rows(rate: dict[str, float]) -> list[Row]:
    goals = {
        "one copy": 0.5,
        "200 packs": 0.4,
        "1 of 3 stored channels, 8 packs": 0.7,
        "with turns and flips": 0.2,
    }
    rows = []
    for name in rate.keys() - {"items", "copy"}:
        share = rate[name] / rate["copy"]
        goal = at_least(share, goals[name]) if name in goals else None
        what, ours = f"loader, batch {BATCH}, shuffled, {name}", f"{rate[name]:,.0f} samples/CPU-s"
        rows.append(Row(what, ours, f"copy {rate['copy']:,.0f}", share, goal))
    gain = rate["one copy"] / rate["items"]
    rows.sort(key=lambda row: row.name)
    shown = f"{rate['one copy']:,.0f} samples/CPU-s"
    peer = f"item by item, default collate {rate['items']:,.0f}"
    return [*rows, Row("loader, batches at once", shown, peer, gain, at_least(gain, 3.5))]


def _peers(folder: Path, ours: float) -> list[Row]:
    rows, shown = [], f"{ours:,.0f} samples/CPU-s"
    for name, make, wanted in (("MosaicML MDS", Shards, 10.0), ("npy per sample", Files, 20.0)):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        try:
            peer = make(place, PEER_SAMPLES)
        except LookupError:
            rows.append(Row(f"loader beside {name}", shown, not_installed(name)))
            continue
        took = interleave({name: partial(drain, peer)}, rounds=3)[name].cpu_s
        theirs = PEER_SAMPLES / took
        gain = at_least(ours / theirs, wanted)
        rows.append(
            Row(f"loader beside {name}", shown, f"{name} {theirs:,.0f}", ours / theirs, gain)
        )
    return rows
