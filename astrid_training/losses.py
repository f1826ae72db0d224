"""What a prediction costs: cross-entropy, focal loss and Dice, over the pixels that can be judged."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from astrid_training.training_params import TrainingParams

__all__ = ["IGNORE", "Shares", "segmentation_loss", "shares_of"]

IGNORE = 255


class Shares(NamedTuple):
    """How the loss is put together; what Dice and focal loss leave is cross-entropy."""

    dice: float = 0.5
    focal: float = 0
    gamma: float = 2
    """Of the focal loss: a pixel counts (1 - probability of its code) to this power."""


HALVES = Shares()


def segmentation_loss(
    logits: Tensor, mask: Tensor, weight: Tensor, shares: Shares = HALVES
) -> Tensor:
    """Return the weighted mean over the samples of their losses; pixels of code 255 count nowhere.

    Source: soft Dice, Milletari et al. 2016; focal loss, Lin et al. 2017.

    Args:
        logits: (sample, 1, y, x), of any precision; the loss is computed in float32.
        mask: (sample, 1, y, x) uint8: 0 background, 1 target, 255 ignore.
        weight: (sample,) float32.
        shares: of the three losses.
    """
    logits = logits.float()
    valid = (mask != IGNORE).float()
    target = (mask == 1).float()
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    losses = (1 - shares.dice - shares.focal) * _mean(entropy, valid)
    if shares.focal:
        doubt = -torch.expm1(-entropy)  # 1 - probability of the pixel's code
        losses = losses + shares.focal * _mean(entropy * doubt**shares.gamma, valid)
    if shares.dice:
        losses = losses + shares.dice * _dice(logits, target, valid)
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return values.sum((1, 2, 3)) / valid.sum((1, 2, 3)).clamp(min=1)


def _dice(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    axes = (1, 2, 3)
    probability = logits.sigmoid() * valid
    overlap = 2 * (probability * target).sum(axes) + 1  # + 1: an empty mask has a Dice, too
    return 1 - overlap / (probability.sum(axes) + target.sum(axes) + 1)


def shares_of(params: TrainingParams) -> Shares:
    """Return how the parameters put the loss together."""
    return Shares(params.dice_share, params.focal_share, params.focal_gamma)
