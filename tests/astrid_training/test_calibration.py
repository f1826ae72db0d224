"""Probabilities mean what they say once two numbers are fitted, and the table shows it."""

import math

import numpy as np
import pytest

from astrid_training.calibration import Calibration, fit_calibration, log_odds, reliability


def make(count: int, temperature: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of a network that is `temperature` too sure and `offset` off, and labels."""
    random = np.random.default_rng(11)
    true = random.normal(0, 2, count)
    labels = (random.random(count) < 1 / (1 + np.exp(-true))).astype(np.int64)
    return (true - offset) * temperature, labels


def test_temperature_and_offset_are_found() -> None:
    logits, labels = make(20_000, temperature=3, offset=-1)

    found = fit_calibration(logits, labels)

    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.offset == pytest.approx(-1, abs=0.05)


def test_calibrated_probabilities_are_nearer_to_what_happens() -> None:
    logits, labels = make(4_000, temperature=4, offset=-2)
    half = len(labels) // 2
    fitted = fit_calibration(logits[:half], labels[:half])

    before = reliability(Calibration().probabilities(logits[half:]), labels[half:])
    after = reliability(fitted.probabilities(logits[half:]), labels[half:])

    assert before.ece is not None
    assert after.ece is not None
    assert after.ece < 0.04 < 0.2 < before.ece


def test_logits_that_tell_nothing_are_as_probable_as_real_ones_are_frequent() -> None:
    labels = np.tile([1, 0, 0, 0], 200)
    logits = np.where(labels == 1, 3.0, 5.0)  # the wrong way round, even

    found = fit_calibration(logits, labels)

    assert found.temperature == pytest.approx(20)
    assert found.probabilities(logits).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("labels", [[1] * 40, [0] * 40, [1] * 9 + [0] * 31, []])
def test_too_few_of_a_kind_fit_nothing(labels: list[int]) -> None:
    logits = np.linspace(-3, 3, len(labels))

    assert fit_calibration(logits, np.array(labels, np.int64)) == Calibration()


def test_logits_that_part_all_labels_stay_finite() -> None:
    labels = np.repeat([0, 1], 30)

    found = fit_calibration(np.where(labels == 1, 9.0, -9.0), labels)

    assert 0.9 < found.probabilities(np.array([9.0]))[0] < 1
    assert math.isfinite(found.temperature)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.93])
def test_a_probability_and_its_logit_are_each_others(probability: float) -> None:
    one = Calibration(temperature=2.5, offset=-0.7)

    assert one.probabilities(np.array([one.logit_of(probability)]))[0] == pytest.approx(probability)
    assert log_odds(0.5) == 0


def test_the_largest_logits_give_probabilities_without_overflow() -> None:
    assert Calibration().probabilities(np.array([-1e6, 1e6])).tolist() == [0, 1]


def test_the_table_holds_counts_means_and_shares_of_each_range() -> None:
    found = reliability(np.array([0.05, 0.15, 0.19, 0.2, 1.0]), np.array([0, 1, 0, 1, 1]))

    assert [one.count for one in found.bins] == [1, 2, 1, 0, 0, 0, 0, 0, 0, 1]
    assert (found.bins[1].low, found.bins[1].high) == (0.1, 0.2)
    assert found.bins[1].probability == pytest.approx(0.17)
    assert found.bins[1].real == 0.5
    assert found.bins[3].probability is None
    assert found.ece == pytest.approx((0.05 + 2 * 0.33 + 0.8 + 0) / 5)


def test_nothing_has_no_error() -> None:
    assert reliability(np.empty(0), np.empty(0, np.int64)).ece is None
