"""Changes of training samples that are drawn anew each epoch, the same in every process.

What is drawn depends on seed, epoch and sample_key alone: not on the order of the samples, on the
batch they are in, or on how many workers there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import grid_sample, max_pool2d

from astrid_training.gather import Poses
from astrid_training.items import Batch

__all__ = ["Augmentation", "GaussianNoise", "SubpixelJitter", "key_numbers"]

Words = NDArray[np.uint64]

IGNORE = 255
POSE, NOISE, JITTER = 1, 2, 3  # so that what is drawn for one purpose tells nothing of another
_UNIT = 2.0**-53


@dataclass(frozen=True)
class Augmentation:
    """How samples are turned and moved; image and mask move together.

    Raises:
        ValueError: if `shift_px` is negative.
    """

    d4: bool = True
    """One of the eight turns and mirror images of the square."""
    shift_px: int = 0
    """Up to so many whole pixels along each axis, at most the margin that stamps are stored with."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shift_px < 0:
            raise ValueError(f"shift_px is {self.shift_px}; give 0 or more")

    def draw(self, keys: Words, epoch: int, margin: int) -> Poses:
        """Return the pose of each sample.

        A mirrored stamp has its target one pixel further back, as its side is even; the square
        moves with it as far as the margin allows.

        Args:
            keys: of the samples, see `key_numbers`.
            epoch: from 0.
            margin: pixels around the square, at least `shift_px`.
        """
        drawn = _draw(keys, self.seed, epoch, POSE)
        turn = (drawn & np.uint64(7)).astype(np.int64) if self.d4 else np.zeros(len(keys), np.int64)
        width = np.uint64(2 * self.shift_px + 1)
        down, right = (((drawn >> np.uint64(bit)) & np.uint64(0xFFFFFF)) % width for bit in (8, 36))
        top = margin - (turn >> 1 & 1) + down.astype(np.int64) - self.shift_px
        left = margin - (turn & 1) + right.astype(np.int64) - self.shift_px
        return Poses(turn, top.clip(0, 2 * margin), left.clip(0, 2 * margin))


class GaussianNoise(nn.Module):
    """Adds white noise to the images of a batch, on the device where they are.

    It is cut from a bank of random numbers at a place that each sample draws. Pixels that are
    exactly 0 are missing and stay so.
    """

    def __init__(
        self,
        sigma: float,
        channels: Sequence[str] = (),
        seed: int = 0,
        bank_size: int = 1 << 20,
    ) -> None:
        """Make the bank.

        Args:
            sigma: standard deviation, in the unit of the scaled pixels.
            channels: of the dataset; one named valid gets no noise.
            seed: of bank and places.
            bank_size: numbers in it, 4 bytes each.

        Raises:
            ValueError: if `sigma` is negative or not finite.
        """
        super().__init__()
        if not 0 <= sigma < float("inf"):
            raise ValueError(f"sigma is {sigma}; give a finite number, 0 or more")
        self.sigma, self.seed, self.epoch = sigma, seed, 0
        self.quiet = [number for number, name in enumerate(channels) if name == "valid"]
        bank = torch.randn(bank_size, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("bank", bank * sigma, persistent=False)
        self.bank: Tensor

    def set_epoch(self, epoch: int) -> None:
        """Draw other places from here on."""
        self.epoch = epoch

    def forward(self, batch: Batch) -> Batch:
        """Return the batch with other images; the one given stays as it is.

        Raises:
            ValueError: if a sample has more pixels than the bank has numbers.
        """
        size = batch.image[0].numel() if len(batch.key) else 0
        places = len(self.bank) - size + 1
        if places < 1:
            raise ValueError(
                f"a sample has {size} pixels, the bank {len(self.bank)} numbers; raise bank_size"
            )
        drawn = _draw(key_numbers(batch.key), self.seed, self.epoch, NOISE) % np.uint64(places)
        starts = torch.from_numpy(drawn.astype(np.int64)).to(batch.image.device)
        noise = self.bank.unfold(0, max(size, 1), 1)[starts].view_as(batch.image)
        noise[:, self.quiet] = 0
        return batch._replace(image=batch.image + noise * (batch.image != 0))


class SubpixelJitter(nn.Module):
    """Moves the images of a batch by up to half a pixel, on the device where they are.

    Opt-in: interpolation smooths the noise, half a pixel to .48-.72 of what it was. Pixels beside a
    missing one are ignored in the mask from then on; nothing else of the mask changes.
    """

    def __init__(self, shift_px: float = 0.5, seed: int = 0) -> None:
        """Keep how far to move.

        Args:
            shift_px: the largest shift along each axis, above 0 and at most 0.5.
            seed: of the shifts.

        Raises:
            ValueError: if `shift_px` is out of its range.
        """
        super().__init__()
        if not 0 < shift_px <= 0.5:
            raise ValueError(
                f"shift_px is {shift_px}; give up to 0.5, whole pixels are Augmentation's"
            )
        self.shift_px, self.seed, self.epoch = shift_px, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other shifts from here on."""
        self.epoch = epoch

    def forward(self, batch: Batch) -> Batch:
        """Return the batch with other images and masks; the one given stays as it is."""
        image = batch.image
        shifts = self._shifts(batch.key).to(image)
        missing = ((image == 0).all(1, keepdim=True) & (batch.mask == IGNORE)).float()
        beside = max_pool2d(missing, 3, 1, 1) > 0
        mask = batch.mask.masked_fill(beside, IGNORE)
        return batch._replace(image=_moved(image, shifts), mask=mask)

    def _shifts(self, keys: tuple[str, ...]) -> Tensor:
        """Return (sample, 2) float32, pixels along x and y."""
        drawn = _draw(key_numbers(keys), self.seed, self.epoch, JITTER)
        halves = np.stack([drawn & np.uint64(0xFFFFFFFF), drawn >> np.uint64(32)], axis=1)
        unit = halves.astype(np.float64) / 2.0**32
        return torch.from_numpy(((2 * unit - 1) * self.shift_px).astype(np.float32))


def key_numbers(keys: Sequence[str]) -> Words:
    """Return a number for each sample_key: its first 16 hex digits, which are a hash already."""
    digits = bytes.fromhex("".join([key[:16] for key in keys]))
    return np.frombuffer(digits, ">u8").astype(np.uint64)


def _draw(keys: Words, seed: int, epoch: int, purpose: int) -> Words:
    """Return 64 random bits for each sample (the mixing function of SplitMix64, thrice)."""
    state = keys
    for word in (seed, epoch, purpose):
        state = _mix(state ^ _mix(np.array([word % 2**64], np.uint64)))
    return state


def _mix(words: Words) -> Words:
    """Return the words mixed. Source: Steele, Lea and Flood 2014, Fast splittable generators."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _moved(image: Tensor, shifts: Tensor) -> Tensor:
    """Return (sample, plane, y, x) interpolated bilinearly, so that what was at x is at x + shift."""
    height, width = image.shape[-2:]
    y = torch.arange(height, device=image.device, dtype=image.dtype)
    x = torch.arange(width, device=image.device, dtype=image.dtype)
    at_x = (x[None] - shifts[:, :1]) * (2 / (width - 1)) - 1
    at_y = (y[None] - shifts[:, 1:]) * (2 / (height - 1)) - 1
    shape = (len(image), height, width)
    grid = torch.stack([at_x[:, None].expand(shape), at_y[:, :, None].expand(shape)], dim=-1)
    return grid_sample(image, grid, padding_mode="border", align_corners=True)
