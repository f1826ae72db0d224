"""A published dataset as torch datasets: stamps and masks from memory-mapped local files.

Once built, a dataset needs neither database nor store, so it works in any DataLoader worker.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data._utils.collate import default_collate_fn_map

from astrid_training.catalogue import get_dataset
from astrid_training.database import open_database
from astrid_training.errors import StoreCorruptError
from astrid_training.packs import FORMAT_VERSION, PackCache, pack_key
from astrid_training.params import Channel, PreprocessSpec
from astrid_training.processors import recipe_of
from astrid_training.records import TrainingDataset
from astrid_training.samples import SPLITS, class_names, read_samples
from astrid_training.settings import Settings, resolve
from astrid_training.store import Store, open_store

__all__ = [
    "AstrIDTrainingDataset",
    "Batch",
    "Sample",
    "Stacked",
    "TrainingSplits",
    "collate",
    "load_training_dataset",
    "splits_from",
]

BOGUS_FOOTPRINT = 2  # code of a rejected detection's pixels; to a network they are background
_DTYPES = {"images": np.dtype(np.float32), "masks": np.dtype(np.uint8)}


class Sample(NamedTuple):
    """One item of a dataset; unpacks as image, mask, label, weight, key."""

    image: Tensor
    """(channel, y, x) float32, scaled as the dataset's PreprocessSpec says, missing pixels 0."""
    mask: Tensor
    """(1, y, x) uint8: 0 background, 1 target, 255 ignore."""
    label: Tensor
    """() int64: 1 real, 0 bogus."""
    weight: Tensor
    """() float32: 2 x label confidence - 1."""
    key: str
    """The sample_key."""


class Batch(NamedTuple):
    """Samples stacked along a leading axis; fields as in `Sample`."""

    image: Tensor
    """(sample, channel, y, x) float32."""
    mask: Tensor
    """(sample, 1, y, x) uint8."""
    label: Tensor
    """(sample,) int64."""
    weight: Tensor
    """(sample,) float32."""
    key: tuple[str, ...]


class Stacked:
    """What `__getitems__` returns: a finished batch that also reads as a sequence of samples."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch.key)

    def __getitem__(self, index: int) -> Sample:
        image, mask, label, weight, key = self.batch
        return Sample(image[index], mask[index], label[index], weight[index], key[index])

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def collate(
    samples: Stacked | Sequence[Sample],
    *,
    collate_fn_map: Any = None,  # noqa: ANN401, ARG001 - torch hands its registry to what is in it
) -> Batch:
    """Return the samples as one batch, without a copy when they are stacked already.

    torch's default collate knows it for `Sample`, so that a plain DataLoader needs no collate_fn.
    """
    if isinstance(samples, Stacked):
        return samples.batch
    images, masks, labels, weights, keys = zip(*samples, strict=True)
    return Batch(
        torch.stack(images), torch.stack(masks), torch.stack(labels), torch.stack(weights), keys
    )


default_collate_fn_map[Sample] = collate


class _Rows:
    """Central squares of rows in several packs; a pack is mapped where it is first read."""

    def __init__(
        self,
        paths: list[Path],
        pack: NDArray[np.int32],
        row: NDArray[np.int32],
        margin: int,
        planes: tuple[int, ...] | None,
    ) -> None:
        self._paths = paths
        self._pack = pack
        self._row = row
        self._margin = margin
        self._planes = planes
        self._views: dict[int, list[NDArray[Any]]] = {}

    def take(self, indices: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Copy the squares of `indices` into `out`, (index, plane, y, x)."""
        packs, rows = self._pack[indices].tolist(), self._row[indices].tolist()
        for slot, (pack, row) in enumerate(zip(packs, rows, strict=True)):
            for plane, view in enumerate(self._views.get(pack) or self._open(pack)):
                out[slot, plane] = view[row]

    def _open(self, pack: int) -> list[NDArray[Any]]:
        # asarray: slicing a memmap object costs more than copying the row
        array = np.asarray(np.load(self._paths[pack], mmap_mode="r", allow_pickle=False))
        inner = slice(self._margin, array.shape[-1] - self._margin)
        planes = [array] if self._planes is None else [array[:, plane] for plane in self._planes]
        self._views[pack] = [plane[:, inner, inner] for plane in planes]
        return self._views[pack]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_views": {}}  # a map does not travel to another process


