"""A killed training goes on to the same bits; a training ends when val no longer gets better."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from astrid_training.checkpoints import BEST, LAST, CheckpointError, kept_folder, training_key
from astrid_training.dataset import TrainingSplits, splits_from
from astrid_training.optimise import batches, learning_rate
from astrid_training.training import TrainingParams, TrainingResult, load_unet, train_unet

FEW = TrainingParams(
    steps=5, batch_size=8, width=2, validate_every=2, shift_px=2, noise_sigma=0.1, seed=5
)


class KilledError(Exception):
    """As if the process had died."""


@pytest.fixture(scope="module")
def splits(published_few: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainingSplits:
    return splits_from(published_few.record, published_few.store, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def whole(splits: TrainingSplits, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return train_unet(splits, FEW, tmp_path_factory.mktemp("whole"))


def killed_at(step: int) -> Any:
    def progress(done: int, _loss: float) -> None:
        if done == step:
            raise KilledError

    return progress


def same(one: TrainingResult, other: TrainingResult) -> bool:
    weights = [torch.load(result.state_path, weights_only=True) for result in (one, other)]
    return all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


SLOW = pytest.mark.slow


@pytest.mark.parametrize("step", [3, *(pytest.param(step, marks=SLOW) for step in (1, 4, 5))])
def test_a_killed_training_goes_on_to_the_bits_of_an_undisturbed_one(
    splits: TrainingSplits, whole: TrainingResult, tmp_path: Path, step: int
) -> None:
    with pytest.raises(KilledError):
        train_unet(splits, FEW, tmp_path, killed_at(step))
    torch.rand(3)
    heard: list[int] = []

    again = train_unet(splits, FEW, tmp_path, lambda n, _: heard.append(n), resume=True)

    assert heard[0] == 1 + 2 * ((step - 1) // 2)  # what came after the last look is done anew
    assert again.loss_history == whole.loss_history
    assert again.report.looks == whole.report.looks
    assert same(again, whole)
    assert again.metrics == whole.metrics


@pytest.mark.slow
def test_a_finished_training_is_not_trained_again(
    splits: TrainingSplits, whole: TrainingResult, tmp_path: Path
) -> None:
    shutil.copytree(whole.state_path.parent, tmp_path / "copy")

    again = train_unet(splits, FEW, tmp_path / "copy", killed_at(6), resume=True)

    assert same(again, whole)


@pytest.mark.slow
def test_without_resume_it_begins_at_the_start(
    splits: TrainingSplits, whole: TrainingResult, tmp_path: Path
) -> None:
    shutil.copytree(whole.state_path.parent, tmp_path / "copy")
    heard: list[int] = []

    train_unet(splits, FEW, tmp_path / "copy", lambda n, _: heard.append(n))

    assert heard == [1, 2, 3, 4, 5]


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(
    splits: TrainingSplits, whole: TrainingResult, tmp_path: Path
) -> None:
    shutil.copytree(whole.state_path.parent, tmp_path / "copy")
    other = FEW.model_copy(update={"learning_rate": 1e-3})

    with pytest.raises(CheckpointError, match="other parameters or samples; give another folder"):
        train_unet(splits, other, tmp_path / "copy", resume=True)
    (tmp_path / "copy" / LAST).write_bytes(b"PK broken")
    with pytest.raises(CheckpointError, match=r"last.pt is damaged .*; remove it"):
        train_unet(splits, FEW, tmp_path / "copy", resume=True)


def test_the_key_names_what_weights_depend_on(splits: TrainingSplits) -> None:
    record = splits.train.record

    keys = [
        training_key(record, FEW.model_copy(update=change))
        for change in (
            {},
            {"threshold": 0.3},
            {"radius_px": 2.0},
            {"seed": 6},
            {"threads": 2},
            {"precision": "bfloat16"},
        )
    ]

    assert keys[0] == keys[1] == keys[2]
    assert len({*keys[2:]}) == 4


def test_the_best_weights_are_kept_and_the_training_ends_when_val_gets_worse(
    splits: TrainingSplits, tmp_path: Path
) -> None:
    wild = FEW.model_copy(
        update={
            "steps": 40,
            "learning_rate": 0.5,
            "schedule": "constant",
            "validate_every": 1,
            "patience": 3,
        }
    )

    report = train_unet(splits, wild, tmp_path).report

    best = min(report.looks, key=lambda look: look[1])
    assert report.best_step == best[0]
    assert report.steps == best[0] + 3 < 40
    assert report.val is not None
    assert report.val.loss == pytest.approx(best[1], rel=1e-6)
    kept = torch.load(tmp_path / BEST, weights_only=True)
    assert kept["step"] == best[0]
    state = load_unet(tmp_path).state_dict()
    assert all(torch.equal(state[name], value) for name, value in kept["model"].items())


@pytest.mark.slow
def test_without_patience_it_goes_to_the_end(splits: TrainingSplits, tmp_path: Path) -> None:
    wild = FEW.model_copy(update={"learning_rate": 0.5, "validate_every": 1, "patience": 0})

    assert train_unet(splits, wild, tmp_path).report.steps == 5


def test_without_a_val_split_the_last_weights_are_kept(published_few: Any, tmp_path: Path) -> None:
    bare = splits_from(published_few.record, published_few.store, tmp_path / "cache")
    bare.val.keys.clear()

    result = train_unet(bare, FEW, tmp_path)

    assert (result.report.looks, result.report.best_step, result.report.val) == ([], 5, None)
    assert "test_f1" in result.metrics
    assert "val_loss" not in result.metrics


def test_batches_from_a_step_on_are_those_that_come_there(splits: TrainingSplits) -> None:
    train = splits.train.augmented(None)
    per_epoch = len(train) // FEW.batch_size

    first = batches(train, FEW, 0)
    keys = [next(first).key for _ in range(2 * per_epoch)]
    later = batches(train, FEW, per_epoch + 1)

    assert [next(later).key for _ in range(3)] == keys[per_epoch + 1 : per_epoch + 4]
    assert len({key for batch in keys[:per_epoch] for key in batch}) == per_epoch * FEW.batch_size
    assert keys[:per_epoch] != keys[per_epoch:]


def test_a_balanced_epoch_has_as_many_real_as_bogus_ones(splits: TrainingSplits) -> None:
    few = FEW.model_copy(update={"balance": "label", "batch_size": len(splits.train)})

    labels = next(batches(splits.train, few, 0)).label

    assert len(labels) == len(splits.train)
    assert abs(int(labels.sum()) * 2 - len(labels)) <= 1


def test_the_learning_rate_rises_then_falls_along_a_cosine() -> None:
    params = TrainingParams(steps=100, learning_rate=0.01)

    rates = [learning_rate(params, number) for number in range(100)]

    assert rates[0] == pytest.approx(0.002)
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert rates[50] == pytest.approx(0.005)
    assert rates[-1] < 1e-5
    flat = params.model_copy(update={"schedule": "constant"})
    assert learning_rate(flat, 0) == learning_rate(flat, 99) == 0.01


def test_the_folder_of_a_training_stays_until_it_has_come_to_a_good_end(tmp_path: Path) -> None:
    key = "ab" * 32

    def train_and_die() -> None:
        with kept_folder(tmp_path, key) as folder:
            (folder / LAST).write_bytes(b"state")
            raise KilledError

    with pytest.raises(KilledError):
        train_and_die()
    with kept_folder(tmp_path, key) as folder:
        assert (folder / LAST).read_bytes() == b"state"
    assert not folder.exists()


def test_folders_that_nobody_came_back_for_are_removed(tmp_path: Path) -> None:
    old, new = (tmp_path / "trainings" / name for name in ("old", "new"))
    for path, days in ((old, 31), (new, 29)):
        path.mkdir(parents=True)
        os.utime(path, (0, time.time() - days * 86_400))

    with kept_folder(tmp_path, "cd" * 32):
        pass

    assert (old.exists(), new.exists()) == (False, True)


def test_the_report_is_what_the_training_returned(whole: TrainingResult) -> None:
    told = json.loads(whole.report_path.read_text())

    assert told["losses"] == whole.loss_history
    assert told["test"]["parts"]["gold"]["objects"]["tp"] == whole.metrics["test_gold_tp"]
    assert told["best_step"] == whole.report.best_step
