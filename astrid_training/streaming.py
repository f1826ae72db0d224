"""A split that is read pack by pack from the store, for sets that no disk of this machine holds."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from astrid_training.augment import Augmentation, key_numbers
from astrid_training.catalogue import get_dataset
from astrid_training.database import open_database
from astrid_training.dataset import SampleValues, samples_of
from astrid_training.gather import Stamps
from astrid_training.items import Batch
from astrid_training.pack_parts import DTYPES, KINDS, Kind, LoadedChannel, PackReader, Part
from astrid_training.records import TrainingDataset
from astrid_training.samplers import rank_of, shuffled
from astrid_training.samples import SPLITS
from astrid_training.settings import Settings, resolve
from astrid_training.store import Store, open_store

__all__ = ["Share", "TrainingStream", "stream_from", "stream_training_dataset"]

Integers = NDArray[np.int64]


class Share(NamedTuple):
    """Which part of an epoch somebody reads."""

    number: int
    """From 0."""
    of: int
    """How many read."""

    def slice(self, total: int) -> slice:
        """Return this share of `total` things; shares differ by one at most."""
        return slice(self.number * total // self.of, (self.number + 1) * total // self.of)


class TrainingStream(IterableDataset[Batch]):
    """Batches of one split, straight from the store; nothing is kept on disk.

    The packs come in an order of their own each epoch; the samples of `packs_at_once` of them are
    shuffled together, while the next ones are fetched. So memory holds the samples of twice as many
    packs, however large the dataset is. Each rank, and each DataLoader worker of a rank, reads its
    own share: every sample comes once an epoch, shares differ by one sample at most.

    Iterate over it, or give it to a DataLoader with `batch_size=None`; workers must be spawned.

    Attributes:
        split: train, val or test.
        channels: of an image, in order.
        batch_size: samples of a batch; the last one of a share may have fewer.
    """

    def __init__(
        self,
        reader: PackReader,
        split: str,
        table: pa.Table,
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        packs_at_once: int = 4,
        share: Share,
    ) -> None:
        """Keep what to read; `table` holds the split's rows of the samples table."""
        if batch_size < 1 or packs_at_once < 1 or not 0 <= share.number < share.of:
            raise ValueError(
                f"batch_size {batch_size}, packs_at_once {packs_at_once}, rank {share.number} of "
                f"{share.of}: sizes start at 1, ranks go from 0 to one less than there are"
            )
        self.split, self.channels, self.batch_size = split, reader.channels, batch_size
        self._reader, self._table = reader, table
        self._values = SampleValues(table)
        self._numbers = key_numbers(self._values.keys)
        self._augmentation, self._seed = augmentation, seed
        self._packs_at_once, self._share = packs_at_once, share
        self._position = torch.zeros(2, dtype=torch.int64)  # epoch, and batches to skip
        self._position.share_memory_()  # type: ignore[no-untyped-call]  # torch has no annotation
        self._process = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_process": os.getpid()}

    def __len__(self) -> int:
        """Return the number of batches of this rank in an epoch that is read without workers."""
        total = len(range(len(self._values.keys))[self._share.slice(len(self._values.keys))])
        return -(-total // self.batch_size)

    def set_epoch(self, epoch: int, skip_batches: int = 0) -> None:
        """Choose what the next iteration reads.

        Args:
            epoch: from 0.
            skip_batches: those that this rank has had of that epoch already. With equal batch size,
                ranks and workers it goes on behind them; their packs are not fetched again.
        """
        self._position[0], self._position[1] = epoch, skip_batches

    def __iter__(self) -> Iterator[Batch]:
        if os.getpid() != self._process:
            raise RuntimeError(
                "the client of the object store does not live through a fork; give the DataLoader "
                'multiprocessing_context="spawn", or num_workers=0'
            )
        epoch, skipped = self._position.tolist()
        worker = get_worker_info()
        share = self._share
        if worker is not None:
            share = Share(
                share.number * worker.num_workers + worker.id, share.of * worker.num_workers
            )
            skipped = len(range(worker.id, skipped, worker.num_workers))
        groups = self._plan(epoch, share, skipped * self.batch_size)
        return self._batches(groups, epoch)

    def _plan(self, epoch: int, share: Share, skip: int) -> list[Integers]:
        """Return the samples of a share in order, by the packs that are in memory together.

        It follows from seed, epoch and share alone; no pixel is read for it.
        """
        cut = [part for part in self._cut(epoch, share) if len(part)]
        groups = []
        for first in range(0, len(cut), self._packs_at_once):
            together = np.concatenate(cut[first : first + self._packs_at_once])
            mixed = together[shuffled(len(together), self._seed, epoch, *share, first)]
            groups.append(mixed[skip:])
            skip = max(0, skip - len(mixed))
        return [group for group in groups if len(group)]

    def _cut(self, epoch: int, share: Share) -> list[Integers]:
        """Return what the share has of each pack, packs in the order of the epoch."""
        parts = self._reader.parts("images", self._table)
        order = shuffled(len(parts), self._seed, epoch).tolist()
        each = [
            parts[pack].samples[shuffled(len(parts[pack].samples), self._seed, epoch, pack)]
            for pack in order
        ]
        starts = accumulate(map(len, each), initial=0)
        mine = share.slice(len(self._values.keys))
        return [
            samples[max(0, mine.start - start) : max(0, mine.stop - start)]
            for samples, start in zip(each, starts, strict=False)  # the last start is the end
        ]

    def _batches(self, groups: list[Integers], epoch: int) -> Iterator[Batch]:
        """Yield batches; the last samples of a group go with the first ones of the next."""
        left: _Block | None = None
        for number, block in enumerate(_ahead(self._load, groups)):
            stamps = _Joined([block] if left is None else [left, block], self._reader.spec.margin)
            is_last = number + 1 == len(groups)
            total = len(stamps.samples)
            end = total if is_last else total - total % self.batch_size
            for start in range(0, end, self.batch_size):
                yield self._batch(
                    stamps, np.arange(start, min(start + self.batch_size, end)), epoch
                )
            left = stamps.tail(end)

    def _batch(self, stamps: "_Joined", at: Integers, epoch: int) -> Batch:
        side, samples = self._reader.spec.stamp_size, stamps.samples[at]
        images = np.empty((len(at), len(self.channels), side, side), np.float32)
        masks = np.empty((len(at), 1, side, side), np.uint8)
        poses = None
        if self._augmentation is not None:
            margin = self._reader.spec.margin
            poses = self._augmentation.draw(self._numbers[samples], epoch, margin)
        stamps.images.take(at, images, poses)
        stamps.masks.take(at, masks, poses)
        return self._values.batch(samples, images, masks)

    def _load(self, samples: Integers) -> "_Block":
        """Return the samples' pixels in the order given, their packs fetched side by side."""
        table = self._table.take(samples)
        block = _Block(samples, *(self._empty(kind, len(samples)) for kind in KINDS))

        def read(kind: Kind, part: Part) -> None:
            getattr(block, kind)[part.samples] = self._reader.read(kind, part)

        with ThreadPoolExecutor(self._packs_at_once) as pool:
            wanted = [(kind, part) for kind in KINDS for part in self._reader.parts(kind, table)]
            for done in [pool.submit(read, *each) for each in wanted]:
                done.result()
        return block

    def _empty(self, kind: Kind, samples: int) -> NDArray[Any]:
        return np.empty((samples, *self._reader.shape(kind)), DTYPES[kind])


class _Block(NamedTuple):
    """Samples in memory, in the order in which they are wanted."""

    samples: Integers
    images: NDArray[np.float32]
    masks: NDArray[np.uint8]


class _Joined:
    """Blocks one behind the other, without a copy of them."""

    def __init__(self, blocks: list[_Block], margin: int) -> None:
        sizes = [len(block.samples) for block in blocks]
        file = np.repeat(np.arange(len(blocks), dtype=np.int32), sizes)
        row = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
        self._blocks = blocks
        self.samples = np.concatenate([block.samples for block in blocks])
        self.images = Stamps([block.images for block in blocks], file, row, margin)
        self.masks = Stamps([block.masks for block in blocks], file, row, margin)

    def tail(self, start: int) -> _Block | None:
        """Return a copy of the samples from `start` on, so that the blocks can go; None if none."""
        if start == len(self.samples):
            return None
        at = start - sum(len(block.samples) for block in self._blocks[:-1])
        if at < 0:  # the last block is shorter than what is missing in a batch
            samples, images, masks = map(np.concatenate, zip(*self._blocks, strict=True))
        else:
            samples, images, masks = (array[at:].copy() for array in self._blocks[-1])
        return _Block(samples, images, masks)


def _ahead(load: Callable[[Integers], _Block], groups: list[Integers]) -> Iterator[_Block]:
    """Yield each group's block, the next one being loaded in a thread meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(load, group) for group in groups[:1]]
        for number in range(len(groups)):
            block = coming.pop().result()
            coming += [thread.submit(load, group) for group in groups[number + 1 : number + 2]]
            yield block


def stream_training_dataset(
    dataset_id: object,
    *,
    split: str = "train",
    channels: Sequence[LoadedChannel] = ("difference",),
    batch_size: int = 256,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    packs_at_once: int = 4,
    settings: Settings | None = None,
    allow_revoked: bool = False,
) -> TrainingStream:
    """Return one split of a published dataset as a stream of batches that keeps nothing on disk.

    Args:
        dataset_id: its UUID or the text of it; a version id or a name, which means the active one.
        split: train, val or test.
        channels: as for `load_training_dataset`.
        batch_size: samples of a batch.
        augmentation: turns and shifts; of the train split only.
        seed: of the order of packs and samples.
        packs_at_once: whose samples are shuffled together; memory holds twice as many.
        settings: where database and store are; None: as the environment and the home say.
        allow_revoked: stream a dataset that was withdrawn.

    Raises:
        DatasetNotFoundError: if there is no such dataset.
        DatasetRevokedError: if it was withdrawn and `allow_revoked` is False.
        ParityError: if this version of the package would prepare its pixels in another way.
        MissingObjectError: if the store lacks the samples table; of a pack, while iterating.
        StoreCorruptError: if it is damaged; a pack, while iterating.
        ValueError: if a channel is not stored, or something else asked for makes no sense.
    """
    settings = settings or resolve()
    engine = open_database(settings.database_url)
    record = get_dataset(engine, str(dataset_id), allow_revoked=allow_revoked)
    return stream_from(
        record,
        open_store(settings),
        split,
        channels,
        batch_size=batch_size,
        augmentation=augmentation,
        seed=seed,
        packs_at_once=packs_at_once,
    )


def stream_from(
    record: TrainingDataset,
    store: Store,
    split: str = "train",
    channels: Sequence[LoadedChannel] = ("difference",),
    *,
    batch_size: int = 256,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    packs_at_once: int = 4,
    share: Share | None = None,
) -> TrainingStream:
    """Return the stream of a dataset whose row is at hand; see `stream_training_dataset`.

    Args:
        record: the dataset's row.
        store: where its objects are.
        split: train, val or test.
        channels: the images of an item, in this order.
        batch_size: samples of a batch.
        augmentation: of the train split only.
        seed: of the order.
        packs_at_once: whose samples are shuffled together.
        share: of this rank; None: as torch.distributed says.
    """
    if split not in SPLITS or (augmentation is not None and split != "train"):
        raise ValueError(
            f"split {split!r}{' with an augmentation' if augmentation else ''}; give train, val or "
            "test, and an augmentation for train alone"
        )
    reader, samples = samples_of(record, store, channels, augmentation)
    return TrainingStream(
        reader,
        split,
        samples.filter(pc.equal(samples["split"], split)),
        batch_size=batch_size,
        augmentation=augmentation,
        seed=seed,
        packs_at_once=packs_at_once,
        share=share or Share(*rank_of(None, None)),
    )
