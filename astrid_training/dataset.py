"""A published dataset as torch datasets: stamps and masks from memory-mapped local files.

Once built, a dataset needs neither database nor store and reaches neither of their clients, so it
works in any DataLoader worker, forked or spawned.
"""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from astrid_training.augment import Augmentation, key_numbers
from astrid_training.catalogue import get_dataset
from astrid_training.database import open_database
from astrid_training.formats import check_format
from astrid_training.gather import Poses
from astrid_training.items import Batch, Context, Sample, Stacked, collate
from astrid_training.local_cache import CACHE_BYTES, LocalCache
from astrid_training.pack_parts import LoadedChannel, PackReader, fold_masks, planes_of
from astrid_training.params import PreprocessSpec
from astrid_training.processors import recipe_of
from astrid_training.records import TrainingDataset
from astrid_training.samples import SPLITS, class_names, read_samples
from astrid_training.settings import Settings, resolve
from astrid_training.store import Store, open_store
from astrid_training.stored_pixels import Pixels, open_pixels

__all__ = [
    "AstrIDTrainingDataset",
    "Batch",
    "Context",
    "Sample",
    "SampleValues",
    "Stacked",
    "TrainingSplits",
    "collate",
    "load_training_dataset",
    "samples_of",
    "splits_from",
]


