"""How good a network is on a split: whole detections and pixels, all and gold, by class and survey."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from astrid_training.calibration import (
    Calibration,
    Reliability,
    fit_calibration,
    log_odds,
    reliability,
)
from astrid_training.dataset import AstrIDTrainingDataset
from astrid_training.devices import Machine
from astrid_training.predictions import Predicted, predictions, weighted_mean
from astrid_training.scoring import Curve, Ranking, Scores, score_objects
from astrid_training.training_params import TrainingParams
from astrid_training.unet import UNet

__all__ = [
    "ALL",
    "GOLD",
    "Evaluation",
    "Part",
    "calibrate",
    "evaluate",
    "object_logits",
    "reviewed_gold",
]

ALL, GOLD = "all", "gold"
FARTHEST = 30.0  # of logits: float64 knows no probability beyond
LEVELS = 8192  # of pixels' logits, from -16 to 16; ranks within a step of 1/256 are ties
STEP = 2 * 16 / LEVELS

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """How good the network is on some of a split's samples."""

    objects: Scores
    """Of whole detections."""
    pixels: Scores
    """Of pixels that can be judged: code 1 against code 0."""
    object_curve: Curve
    pixel_curve: Curve


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the network is on a split."""

    split: str
    samples: int
    loss: float
    parts: dict[str, Part]
    """`all`, and `gold`: what reviewers settled beyond doubt, sky apart."""
    classes: dict[str, Part]
    """Objects: those of the class, beside all of the other label; pixels: of the class's stamps."""
    surveys: dict[str, Part]
    reliability: Reliability
    """Of calibrated probabilities of whole detections."""
    uncalibrated: Reliability

    def metrics(self) -> dict[str, float]:
        """Return what is defined, by name: `test_f1`, `test_gold_pixel_f1`, `test/class/agn/f1`."""
        found = {f"{self.split}_loss": self.loss}
        for name, part in self.parts.items():
            found |= _named(f"{self.split}_{'' if name == ALL else f'{name}_'}", part)
        for kind, parts in (("class", self.classes), ("survey", self.surveys)):
            for name, part in parts.items():
                found |= _named(f"{self.split}/{kind}/{name}/", part)
        errors = {"ece": self.reliability.ece, "ece_uncalibrated": self.uncalibrated.ece}
        told = {name: value for name, value in errors.items() if value is not None}
        return found | {f"{self.split}_{name}": value for name, value in told.items()}


def _named(prefix: str, part: Part) -> dict[str, float]:
    pixels = {f"pixel_{name}": value for name, value in part.pixels.metrics().items()}
    counts: dict[str, float] = dict(part.objects.counts())
    return {f"{prefix}{n}": v for n, v in (part.objects.metrics() | counts | pixels).items()}


def calibrate(
    model: UNet, dataset: AstrIDTrainingDataset, params: TrainingParams, machine: Machine
) -> Calibration:
    """Return the calibration that fits a split's detections; none where they are too few."""
    if not len(dataset):
        return Calibration()
    batches = predictions(model, dataset, params, machine)
    found = [object_logits(dataset, one, params) for one in batches]
    return fit_calibration(np.concatenate(found), dataset.labels)


def evaluate(
    model: UNet,
    dataset: AstrIDTrainingDataset,
    params: TrainingParams,
    machine: Machine,
    calibration: Calibration,
) -> Evaluation | None:
    """Return how good the model is on a split; None for an empty one.

    Args:
        model: on the machine's device.
        dataset: the split.
        params: threshold and radius.
        machine: where.
        calibration: of whole detections, whose calibrated probability the threshold is compared with;
            that of a pixel is the sigmoid of its logit.
    """
    if not len(dataset):
        return None
    groups = _groups(dataset)
    pixels = {name: _Pixels(log_odds(params.threshold)) for name in groups}
    logits, losses = [], []
    for one in predictions(model, dataset, params, machine):
        logits.append(object_logits(dataset, one, params))
        losses.append((one.loss, one.weight))
        _count(pixels, groups, one)
    scores = np.concatenate(logits)
    least = calibration.logit_of(params.threshold)

    def part(name: str, among: Bools) -> Part:
        chosen = _compared(name, among, dataset.labels)
        objects = Ranking.of(dataset.labels[chosen], scores[chosen])
        counted = pixels[name].ranking()
        seen = counted.scores_at(pixels[name].threshold)
        return Part(objects.scores_at(least), seen, objects.curve(), counted.curve())

    parts = {name: part(name, among) for name, among in groups.items()}
    return Evaluation(
        dataset.split,
        len(dataset),
        weighted_mean(losses),
        {name: parts[name] for name in (ALL, GOLD)},
        _of_kind(parts, "class/"),
        _of_kind(parts, "survey/"),
        reliability(calibration.probabilities(scores), dataset.labels),
        reliability(Calibration().probabilities(scores), dataset.labels),
    )


