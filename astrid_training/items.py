"""What a dataset hands out: one sample, or a batch of them as finished tensors."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

__all__ = ["Batch", "Context", "Sample", "Stacked", "collate"]


class Context(NamedTuple):
    """Where a sample comes from and what a pixel of it is; NaN where that is not known.

    Of a batch each field holds one value a sample.
    """

    survey: str | tuple[str, ...]
    """As in AstrID's surveys table."""
    pixel_scale: Tensor
    """float32, arcseconds per pixel."""
    fwhm_px: Tensor
    """float32, full width at half maximum of the PSF, pixels."""
    zero_point: Tensor
    """float32, magnitude of one count."""


class Sample(NamedTuple):
    """One item of a dataset; unpacks as image, mask, label, weight, key, context."""

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
    context: Context
    """Survey, pixel scale, PSF width and zero point."""


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
    context: Context

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Return the batch with its tensors on `device`; see `torch.Tensor.to`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory; a DataLoader with pin_memory=True calls this."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        survey, *known = self.context
        context = Context(survey, *(change(values) for values in known))
        image, mask, label, weight = (change(tensor) for tensor in self[:4])
        return Batch(image, mask, label, weight, self.key, context)


class Stacked:
    """What `__getitems__` returns: a finished batch that also reads as a sequence of samples."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch.key)

    def __getitem__(self, index: int) -> Sample:
        image, mask, label, weight, key, context = self.batch
        survey, *known = context
        one = Context(survey[index], *(values[index] for values in known))
        return Sample(image[index], mask[index], label[index], weight[index], key[index], one)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def pin_memory(self) -> "Stacked":
        """Return the samples in page-locked memory."""
        return Stacked(self.batch.pin_memory())


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
    images, masks, labels, weights, keys, contexts = zip(*samples, strict=True)
    surveys, *known = zip(*contexts, strict=True)
    context = Context(surveys, *map(torch.stack, known))
    image, mask, label, weight = map(torch.stack, (images, masks, labels, weights))
    return Batch(image, mask, label, weight, keys, context)


default_collate_fn_map[Sample] = collate
