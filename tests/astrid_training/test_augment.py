"""What is drawn follows from seed, epoch and sample; image and mask move as one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.utils.data import DataLoader

from astrid_training.augment import Augmentation, GaussianNoise, SubpixelJitter, key_numbers
from astrid_training.dataset import AstrIDTrainingDataset, splits_from
from astrid_training.gather import oriented
from astrid_training.items import Batch
from astrid_training.samplers import EpochSampler

CENTRE = 36  # of a stored stamp


def _train(published: Any, folder: Path, augmentation: Augmentation) -> AstrIDTrainingDataset:
    return splits_from(published.record, published.store, folder, augmentation=augmentation).train


def _seen(loader: DataLoader[Any]) -> dict[str, bytes]:
    seen = {}
    for batch in loader:
        for image, mask, key in zip(batch.image, batch.mask, batch.key, strict=True):
            seen[key] = image.numpy().tobytes() + mask.numpy().tobytes()
    return seen


def test_an_augmented_item_is_a_turned_and_shifted_square_of_the_stored_stamp(
    published: Any, tmp_path: Path
) -> None:
    augmentation = Augmentation(shift_px=3)
    train = _train(published, tmp_path, augmentation)
    train.set_epoch(2)
    stored = dict(zip(published.samples["sample_key"].to_pylist(), range(240), strict=True))
    poses = augmentation.draw(key_numbers(train.keys), 2, 4)

    for index, sample in enumerate(train):
        number = stored[sample.key]
        rows = slice(poses.top[index], poses.top[index] + 64)
        columns = slice(poses.left[index], poses.left[index] + 64)
        turn = int(poses.turn[index])
        mask = oriented(published.masks[number], turn)[rows, columns]
        assert_array_equal(
            sample.image[0], oriented(published.images[number, 2], turn)[rows, columns]
        )
        assert_array_equal(sample.mask[0], np.where(mask == 2, 0, mask))
    assert len(set(poses.turn.tolist())) == 8


def test_the_target_stays_inside_and_within_the_shift_of_its_place() -> None:
    keys = np.arange(4000, dtype=np.uint64) * np.uint64(977)
    poses = Augmentation(shift_px=4).draw(keys, 0, 4)

    row = CENTRE - (poses.turn >> 1 & 1) - poses.top
    column = CENTRE - (poses.turn & 1) - poses.left
    assert abs(row - 32).max() == abs(column - 32).max() == 4
    still = Augmentation().draw(keys, 0, 4)
    assert set((CENTRE - (still.turn >> 1 & 1) - still.top).tolist()) == {32}
    assert set((CENTRE - (still.turn & 1) - still.left).tolist()) == {32}


def test_turns_and_shifts_are_drawn_evenly() -> None:
    keys = np.arange(40_000, dtype=np.uint64)
    poses = Augmentation(shift_px=2).draw(keys, 1, 4)

    down = poses.top - 4 + (poses.turn >> 1 & 1)
    assert np.bincount(poses.turn, minlength=8) == pytest.approx([5000] * 8, rel=0.06)
    assert np.bincount(down + 2, minlength=5) == pytest.approx([8000] * 5, rel=0.05)
    assert abs(np.corrcoef(down, poses.turn)[0, 1]) < 0.02


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param({"num_workers": 0}, id="in process"),
        pytest.param(
            {"num_workers": 2, "multiprocessing_context": "fork", "persistent_workers": True},
            id="fork",
        ),
        pytest.param(
            {"num_workers": 1, "multiprocessing_context": "spawn", "persistent_workers": True},
            id="spawn",
        ),
    ],
)
def test_augmentation_does_not_depend_on_workers_order_or_batches(
    published: Any, tmp_path: Path, workers: dict[str, Any]
) -> None:
    train = _train(published, tmp_path, Augmentation(shift_px=4, seed=5))
    alone = {}
    for epoch in (0, 1):
        train.set_epoch(epoch)
        alone[epoch] = _seen(DataLoader(train, batch_size=7))
    sampler = EpochSampler(train, seed=9)
    loader: DataLoader[Any] = DataLoader(train, batch_size=32, sampler=sampler, **workers)

    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        assert _seen(loader) == alone[epoch]
    assert alone[0] != alone[1]


def test_val_and_test_stay_as_they_are(published: Any, tmp_path: Path) -> None:
    splits = splits_from(
        published.record, published.store, tmp_path, augmentation=Augmentation(shift_px=4)
    )
    plain = splits_from(published.record, published.store, tmp_path)

    for one, other in zip(splits[1:], plain[1:], strict=True):
        assert_array_equal(
            one.__getitems__(range(9)).batch.image, other.__getitems__(range(9)).batch.image
        )


@pytest.mark.parametrize("shift", [-1, 5])
def test_a_shift_beyond_the_margin_is_refused(published: Any, tmp_path: Path, shift: int) -> None:
    with pytest.raises(ValueError, match="shift"):
        _train(published, tmp_path, Augmentation(shift_px=shift))


@pytest.fixture
def batch(published: Any, tmp_path: Path) -> Batch:
    train = splits_from(published.record, published.store, tmp_path).train
    batch = train.__getitems__(range(40)).batch
    batch.image[:, :, 10:14, 10:14] = 0
    batch.mask[:, :, 10:14, 10:14] = 255
    return batch


def test_noise_has_its_width_and_leaves_missing_pixels_alone(batch: Batch) -> None:
    noisy = GaussianNoise(0.2)(batch)

    added = noisy.image - batch.image
    assert added[batch.image != 0].std().item() == pytest.approx(0.2, rel=0.02)
    assert added[batch.image == 0].abs().max() == 0
    assert noisy.mask is batch.mask
    assert torch.corrcoef(added[:2].flatten(1))[0, 1].abs() < 0.1


def test_noise_depends_on_the_sample_and_the_epoch_alone(batch: Batch) -> None:
    noise = GaussianNoise(0.2, seed=3)
    whole = noise(batch).image
    some = Batch(*(field[5:7] for field in batch[:5]), context=batch.context)  # type: ignore[arg-type, misc]

    assert torch.equal(noise(some).image, whole[5:7])
    assert torch.equal(GaussianNoise(0.2, seed=3)(batch).image, whole)
    noise.set_epoch(1)
    assert not torch.equal(noise(batch).image, whole)


def test_validity_gets_no_noise(batch: Batch) -> None:
    both = batch._replace(image=torch.cat([batch.image, torch.ones_like(batch.image)], 1))

    noisy = GaussianNoise(0.2, channels=("difference", "valid"))(both)

    assert torch.equal(noisy.image[:, 1], both.image[:, 1])
    assert not torch.equal(noisy.image[:, 0], both.image[:, 0])


def test_a_bank_that_is_too_small_is_refused(batch: Batch) -> None:
    with pytest.raises(ValueError, match="raise bank_size"):
        GaussianNoise(0.2, bank_size=100)(batch)
    with pytest.raises(ValueError, match="0 or more"):
        GaussianNoise(-1)


def _centroid(image: torch.Tensor) -> tuple[float, float]:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    total = image.sum()
    return float((image * x).sum() / total), float((image * y).sum() / total)


def test_jitter_moves_a_source_by_what_was_drawn(batch: Batch) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    blob = torch.exp(-((x - 32) ** 2 + (y - 32) ** 2) / 12)
    sources = batch._replace(image=blob.expand(40, 1, 64, 64))
    jitter = SubpixelJitter()
    shifts = jitter._shifts(batch.key)

    moved = jitter(sources).image

    for image, (dx, dy) in zip(moved[:, 0], shifts.tolist(), strict=True):
        assert _centroid(image) == pytest.approx((32 + dx, 32 + dy), abs=0.01)
    assert 0.4 < float(shifts.abs().max()) <= 0.5


def test_jitter_ignores_what_a_missing_pixel_touched_and_changes_no_other_mask(
    batch: Batch,
) -> None:
    jittered = SubpixelJitter()(batch)

    grown = batch.mask.clone()
    grown[:, :, 9:15, 9:15] = 255
    assert torch.equal(jittered.mask, grown)


@pytest.mark.parametrize("shift", [0, 0.6])
def test_jitter_of_whole_pixels_is_refused(shift: float) -> None:
    with pytest.raises(ValueError, match=r"up to 0\.5"):
        SubpixelJitter(shift)