def object_logits(
    dataset: AstrIDTrainingDataset, predicted: Predicted, params: TrainingParams
) -> Floats:
    """Return the logit of each detection of a batch: the largest near its stored target."""
    at = slice(predicted.first, predicted.first + len(predicted.logits))
    x, y = (dataset.table[axis].to_numpy()[at] - dataset.spec.margin for axis in ("x", "y"))
    found = score_objects(predicted.logits[:, 0].numpy(), x, y, params.radius_px)
    return found.astype(np.float64).clip(-FARTHEST, FARTHEST)


def reviewed_gold(dataset: AstrIDTrainingDataset) -> Bools:
    """Return which samples reviewers settled beyond doubt; what nobody looked at is none."""
    reviewed = np.array(dataset.table["label_source"].to_pylist()) != "sky"
    gold: Bools = (np.array(dataset.table["tier"].to_pylist()) == GOLD) & reviewed
    return gold


def _groups(dataset: AstrIDTrainingDataset) -> dict[str, Bools]:
    """Return which samples belong to each part."""
    columns = {
        "class": np.array(dataset.classes, dtype=np.str_),
        "survey": np.array(dataset.table["survey"].to_pylist(), dtype=np.str_),
    }
    groups = {ALL: np.ones(len(dataset), np.bool_), GOLD: reviewed_gold(dataset)}
    for kind, names in columns.items():
        groups |= {f"{kind}/{name}": names == name for name in np.unique(names)}
    return groups


def _compared(name: str, among: Bools, labels: Integers) -> Bools:
    """Return which detections a part's scores are of: a class alone has nothing to be told from."""
    if not name.startswith("class/"):
        return among
    chosen: Bools = among | (labels != labels[among][0])
    return chosen


def _of_kind(parts: Mapping[str, Part], prefix: str) -> dict[str, Part]:
    return {n.removeprefix(prefix): part for n, part in parts.items() if n.startswith(prefix)}


@dataclass(slots=True)
class _Pixels:
    """How many pixels of each code have a logit in each step, counted from the threshold."""

    threshold: float
    counts: Integers = field(default_factory=lambda: np.zeros((2, LEVELS), np.int64))

    def add(self, logits: NDArray[np.float32], masks: NDArray[np.uint8]) -> None:
        level = np.floor((logits - self.threshold) / STEP) + LEVELS // 2
        place = level.clip(0, LEVELS - 1).astype(np.int64)
        for code in (0, 1):
            self.counts[code] += np.bincount(place[masks == code], minlength=LEVELS)

    def ranking(self) -> Ranking:
        there = np.flatnonzero(self.counts.any(axis=0))[::-1]
        scores = ((there - LEVELS // 2) * STEP + self.threshold).astype(np.float64)
        return Ranking(scores, self.counts[1, there], self.counts[0, there])


def _count(pixels: Mapping[str, _Pixels], groups: Mapping[str, Bools], one: Predicted) -> None:
    logits, masks = one.logits[:, 0].numpy(), one.batch.mask[:, 0].numpy()
    for name, among in groups.items():
        chosen = among[one.first : one.first + len(logits)]
        if chosen.any():
            pixels[name].add(logits[chosen], masks[chosen])
