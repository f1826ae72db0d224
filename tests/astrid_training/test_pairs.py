"""Training code that takes pairs of image and mask, as AstrID's notebook does, runs on a dataset."""

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from astrid_training.dataset import splits_from
from astrid_training.pairs import Pairs
from astrid_training.unet import UNet


@pytest.fixture
def splits(published: Any, tmp_path: Any) -> Any:
    return splits_from(published.record, published.store, tmp_path)


def test_an_item_is_an_image_and_a_target_of_the_same_sample(splits: Any) -> None:
    pairs = Pairs(splits.train)

    assert len(pairs) == len(splits.train)
    for index in (0, 7, len(pairs) - 1):
        image, target = pairs[index]
        sample = splits.train[index]
        assert torch.equal(image, sample.image)
        assert target.dtype == image.dtype == torch.float32
        assert target.shape == (1, *image.shape[1:])
        assert torch.equal(target == 1, sample.mask == 1)
        assert torch.equal(target == 0, sample.mask != 1)  # what is ignored counts as background


def test_a_loop_that_knows_nothing_of_us_learns(splits: Any) -> None:
    """Pairs in, `BCEWithLogitsLoss`, Adam, a scheduler on the validation loss: that notebook's loop."""
    loaders = {
        name: DataLoader(Pairs(getattr(splits, name)), batch_size=16, shuffle=name == "train")
        for name in ("train", "val")
    }
    torch.manual_seed(0)
    model, criterion = UNet(1, 4), torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)

    def train() -> None:
        model.train()
        for data, target in loaders["train"]:
            optimizer.zero_grad()
            criterion(model(data), target).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    @torch.no_grad()
    def validate() -> float:
        model.eval()
        losses = [criterion(model(data), target).item() for data, target in loaders["val"]]
        return float(sum(losses) / len(losses))

    before = validate()
    train()
    after = validate()
    scheduler.step(after)

    assert after < before


def test_workers_give_the_same_pairs(splits: Any) -> None:
    here, there = (
        list(DataLoader(Pairs(splits.val), batch_size=8, num_workers=workers)) for workers in (0, 1)
    )

    assert len(here) == len(there)
    for ours, theirs in zip(here, there, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