class AstrIDTrainingDataset(Dataset[Sample]):
    """One split of a published dataset; an item is a `Sample`, several at once are `Stacked`.

    Attributes:
        record: the dataset's row in the database.
        split: train, val or test.
        channels: the image's channels, in order.
        spec: how the pixels were made.
        table: (samples) the split's rows of the samples table, in item order.
        labels: (samples,) int64, 1 real, 0 bogus.
        weights: (samples,) float32, weight in the loss.
        classes: class of each sample, such as supernova or cosmic_ray.
        keys: sample_key of each sample.
    """

    def __init__(
        self,
        record: TrainingDataset,
        split: str,
        table: pa.Table,
        packs: PackCache,
        channels: Sequence[Channel] = ("difference",),
    ) -> None:
        self.record = record
        self.split = split
        self.channels = tuple(channels)
        self.spec = PreprocessSpec(**record.preprocess_spec)
        self.table = table
        self.labels: NDArray[np.int64] = table["is_anomaly"].to_numpy().astype(np.int64)
        self.weights: NDArray[np.float32] = table["weight"].to_numpy().astype(np.float32)
        self.classes = class_names(table)
        self.keys: list[str] = table["sample_key"].to_pylist()
        planes = _planes(self.spec, self.channels)
        self._images = _locate(packs, "images", table, self.spec, planes)
        self._masks = _locate(packs, "masks", table, self.spec, None)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Stacked:
        at = np.asarray(indices, np.int64)
        side = self.spec.stamp_size
        images = np.empty((len(at), len(self.channels), side, side), np.float32)
        masks = np.empty((len(at), 1, side, side), np.uint8)
        self._images.take(at, images)
        self._masks.take(at, masks)
        masks *= (masks != BOGUS_FOOTPRINT).view(np.uint8)  # bool would be cast piece by piece
        batch = Batch(
            torch.from_numpy(images),
            torch.from_numpy(masks),
            torch.from_numpy(self.labels[at]),
            torch.from_numpy(self.weights[at]),
            tuple([self.keys[index] for index in at.tolist()]),
        )
        return Stacked(batch)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"AstrIDTrainingDataset({self.record.name!r}, {self.split}, {len(self)} samples)"


class TrainingSplits(NamedTuple):
    """The three parts of a dataset; no sky group is in two of them."""

    train: AstrIDTrainingDataset
    val: AstrIDTrainingDataset
    test: AstrIDTrainingDataset


def load_training_dataset(
    dataset_id: object,
    *,
    channels: Sequence[Channel] = ("difference",),
    settings: Settings | None = None,
    allow_revoked: bool = False,
) -> TrainingSplits:
    """Return a published dataset's splits as torch datasets.

    Packs are read in place when the store is a folder, else fetched once into the home's cache.

    Args:
        dataset_id: its UUID or the text of it; a version id or a name, which means the active one.
        channels: the images an item has, in this order; of those that the dataset stores.
        settings: where database and store are; None: as the environment and the home say.
        allow_revoked: load a dataset that was withdrawn.

    Raises:
        DatasetNotFoundError: if there is no such dataset.
        DatasetRevokedError: if it was withdrawn and `allow_revoked` is False.
        ParityError: if this version of the package would prepare its pixels in another way.
        ProcessorError: if the class that prepared them cannot be imported here.
        MissingObjectError: if the store lacks the samples table or a pack.
        StoreCorruptError: if one of them is damaged.
        ValueError: if a channel is not stored.
    """
    settings = settings or resolve()
    engine = open_database(settings.database_url)
    record = get_dataset(engine, str(dataset_id), allow_revoked=allow_revoked)
    return splits_from(record, open_store(settings), settings.home / "cache", channels)


def splits_from(
    record: TrainingDataset,
    store: Store,
    cache_dir: Path,
    channels: Sequence[Channel] = ("difference",),
) -> TrainingSplits:
    """Return the splits of a dataset whose row is at hand; see `load_training_dataset` for errors.

    Args:
        record: the dataset's row.
        store: where its objects are.
        cache_dir: where packs of a remote store are kept on this machine.
        channels: the images an item has, in this order.
    """
    if record.format_version > FORMAT_VERSION:
        raise StoreCorruptError(
            f"dataset {record.name} has format {record.format_version}, this version reads up to "
            f"{FORMAT_VERSION}; load it with the version of this package that collected it"
        )
    recipe_of(record).check()
    samples = read_samples(store, record.samples_key)
    packs = PackCache(store, cache_dir)
    return TrainingSplits(
        *(
            AstrIDTrainingDataset(
                record, split, samples.filter(pc.field("split") == split), packs, channels
            )
            for split in SPLITS
        )
    )


def _planes(spec: PreprocessSpec, channels: tuple[Channel, ...]) -> tuple[int, ...]:
    if not channels or not set(channels) <= set(spec.channels):
        raise ValueError(
            f"channels {', '.join(channels) or '(none)'} asked for, but the dataset stores "
            f"{', '.join(spec.channels)}; ask for some of those"
        )
    return tuple(spec.channels.index(channel) for channel in channels)


def _locate(
    packs: PackCache,
    kind: Literal["images", "masks"],
    table: pa.Table,
    spec: PreprocessSpec,
    planes: tuple[int, ...] | None,
) -> _Rows:
    """Return where the rows of `table` lie in packs of `kind`, after a look at every pack."""
    column = kind.removesuffix("s")
    names = table[f"{column}_pack"].combine_chunks().dictionary_encode()
    digests: list[str] = names.dictionary.to_pylist()
    pack = names.indices.to_numpy().astype(np.int32)
    row = table[f"{column}_row"].to_numpy().astype(np.int32)
    side = spec.padded_size
    shape = (side, side) if planes is None else (len(spec.channels), side, side)
    for number, digest in enumerate(digests):
        array = packs.open(kind, digest)
        rows = int(row[pack == number].max()) + 1
        if array.shape[1:] != shape or array.dtype != _DTYPES[kind] or len(array) < rows:
            raise StoreCorruptError(
                f"{pack_key(kind, digest)} is {array.dtype} of shape {array.shape}, but the "
                f"dataset needs {rows} rows of {_DTYPES[kind]} {shape}; restore the pack or "
                "collect the dataset again"
            )
    paths = [packs.path(kind, digest) for digest in digests]
    return _Rows(paths, pack, row, spec.margin, planes)
