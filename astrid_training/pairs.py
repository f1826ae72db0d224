"""Datasets as pairs of image and mask, for training code that knows no more than these two."""

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset

from astrid_training.dataset import AstrIDTrainingDataset

__all__ = ["Pairs"]

TARGET = 1

Pair = tuple[Tensor, Tensor]


class Pairs(Dataset[Pair]):
    """A split whose items are (image, target), as AstrID's training notebook takes them.

    image is (channel, y, x) float32; target is (1, y, x) float32, 1 on the target and 0 elsewhere. A
    plain loss knows neither weights nor pixels to ignore: what nobody can judge counts as background
    here. Train on the split itself to do better.

    Attributes:
        samples: the split with all six fields of its items.
    """

    def __init__(self, samples: AstrIDTrainingDataset) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pair:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Pair]:
        batch = self.samples.__getitems__(indices).batch
        return list(zip(batch.image, (batch.mask == TARGET).float(), strict=True))

    def __repr__(self) -> str:
        return f"Pairs of {self.samples!r}"
