"""What a network says of a split, batch by batch, so that no split need fit into memory."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from astrid_training.dataset import AstrIDTrainingDataset
from astrid_training.devices import Machine
from astrid_training.items import Batch
from astrid_training.losses import segmentation_loss, shares_of
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet

__all__ = ["Predicted", "mean_loss", "predictions", "weighted_mean"]


class Predicted(NamedTuple):
    """A batch and what the network says of it."""

    first: int
    """Place of the batch's first sample in the split."""
    batch: Batch
    """On the CPU."""
    logits: Tensor
    """(sample, 1, y, x) float32, on the CPU."""
    loss: float
    """Weighted mean over the batch."""
    weight: float
    """Sum over the batch."""


@torch.no_grad()
def predictions(
    model: UNet, dataset: AstrIDTrainingDataset, params: TrainingParams, machine: Machine
) -> Iterator[Predicted]:
    """Return the batches of a split in its order, with what the model says of them.

    Args:
        model: on the machine's device; it is left ready to predict.
        dataset: the split.
        params: batch size, and the loss.
        machine: where.
    """
    model.eval()
    for first in range(0, len(dataset), params.batch_size):
        places = range(first, min(first + params.batch_size, len(dataset)))
        batch = dataset.__getitems__(places).batch
        here = batch.to(machine.device, non_blocking=True)
        with machine.autocast():
            logits = model(here.image)
        loss = segmentation_loss(logits, here.mask, here.weight, shares_of(params))
        weight = batch.weight.sum().item()
        yield Predicted(first, batch, logits.float().cpu(), loss.item(), weight)


def mean_loss(
    model: UNet, dataset: AstrIDTrainingDataset, params: TrainingParams, machine: Machine
) -> float:
    """Return the weighted mean loss of a split that is not empty."""
    parts = [(one.loss, one.weight) for one in predictions(model, dataset, params, machine)]
    return weighted_mean(parts)


def weighted_mean(parts: list[tuple[float, float]]) -> float:
    """Return the mean of (value, weight)."""
    whole = sum(weight for _, weight in parts)
    return sum(value * weight for value, weight in parts) / max(whole, 1e-6)