class SampleValues:
    """What the table says of the samples, as arrays in item order.

    Attributes:
        labels: (samples,) int64, 1 real, 0 bogus.
        weights: (samples,) float32, weight in the loss.
        keys: sample_key of each sample.
        known: (samples, 3) float32, pixel scale, PSF width and zero point, NaN where not known.
    """

    def __init__(self, table: pa.Table) -> None:
        self.labels: NDArray[np.int64] = table["is_anomaly"].to_numpy().astype(np.int64)
        self.weights: NDArray[np.float32] = table["weight"].to_numpy().astype(np.float32)
        self.keys: list[str] = table["sample_key"].to_pylist()
        # as arrays of objects: to pick some from these is twice as fast as from lists
        self._keys = np.array(self.keys, dtype=object)
        self._surveys = np.array(table["survey"].to_pylist(), dtype=object)
        columns = [table[name].to_numpy() for name in ("pixel_scale", "fwhm_px", "zero_point")]
        self.known: NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)

    def batch(
        self, at: NDArray[np.int64], images: NDArray[np.float32], masks: NDArray[np.uint8]
    ) -> Batch:
        """Return the batch of the samples `at` with their pixels."""
        scale, fwhm, zero = torch.from_numpy(self.known[at]).unbind(1)
        return Batch(
            torch.from_numpy(images),
            torch.from_numpy(masks),
            torch.from_numpy(self.labels[at]),
            torch.from_numpy(self.weights[at]),
            tuple(self._keys[at].tolist()),
            Context(tuple(self._surveys[at].tolist()), scale, fwhm, zero),
        )


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
        augmentation: what is changed anew each epoch; None: nothing.
    """

    def __init__(
        self,
        record: TrainingDataset,
        split: str,
        table: pa.Table,
        pixels: Pixels,
        channels: Sequence[LoadedChannel] = ("difference",),
        augmentation: Augmentation | None = None,
    ) -> None:
        """Keep what the items are made of; `pixels` are those of `table`, row by row."""
        self.record = record
        self.split = split
        self.channels = tuple(channels)
        self.spec = PreprocessSpec(**record.preprocess_spec)
        self.table = table
        self.values = SampleValues(table)
        self.labels, self.weights = self.values.labels, self.values.weights
        self.keys = self.values.keys
        self.classes = class_names(table)
        self.augmentation = augmentation
        self._pixels = pixels
        self._numbers = key_numbers(self.keys)
        self._epoch = _epoch_of(augmentation)

    def set_epoch(self, epoch: int) -> None:
        """Draw turns and shifts of another epoch; `EpochSampler.set_epoch` calls this."""
        self._epoch.fill_(epoch)

    def augmented(self, augmentation: Augmentation | None) -> Self:
        """Return a view of the same samples with another augmentation, and an epoch of its own.

        Raises:
            ValueError: if it shifts beyond the margin that the stamps are stored with.
        """
        _check_shift(augmentation, self.spec)
        view = copy.copy(self)
        view.augmentation = augmentation
        view._epoch = _epoch_of(augmentation)  # noqa: SLF001 - of this very class
        return view

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Stacked:
        at = np.asarray(indices, np.int64)
        side = self.spec.stamp_size
        images = np.empty((len(at), len(self.channels), side, side), np.float32)
        masks = np.empty((len(at), 1, side, side), np.uint8)
        poses = self._poses(at)
        self._pixels.images.take(at, images, poses)
        self._pixels.masks.take(at, masks, poses)
        if self._pixels.lease is None:  # a copy is folded already
            fold_masks(masks)
        return Stacked(self.values.batch(at, images, masks))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"AstrIDTrainingDataset({self.record.name!r}, {self.split}, {len(self)} samples)"

    def _poses(self, at: NDArray[np.int64]) -> Poses | None:
        if self.augmentation is None:
            return None
        return self.augmentation.draw(self._numbers[at], int(self._epoch), self.spec.margin)


def _epoch_of(augmentation: Augmentation | None) -> Tensor:
    """Return one number for all processes: a worker that lives on sees the next epoch, too."""
    epoch = torch.zeros((), dtype=torch.int64)
    if augmentation is not None:
        epoch.share_memory_()  # type: ignore[no-untyped-call]  # torch has no annotation
    return epoch


class TrainingSplits(NamedTuple):
    """The three parts of a dataset; no sky group is in two of them."""

    train: AstrIDTrainingDataset
    val: AstrIDTrainingDataset
    test: AstrIDTrainingDataset


def load_training_dataset(
    dataset_id: object,
    *,
    channels: Sequence[LoadedChannel] = ("difference",),
    augmentation: Augmentation | None = None,
    settings: Settings | None = None,
    allow_revoked: bool = False,
) -> TrainingSplits:
    """Return a published dataset's splits as torch datasets.

    A few packs in a folder are read in place; otherwise the home's cache gets one copy of the
    samples, which other loads of the same content share.

    Args:
        dataset_id: its UUID or the text of it; a version id or a name, which means the active one.
        channels: the images an item has, in this order; of those that the dataset stores, and
            `valid`: 1 where all of them have a value, else 0.
        augmentation: turns and shifts of the train split; val and test stay as they are.
        settings: where database and store are; None: as the environment and the home say.
        allow_revoked: load a dataset that was withdrawn.

    Raises:
        DatasetNotFoundError: if there is no such dataset.
        DatasetRevokedError: if it was withdrawn and `allow_revoked` is False.
        ParityError: if this version of the package would prepare its pixels in another way.
        ProcessorError: if the class that prepared them cannot be imported here.
        MissingObjectError: if the store lacks the samples table or a pack.
        StoreCorruptError: if one of them is damaged.
        CacheFullError: if there is no room for a copy.
        ValueError: if a channel is not stored, or the augmentation shifts beyond the margin.
    """
    settings = settings or resolve()
    engine = open_database(settings.database_url)
    record = get_dataset(engine, str(dataset_id), allow_revoked=allow_revoked)
    return splits_from(
        record,
        open_store(settings),
        settings.home / "cache",
        channels,
        augmentation=augmentation,
        limit_bytes=settings.loader_cache_bytes,
    )


def splits_from(
    record: TrainingDataset,
    store: Store,
    cache_dir: Path,
    channels: Sequence[LoadedChannel] = ("difference",),
    *,
    augmentation: Augmentation | None = None,
    limit_bytes: int = CACHE_BYTES,
    in_place: bool | None = None,
) -> TrainingSplits:
    """Return the splits of a dataset whose row is at hand; see `load_training_dataset` for errors.

    Args:
        record: the dataset's row.
        store: where its objects are.
        cache_dir: where copies of packs are kept on this machine.
        channels: the images an item has, in this order.
        augmentation: of the train split.
        limit_bytes: what all copies in `cache_dir` may take.
        in_place: read packs as they lie, or make a copy; None: see `open_pixels`.
    """
    reader, samples = samples_of(record, store, channels, augmentation)
    cache = LocalCache(cache_dir / "loader", limit_bytes)
    pixels = open_pixels(reader, samples, cache, in_place=in_place)

    def split(name: str, **more: Any) -> AstrIDTrainingDataset:  # noqa: ANN401 - augmentation
        at = np.flatnonzero(pc.equal(samples["split"], name).to_numpy())
        return AstrIDTrainingDataset(
            record, name, samples.take(at), pixels.of(at), channels, **more
        )

    return TrainingSplits(split("train", augmentation=augmentation), split("val"), split("test"))


def samples_of(
    record: TrainingDataset,
    store: Store,
    channels: Sequence[LoadedChannel],
    augmentation: Augmentation | None,
) -> tuple[PackReader, pa.Table]:
    """Return what reads a dataset's packs, and the rows that a model may see, once all fits."""
    check_format(record)
    recipe_of(record).check()
    spec = PreprocessSpec(**record.preprocess_spec)
    planes_of(spec, channels)
    _check_shift(augmentation, spec)
    samples = read_samples(store, record.samples_key)
    shown = samples.filter(pc.is_in(samples["split"], pa.array(SPLITS)))
    return PackReader(store, spec, tuple(channels)), shown


def _check_shift(augmentation: Augmentation | None, spec: PreprocessSpec) -> None:
    """Return if the augmentation stays within what is stored around each stamp.

    Raises:
        ValueError: if it shifts farther.
    """
    if augmentation is not None and augmentation.shift_px > spec.margin:
        raise ValueError(
            f"shifts of {augmentation.shift_px} px need a wider margin than the {spec.margin} px "
            "that the dataset stores around each stamp; give shift_px up to that"
        )
