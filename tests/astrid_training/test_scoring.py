"""Pixels become detections: scores are taken at the target, ratios are honest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from astrid_training.dataset import AstrIDTrainingDataset, splits_from
from astrid_training.scoring import object_metrics, score_objects


@pytest.fixture
def val(published: Any, tmp_path: Path) -> AstrIDTrainingDataset:
    return splits_from(published.record, published.store, tmp_path).val


def _with_target(dataset: AstrIDTrainingDataset, x: float, y: float) -> AstrIDTrainingDataset:
    count = len(dataset)
    for name, value in (("x", x), ("y", y)):
        place = dataset.table.column_names.index(name)
        dataset.table = dataset.table.set_column(place, name, [np.full(count, value)])
    return dataset


def test_the_score_is_the_largest_probability_near_the_stored_target(
    val: AstrIDTrainingDataset,
) -> None:
    moved = _with_target(val, x=50, y=20)  # of the stored 72 px: column 46, row 16 of an item
    probability = torch.zeros(len(val), 1, 64, 64)
    probability[0, 0, 16 + 3, 46] = 0.7
    probability[0, 0, 16, 46 + 4] = 0.9  # beyond the radius
    probability[1, 0, 46, 16] = 0.9  # axes swapped
    probability[2, 0, 32, 32] = 0.9  # the stamp's centre

    scores = score_objects(moved, probability, radius_px=3)

    assert scores[:4].tolist() == [pytest.approx(0.7), 0, 0, 0]


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        pytest.param(
            [1, 1, 1, 0, 0],
            [0.9, 0.5, 0.1, 0.8, 0.2],
            {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3},
            id="some of each",
        ),
        pytest.param([1, 0], [0.1, 0.1], {"recall": 0, "f1": 0}, id="nothing found"),
        pytest.param([0, 0], [0.9, 0.1], {"precision": 0, "f1": 0}, id="nothing real"),
        pytest.param([0, 0], [0.1, 0.1], {}, id="nothing at all"),
    ],
)
def test_ratios_are_those_of_the_counts_and_absent_where_undefined(
    labels: list[int], scores: list[float], expected: dict[str, float]
) -> None:
    measured = object_metrics(np.array(labels), np.array(scores, np.float32), threshold=0.5)

    assert measured == pytest.approx(expected)
