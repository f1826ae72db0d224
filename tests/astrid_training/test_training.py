"""The U-Net learns what is marked, repeatably, and its state travels without pickles."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from astrid_training.dataset import TrainingSplits, splits_from
from astrid_training.errors import ParityError
from astrid_training.params import CHANNELS
from astrid_training.training import (
    TrainingParams,
    TrainingResult,
    load_unet,
    train_unet,
)

QUICK = TrainingParams(steps=60, batch_size=16, width=4, learning_rate=5e-3, seed=3)


@pytest.fixture(scope="module")
def splits(published: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainingSplits:
    return splits_from(published.record, published.store, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def result(splits: TrainingSplits, folder: Path) -> TrainingResult:
    return train_unet(splits, QUICK, folder)


def test_it_tells_blobs_from_hot_pixels(result: TrainingResult) -> None:
    assert len(result.loss_history) == QUICK.steps
    assert sum(result.loss_history[-10:]) < 0.9 * sum(result.loss_history[:10])
    for split in ("val", "test"):
        assert result.metrics[f"{split}_loss"] < 0.45
        assert result.metrics[f"{split}_recall"] > 0.9
        assert result.metrics[f"{split}_precision"] > 0.9
        assert result.metrics[f"{split}_f1"] > 0.9


def test_equal_seeds_give_equal_weights_whatever_was_drawn_before(
    splits: TrainingSplits, tmp_path: Path
) -> None:
    few = QUICK.model_copy(update={"steps": 3})
    first = train_unet(splits, few, tmp_path / "first")
    torch.rand(7)
    state = torch.random.get_rng_state()
    second = train_unet(splits, few, tmp_path / "second")

    assert torch.equal(torch.random.get_rng_state(), state)
    assert second.loss_history == first.loss_history
    weights = [load_unet(tmp_path / name).state_dict() for name in ("first", "second")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_seed_gives_other_weights(splits: TrainingSplits, tmp_path: Path) -> None:
    few = QUICK.model_copy(update={"steps": 2})

    first = train_unet(splits, few, tmp_path)
    second = train_unet(splits, few.model_copy(update={"seed": 4}), tmp_path)

    assert first.loss_history != second.loss_history


def test_progress_hears_of_every_step(splits: TrainingSplits, tmp_path: Path) -> None:
    heard: list[tuple[int, float]] = []
    few = QUICK.model_copy(update={"steps": 2})

    result = train_unet(splits, few, tmp_path, lambda step, loss: heard.append((step, loss)))

    assert heard == list(enumerate(result.loss_history, start=1))


def test_the_saved_network_predicts_and_says_what_it_is(
    published: Any, splits: TrainingSplits, result: TrainingResult, folder: Path
) -> None:
    model = load_unet(folder, published.record.spec_fingerprint)
    about = json.loads(result.metadata_path.read_text())

    real = int(splits.test.labels.argmax())
    probability = model(splits.test[real].image[None]).sigmoid()

    assert probability[0, 0, 32, 32] > 0.5
    assert probability[0, 0, 2, 2] < 0.5
    assert torch.load(result.state_path, weights_only=True).keys() == model.state_dict().keys()
    assert about["dataset_id"] == str(published.record.id)
    assert about["dataset_version"] == published.record.version_id
    assert about["spec_fingerprint"] == published.record.spec_fingerprint
    assert TrainingParams(**about["params"]) == QUICK
    assert about["metrics"] == result.metrics


def test_a_network_is_not_used_on_pixels_prepared_in_another_way(
    result: TrainingResult, folder: Path
) -> None:
    with pytest.raises(ParityError, match="got eeeeeeeeeeee"):
        load_unet(folder, "e" * 64)


def test_three_channels_can_be_trained_on(published: Any, tmp_path: Path) -> None:
    splits = splits_from(published.record, published.store, tmp_path / "cache", CHANNELS)
    params = TrainingParams(steps=1, batch_size=4, width=2, channels=CHANNELS)

    train_unet(splits, params, tmp_path)

    assert load_unet(tmp_path).encoders[0][0].in_channels == 3  # type: ignore[index]


def test_other_channels_than_those_loaded_are_refused(
    splits: TrainingSplits, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="training asks for science; load it with"):
        train_unet(splits, TrainingParams(channels=("science",)), tmp_path)


def test_an_empty_train_split_is_refused(published: Any, tmp_path: Path) -> None:
    empty = splits_from(published.record, published.store, tmp_path)
    empty.train.keys.clear()

    with pytest.raises(ValueError, match="nothing to train on"):
        train_unet(empty, QUICK, tmp_path)


def test_a_loss_that_explodes_is_an_error_and_saves_nothing(published: Any, tmp_path: Path) -> None:
    broken = splits_from(published.record, published.store, tmp_path)
    broken.train.weights[:] = math.nan  # the array that its views share

    with pytest.raises(FloatingPointError, match="nan at step 1; lower learning_rate"):
        train_unet(broken, QUICK, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"threshold": 1},
        {"channels": ()},
        {"batch": 3},
        {"seed": -1},
        {"schedule": "step"},
        {"dice_share": 0.6, "focal_share": 0.6},
    ],
)
def test_senseless_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingParams(**wrong)


def test_results_are_immutable(result: TrainingResult) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.metrics = {}  # type: ignore[misc]
