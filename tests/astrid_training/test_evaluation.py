"""Figures of a split add up: by part, class and survey, for detections and for pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from astrid_training.calibration import Calibration
from astrid_training.dataset import TrainingSplits, splits_from
from astrid_training.devices import Machine, choose_machine
from astrid_training.evaluation import Evaluation, calibrate, evaluate
from astrid_training.scoring import Ranking
from astrid_training.training import TrainingParams

PARAMS = TrainingParams(device="cpu", threshold=0.6)


class Brightness(nn.Module):
    """A stand-in for a network whose logits are known: the image itself, moved."""

    def __init__(self, offset: float = -3.0) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1] + self.offset


@pytest.fixture(scope="module")
def splits(published: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainingSplits:
    return splits_from(published.record, published.store, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def machine() -> Machine:
    return choose_machine(PARAMS)


@pytest.fixture(scope="module")
def test(splits: TrainingSplits, machine: Machine) -> Evaluation:
    found = evaluate(Brightness(), splits.test, PARAMS, machine, Calibration(2.0, 0.5))  # type: ignore[arg-type]
    assert found is not None
    return found


def everything(splits: TrainingSplits) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits and masks of all pixels of test, and the logit of each detection."""
    batch = splits.test.__getitems__(range(len(splits.test))).batch
    logits, masks = (batch.image[:, 0] - 3).numpy(), batch.mask[:, 0].numpy()
    rows, columns = np.indices(logits.shape[1:])
    near = (columns - 32.1) ** 2 + (rows - 31.8) ** 2 <= PARAMS.radius_px**2
    return logits, masks, np.where(near, logits, -np.inf).max(axis=(1, 2))


def test_detections_are_called_real_by_their_calibrated_probability(
    test: Evaluation, splits: TrainingSplits
) -> None:
    _, _, objects = everything(splits)
    called = 1 / (1 + np.exp(-(objects / 2 + 0.5))) >= 0.6
    real = splits.test.labels == 1

    assert test.parts["all"].objects.counts() == {
        "tp": (called & real).sum(),
        "fp": (called & ~real).sum(),
        "fn": (~called & real).sum(),
        "tn": (~called & ~real).sum(),
    }
    assert test.samples == len(splits.test)


def test_pixels_are_those_that_can_be_judged(test: Evaluation, splits: TrainingSplits) -> None:
    logits, masks, _ = everything(splits)
    valid = masks != 255
    called, target = logits >= np.log(0.6 / 0.4), masks == 1
    pixels = test.parts["all"].pixels

    assert pixels.counts() == {
        "tp": (called & target).sum(),
        "fp": (called & ~target & valid).sum(),
        "fn": (~called & target).sum(),
        "tn": (~called & ~target & valid).sum(),
    }
    exact = Ranking.of(target[valid].astype(int), logits[valid]).scores_at(0)
    assert pixels.roc_auc == pytest.approx(exact.roc_auc, abs=1e-4)
    assert pixels.pr_auc == pytest.approx(exact.pr_auc, abs=2e-3)


def test_gold_is_what_reviewers_settled(test: Evaluation, splits: TrainingSplits) -> None:
    table = splits.test.table
    gold = sum(tier == "gold" for tier in table["tier"].to_pylist())

    assert 0 < gold < len(splits.test)
    assert sum(test.parts["gold"].objects.counts().values()) == gold


def test_a_class_is_told_from_all_of_the_other_label(
    test: Evaluation, splits: TrainingSplits
) -> None:
    labels, classes = splits.test.labels, np.array(splits.test.classes)

    assert set(test.classes) == set(classes)
    for name, part in test.classes.items():
        is_real = bool(labels[classes == name][0])
        counts = part.objects.counts()
        others = labels == (0 if is_real else 1)
        assert sum(counts.values()) == (classes == name).sum() + others.sum()
        assert counts["tp"] + counts["fn"] == ((classes == name) | others)[labels == 1].sum()
        assert (part.pixels.recall is None) is not is_real


def test_surveys_together_are_the_whole(test: Evaluation) -> None:
    assert list(test.surveys) == ["sim_ztf"]
    assert test.surveys["sim_ztf"].objects == test.parts["all"].objects
    assert test.surveys["sim_ztf"].pixels == test.parts["all"].pixels


def test_metrics_have_plain_names_and_leave_out_what_is_undefined(test: Evaluation) -> None:
    metrics = test.metrics()

    assert metrics["test_f1"] == test.parts["all"].objects.f1
    assert metrics["test_gold_pixel_f1"] == test.parts["gold"].pixels.f1
    assert metrics["test/class/supernova/recall"] == test.classes["supernova"].objects.recall
    assert metrics["test/survey/sim_ztf/f1"] == metrics["test_f1"]
    assert "test/class/dipole/pixel_recall" not in metrics
    assert all(np.isfinite(value) for value in metrics.values())


class Blurred(nn.Module):
    """Another stand-in, which tells blobs from single pixels but calls both real."""

    def forward(self, image: Tensor) -> Tensor:
        return avg_pool2d(image[:, :1], 3, 1, 1)


def test_calibration_is_fitted_on_val_and_tells_the_error_before(
    splits: TrainingSplits, machine: Machine
) -> None:
    fitted = calibrate(Blurred(), splits.val, PARAMS, machine)  # type: ignore[arg-type]
    found = evaluate(Blurred(), splits.test, PARAMS, machine, fitted)  # type: ignore[arg-type]

    assert found is not None
    assert found.reliability.ece is not None
    assert found.uncalibrated.ece is not None
    assert found.reliability.ece < 0.1 < 0.3 < found.uncalibrated.ece
    assert sum(one.count for one in found.reliability.bins) == len(splits.test)
    assert found.metrics()["test_f1"] == 1


def test_an_empty_split_has_no_figures(published: Any, tmp_path: Path, machine: Machine) -> None:
    empty = splits_from(published.record, published.store, tmp_path).val
    empty.keys.clear()

    assert evaluate(Brightness(), empty, PARAMS, machine, Calibration()) is None  # type: ignore[arg-type]
    assert calibrate(Brightness(), empty, PARAMS, machine) == Calibration()  # type: ignore[arg-type]


def test_the_order_of_batches_changes_nothing(
    test: Evaluation, splits: TrainingSplits, machine: Machine
) -> None:
    few = PARAMS.model_copy(update={"batch_size": 5})

    found = evaluate(Brightness(), splits.test, few, machine, Calibration(2.0, 0.5))  # type: ignore[arg-type]

    assert found is not None
    assert found.parts == test.parts
    assert found.loss == pytest.approx(test.loss)
    assert torch.is_grad_enabled()
