"""The U-Net keeps a stamp's size and AstrID's layers."""

import pytest
import torch

from astrid_training.unet import UNet


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 48)])
def test_one_logit_for_each_pixel(channels: int, height: int, width: int) -> None:
    logits = UNet(channels, width=2)(torch.zeros(2, channels, height, width))

    assert logits.shape == (2, 1, height, width)


def test_a_side_that_does_not_halve_three_times_is_refused() -> None:
    with pytest.raises(ValueError, match="60 x 64 px does not halve"):
        UNet(width=2)(torch.zeros(1, 1, 64, 60))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("encoders.0.0.weight", (4, 1, 3, 3)),
        ("encoders.3.4.running_mean", (32,)),
        ("bottleneck.3.weight", (64, 64, 3, 3)),
        ("upsamples.0.weight", (64, 16, 2, 2)),
        ("decoders.2.0.weight", (4, 8, 3, 3)),
        ("final.weight", (1, 4, 1, 1)),
    ],
)
def test_layers_bear_the_names_and_shapes_of_astrids_network(
    name: str, shape: tuple[int, ...]
) -> None:
    state = UNet(in_channels=1, width=4).state_dict()

    assert tuple(state[name].shape) == shape
    assert len(state) == 120  # AstrID's UNet(initial_filters=4) has as many


def test_every_weight_learns() -> None:
    model = UNet(width=2)

    model(torch.randn(2, 1, 16, 16)).sum().backward()

    assert all(weight.grad is not None for weight in model.parameters())
