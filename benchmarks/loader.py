"""Shuffled batches a second from packs: the batch fetch, item by item, and the bare copy."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset

from astrid_training.dataset import AstrIDTrainingDataset, Sample
from astrid_training.digests import sample_key
from astrid_training.packs import PackCache, put_array
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset
from astrid_training.store import Store
from benchmarks.timing import interleave

SAMPLES = 8192
PACK = 1024
BATCH = 256


class OneByOne(Dataset[Sample]):
    """The same samples, asked for one at a time."""

    def __init__(self, whole: AstrIDTrainingDataset) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole)

    def __getitem__(self, index: int) -> Sample:
        return self._whole[index]


def make_dataset(folder: Path) -> AstrIDTrainingDataset:
    """Write packs of noise and return them as a dataset."""
    spec, rng = PreprocessSpec(), np.random.default_rng(1)
    store = Store(folder.as_uri())
    side = spec.padded_size
    rows = []
    for start in range(0, SAMPLES, PACK):
        images = put_array(
            store, "images", rng.normal(0, 1, (PACK, 3, side, side)).astype(np.float32)
        )
        drawn = (rng.random((PACK, side, side)) > 0.98).astype(np.uint8)
        drawn[0, 0, 0] = start % 251  # or equal packs would be one object
        masks = put_array(store, "masks", drawn)
        rows += [(sample_key("det", str(start + n)), images, n, masks, n) for n in range(PACK)]
    columns = list(zip(*rows, strict=True))
    table = pa.table(
        {
            "sample_key": columns[0],
            "image_pack": columns[1],
            "image_row": pa.array(columns[2], pa.int32()),
            "mask_pack": columns[3],
            "mask_row": pa.array(columns[4], pa.int32()),
            "is_anomaly": [n % 2 == 0 for n in range(SAMPLES)],
            "anomaly_type": ["supernova" if n % 2 == 0 else "artifact" for n in range(SAMPLES)],
            "weight": np.ones(SAMPLES),
        }
    )
    record = _record(spec)
    return AstrIDTrainingDataset(
        record, "train", table, PackCache(store, folder / "cache"), ("difference",)
    )


def _record(spec: PreprocessSpec) -> TrainingDataset:
    """Return a dataset's row with what the loader reads of it."""
    values: dict[str, Any] = dict.fromkeys(TrainingDataset.__dataclass_fields__)
    values |= {"id": UUID(int=1), "name": "bench", "preprocess_spec": spec.model_dump(mode="json")}
    return TrainingDataset(**values)


def report() -> list[str]:
    """Return the lines of the table of results."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        dataset = make_dataset(Path(folder))
        side = dataset.spec.stamp_size
        source = np.ones((SAMPLES, side, side), np.float32)
        order = np.random.default_rng(2).permutation(SAMPLES)

        def drain(of: Dataset[Sample]) -> None:
            for _ in DataLoader(of, BATCH, shuffle=True):
                pass

        def copy() -> None:
            for start in range(0, SAMPLES, BATCH):
                source[order[start : start + BATCH]]

        times = interleave(
            {
                "batches": lambda: drain(dataset),
                "items": lambda: drain(OneByOne(dataset)),
                "copy": copy,
            }
        )
    rate = {name: SAMPLES / timing.cpu_s for name, timing in times.items()}
    return [
        (
            f"| loader, batch {BATCH}, shuffled, packs of {PACK} | {rate['batches']:,.0f} samples/CPU-s "
            f"| copy {rate['copy']:,.0f} | {rate['batches'] / rate['copy']:.2f} |"
        ),
        (
            f"| the same item by item with the default collate | {rate['items']:,.0f} samples/CPU-s "
            f"| the row above | {rate['items'] / rate['batches']:.2f} |"
        ),
    ]
