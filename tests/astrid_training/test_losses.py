"""What a prediction costs, and which pixels and samples count."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from astrid_training.losses import Shares, segmentation_loss

SHARES = [Shares(0.5), Shares(0), Shares(1), Shares(0.3, 0.4, 2), Shares(0, 1, 1)]


def _loss(logits: Tensor, mask: Tensor, weight: list[float], shares: Shares = SHARES[0]) -> float:
    return segmentation_loss(logits, mask, torch.tensor(weight), shares).item()


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shares", SHARES)
def test_ignored_pixels_do_not_count(shares: Shares) -> None:
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    mask[..., 3:5, 3:5] = 1
    mask[..., 6:, :] = 255
    logits = _random(1, 1, 8, 8)
    others = logits.clone()
    others[..., 6:, :] = 50

    assert _loss(others, mask, [1], shares) == _loss(logits, mask, [1], shares)


@pytest.mark.parametrize("shares", SHARES)
def test_a_mask_that_is_all_ignored_costs_nothing(shares: Shares) -> None:
    mask = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)

    assert _loss(torch.ones(1, 1, 8, 8), mask, [1], shares) == 0


def test_a_sample_counts_by_its_weight() -> None:
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    logits = torch.stack([torch.full((1, 8, 8), 3.0), torch.full((1, 8, 8), -3.0)])
    alone = [_loss(logits[i : i + 1], mask[:1], [1]) for i in (0, 1)]

    assert _loss(logits, mask, [3, 1]) == pytest.approx((3 * alone[0] + alone[1]) / 4)


@pytest.mark.parametrize("shares", SHARES)
def test_a_better_prediction_has_a_lower_loss(shares: Shares) -> None:
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    mask[..., 3:5, 3:5] = 1
    right = torch.where(mask == 1, 4.0, -4.0)

    even = _loss(torch.zeros_like(right), mask, [1], shares)
    assert _loss(right, mask, [1], shares) < even < _loss(-right, mask, [1], shares)


def test_without_dice_and_focal_it_is_the_cross_entropy() -> None:
    logits, mask = _random(1, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    mask[..., 2:6, 2:6] = 1

    expected = binary_cross_entropy_with_logits(logits, mask.float()).item()

    assert _loss(logits, mask, [1], Shares(0)) == pytest.approx(expected)


def test_the_focal_loss_counts_a_pixel_by_its_doubt() -> None:
    logits = torch.full((1, 1, 8, 8), 2.0)
    mask = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
    doubt = 1 - torch.sigmoid(torch.tensor(2.0)).item()

    whole = _loss(logits, mask, [1], Shares(0))

    assert _loss(logits, mask, [1], Shares(0, 1, 2)) == pytest.approx(doubt**2 * whole)


def test_the_gradient_of_the_focal_loss_is_finite_where_pixels_are_ignored() -> None:
    logits = _random(1, 1, 8, 8).requires_grad_()
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    mask[..., :4, :] = 255

    segmentation_loss(logits, mask, torch.ones(1), Shares(0, 1, 1)).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_half_precision_logits_cost_what_they_cost_in_float32() -> None:
    logits, mask = _random(1, 1, 8, 8).half(), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)

    assert _loss(logits, mask, [1]) == _loss(logits.float(), mask, [1])
