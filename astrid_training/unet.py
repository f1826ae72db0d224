"""The network of AstrID's detection service, with a width that suits the machine."""

import math

import torch
from torch import Tensor, nn

__all__ = ["UNet"]

PRIOR = 0.01  # share of a stamp's pixels that a target covers, roughly


class UNet(nn.Module):
    """A U-Net of four levels that returns one logit per pixel.

    Its layers are those of AstrID's own U-Net, in order and name, so that a state trained here
    loads there, with `initial_filters` set to the width used here.

    Args:
        in_channels: images per sample.
        width: filters of the first level, doubled at each further one; AstrID uses 64.
    """

    DEPTH = 4

    def __init__(self, in_channels: int = 1, width: int = 8) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(self.DEPTH + 1)]
        self.encoders = nn.ModuleList(
            _block(before, after)
            for before, after in zip([in_channels, *widths], widths[:-1], strict=False)
        )
        self.bottleneck = _block(widths[-2], widths[-1])
        # the first step up halves twice: the bottleneck works at the last encoder's resolution
        steps = list(zip([widths[-1], *widths[-3:0:-1]], widths[-3::-1], strict=True))
        self.upsamples = nn.ModuleList(
            nn.ConvTranspose2d(before, after, kernel_size=2, stride=2) for before, after in steps
        )
        self.decoders = nn.ModuleList(_block(2 * after, after) for _, after in steps)
        self.final = nn.Conv2d(width, 1, kernel_size=1)
        # targets are rare: from even odds the first hundred steps only learn the background
        nn.init.constant_(self.final.get_parameter("bias"), math.log(PRIOR / (1 - PRIOR)))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (sample, 1, y, x), for images, (sample, channel, y, x) float32.

        Raises:
            ValueError: if a side is no multiple of 8, by which the levels halve it.
        """
        if images.shape[-1] % 8 or images.shape[-2] % 8:
            raise ValueError(
                f"a stamp of {images.shape[-1]} x {images.shape[-2]} px does not halve three "
                "times; use sides that are multiples of 8"
            )
        features, skips = images, []
        for level, encoder in enumerate(self.encoders):
            features = encoder(nn.functional.max_pool2d(features, 2) if level else features)
            skips.append(features)
        features = self.bottleneck(features)
        for upsample, decoder, skip in zip(
            self.upsamples, self.decoders, skips[-2::-1], strict=True
        ):
            features = decoder(torch.cat([upsample(features), skip], dim=1))
        logits: Tensor = self.final(features)
        return logits


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [
            nn.Conv2d(channels, after, kernel_size=3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
