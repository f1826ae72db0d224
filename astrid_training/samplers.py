"""In which order samples come: by seed and epoch alone, divided among processes of a training."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch.distributed
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

if TYPE_CHECKING:
    from astrid_training.dataset import AstrIDTrainingDataset

__all__ = ["BalancedSampler", "EpochSampler", "rank_of", "shuffled"]

Integers = NDArray[np.int64]


class EpochSampler(Sampler[int]):
    """Every sample once an epoch, in an order of its own in each.

    All ranks get equally many. Where the samples cannot be divided so, the first ones of the order
    come twice: `padding` tells how many. The order does not depend on workers or batches.

    Attributes:
        epoch: from 0; see `set_epoch`.
        padding: samples that come twice in an epoch, over all ranks.
    """

    def __init__(
        self,
        dataset: "Dataset[object] | AstrIDTrainingDataset",
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Keep what to order.

        Args:
            dataset: anything with a length; if it has `set_epoch`, it is told of each epoch.
            seed: the same on all ranks.
            shuffle: False: in the dataset's order.
            rank: of this process, from 0; None: as torch.distributed says, else 0.
            world: how many processes; None: as torch.distributed says, else 1.

        Raises:
            ValueError: if `rank` is not below `world`.
        """
        self.dataset = dataset
        self.seed, self.shuffle, self.epoch = seed, shuffle, 0
        self.rank, self.world = rank_of(rank, world)
        self._total = len(dataset)  # type: ignore[arg-type]  # torch leaves __len__ out

    @property
    def padding(self) -> int:
        """Samples that come twice in an epoch, over all ranks."""
        return len(self) * self.world - self._total if self._total else 0

    def __len__(self) -> int:
        return -(-self._total // self.world)

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        rounds = -(-len(self) * self.world // max(1, len(order)))
        padded = np.tile(order, rounds)[: len(self) * self.world]
        return iter(padded[self.rank :: self.world].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the order, and what the dataset draws, of another epoch; call it before each."""
        self.epoch = epoch
        tell = getattr(self.dataset, "set_epoch", None)
        if tell is not None:
            tell(epoch)

    def _order(self) -> Integers:
        if not self.shuffle:
            return np.arange(self._total)
        return shuffled(self._total, self.seed, self.epoch)


class BalancedSampler(EpochSampler):
    """Equally many of each class, to within one; of a rare class each sample comes several times.

    For training alone: what is measured on a balanced val or test split says nothing of the sky.
    """

    def __init__(
        self,
        dataset: "AstrIDTrainingDataset",
        *,
        by: Literal["label", "class"] = "label",
        samples: int | None = None,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Keep what to balance.

        Args:
            dataset: a train split.
            by: `label`: real and bogus; `class`: supernova, cosmic_ray and so on.
            samples: in an epoch, over all ranks; None: as many as the dataset has.
            seed: the same on all ranks.
            rank: see `EpochSampler`.
            world: see `EpochSampler`.

        Raises:
            ValueError: if the split is not train, or `samples` is negative.
        """
        if dataset.split != "train":
            raise ValueError(
                f"a {dataset.split} split is measured as it is; balance the train split alone"
            )
        super().__init__(dataset, seed=seed, rank=rank, world=world)
        if samples is not None and samples < 0:
            raise ValueError(f"samples is {samples}; give 0 or more")
        self._total = len(dataset) if samples is None else samples
        names = dataset.labels if by == "label" else np.array(dataset.classes, dtype=np.str_)
        self._members = [np.flatnonzero(names == name) for name in np.unique(names)]

    def _order(self) -> Integers:
        kinds = len(self._members)
        quotas = [(self._total + kinds - 1 - kind) // kinds for kind in range(kinds)]
        parts = [
            members[self._repeated(len(members), quota, kind)]
            for kind, (members, quota) in enumerate(zip(self._members, quotas, strict=True))
        ]
        chosen = np.concatenate([np.empty(0, np.int64), *parts])
        return chosen[shuffled(len(chosen), self.seed, self.epoch)]

    def _repeated(self, count: int, quota: int, kind: int) -> Integers:
        """Return `quota` numbers below `count`; none comes again before all others have."""
        rounds = range(-(-quota // count))
        orders = [shuffled(count, self.seed, self.epoch, kind + 1, number) for number in rounds]
        return np.concatenate([np.empty(0, np.int64), *orders])[:quota]


def shuffled(count: int, *words: int) -> Integers:
    """Return 0 … count - 1 in an order that depends on `words` alone, with any version of NumPy.

    Of NumPy's random numbers only the raw bits of a bit generator are promised to stay.
    """
    bits = np.random.Philox(np.random.SeedSequence([word % 2**64 for word in words]))
    drawn = np.asarray(bits.random_raw(count), np.uint64)
    return np.argsort(drawn, kind="stable")


def rank_of(rank: int | None, world: int | None) -> tuple[int, int]:
    """Return this process's rank and how many there are; what is None, as torch.distributed says."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if rank is None:
        rank = torch.distributed.get_rank() if together else 0
    if world is None:
        world = torch.distributed.get_world_size() if together else 1
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} of {world} processes; ranks go from 0 to {world - 1}")
    return rank, world
