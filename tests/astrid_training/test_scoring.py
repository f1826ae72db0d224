"""Pixels become detections, scores become ratios: taken at the target, and honest."""

import numpy as np
import pytest

from astrid_training.scoring import Ranking, score_objects


def test_the_score_is_the_largest_pixel_near_the_target() -> None:
    pixels = np.zeros((4, 64, 60), np.float32)
    x, y = np.full(4, 46.1), np.full(4, 15.8)
    pixels[0, 16 + 3, 46] = 0.7
    pixels[0, 16, 46 + 4] = 0.9  # beyond the radius
    pixels[1, 46, 16] = 0.9  # axes swapped
    pixels[2, 32, 30] = 0.9  # the stamp's centre
    pixels[3] = -2  # a logit, below the 0 that stands for nothing

    scores = score_objects(pixels, x, y, radius_px=3.3)

    assert scores.tolist() == [pytest.approx(0.7), 0, 0, -2]


@pytest.mark.parametrize(
    ("labels", "scores", "counts", "ratios"),
    [
        pytest.param(
            [1, 1, 1, 0, 0],
            [0.9, 0.5, 0.1, 0.8, 0.2],
            {"tp": 2, "fp": 1, "fn": 1, "tn": 1},
            {
                "precision": 2 / 3,
                "recall": 2 / 3,
                "f1": 2 / 3,
                "roc_auc": 3 / 6,
                "pr_auc": (1 + 2 / 3 + 3 / 5) / 3,
            },
            id="some of each",
        ),
        pytest.param(
            [1, 0, 1, 0],
            [0.7, 0.7, 0.7, 0.1],
            {"tp": 2, "fp": 1, "fn": 0, "tn": 1},
            {"precision": 2 / 3, "recall": 1, "f1": 0.8, "roc_auc": 3 / 4, "pr_auc": 2 / 3},
            id="ties count half",
        ),
        pytest.param(
            [1, 0],
            [0.1, 0.2],
            {"tp": 0, "fp": 0, "fn": 1, "tn": 1},
            {"recall": 0, "f1": 0, "roc_auc": 0, "pr_auc": 0.5},
            id="nothing found",
        ),
        pytest.param(
            [0, 0],
            [0.9, 0.1],
            {"tp": 0, "fp": 1, "fn": 0, "tn": 1},
            {"precision": 0, "f1": 0},
            id="nothing real",
        ),
        pytest.param([], [], {"tp": 0, "fp": 0, "fn": 0, "tn": 0}, {}, id="nothing at all"),
    ],
)
def test_ratios_are_those_of_the_counts_and_absent_where_undefined(
    labels: list[int], scores: list[float], counts: dict[str, int], ratios: dict[str, float]
) -> None:
    ranking = Ranking.of(np.array(labels, np.int64), np.array(scores, np.float64))
    found = ranking.scores_at(0.5)

    assert found.counts() == counts
    assert found.metrics() == pytest.approx(ratios)


def test_areas_are_those_that_scikit_learn_finds() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 400)
    scores = (labels + random.normal(0, 1.5, 400)).round(1)  # rounded, so that there are ties

    found = Ranking.of(labels, scores).scores_at(0)

    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert found.pr_auc == pytest.approx(metrics.average_precision_score(labels, scores))


def test_a_curve_ends_where_everything_is_called_real_and_is_thinned() -> None:
    random = np.random.default_rng(5)
    labels = random.integers(0, 2, 3000)

    curve = Ranking.of(labels, random.normal(labels)).curve()

    assert (curve.recall[-1], curve.false_positive_rate[-1]) == (1, 1)
    assert curve.precision[-1] == pytest.approx(labels.mean())
    assert len(curve.recall) == len(curve.precision) <= 200
    assert curve.recall == sorted(curve.recall)
