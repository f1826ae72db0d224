"""Which stamps are usable, and how good each observation is."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from astrid_training import quality
from astrid_training.measure import MEASUREMENTS
from astrid_training.quality import (
    desirabilities,
    observing,
    reference_values,
    sample_scores,
    usability,
)
from astrid_training.surveys.profiles import BandReference, SurveyProfile, profile_for

GOOD: dict[str, Any] = {
    "sample_key": "k",
    "fwhm_px": 2.0,
    "fwhm_source": "header",
    "valid_frac": 1.0,
    "central_bad": 0,
    "saturated_centre": False,
    "is_constant": False,
    "template_coverage": 1.0,
    "background_rms": 10.0,
    "depth_5sigma": 21.0,
    "difference_noise_ratio": 1.0,
    "cr_frac": 0.0,
    "registration_px": 0.0,
}
USUAL = BandReference(fwhm_px=2.0, log_rms=math.log(10), log_rms_spread=0.1, depth_5sigma=21.0)
BAND = ("sim_ztf", "ztf_r")


def rows(*changes: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([GOOD | change for change in changes], schema=MEASUREMENTS)


def score(change: dict[str, Any], usual: BandReference = USUAL) -> float:
    values = sample_scores(rows(change), [BAND[0]], [BAND[1]], {BAND: usual})
    return float(values[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"valid_frac": 0.79}, "valid_fraction"),
        ({"valid_frac": 0.8}, None),
        ({"central_bad": 1}, "bad_centre"),
        ({"saturated_centre": True}, "saturated_centre"),
        ({"saturated_centre": None}, None),
        ({"is_constant": True}, "constant"),
        ({"template_coverage": 0.79}, "template_coverage"),
        ({"template_coverage": None}, None),
        ({"valid_frac": 0.1, "central_bad": 25}, "valid_fraction"),
        ({"fwhm_px": 40.0, "snr": 0.0, "elongation": 9.0}, None),
    ],
)
def test_a_stamp_is_unusable_for_one_named_reason(
    change: dict[str, Any], reason: str | None
) -> None:
    assert usability(rows({}, change)).tolist() == [None, reason]


def test_of_no_stamps_none_is_unusable() -> None:
    assert usability(MEASUREMENTS.empty_table()).tolist() == []


@pytest.mark.parametrize(
    ("metric", "change_good", "change_bad", "change_middle"),
    [
        ("fwhm", {"fwhm_px": 2.0}, {"fwhm_px": 5.0}, {"fwhm_px": 3.5}),
        (
            "background_rms",
            {"background_rms": 10 * math.exp(-0.1)},
            {"background_rms": 10 * math.exp(0.6)},
            {"background_rms": 10 * math.exp(-0.35)},
        ),
        ("depth", {"depth_5sigma": 22.0}, {"depth_5sigma": 19.0}, {"depth_5sigma": 20.0}),
        (
            "difference_noise",
            {"difference_noise_ratio": math.exp(-0.2)},
            {"difference_noise_ratio": math.exp(0.9)},
            {"difference_noise_ratio": math.exp(0.55)},
        ),
        (
            "registration",
            {"registration_px": 0.3},
            {"registration_px": 1.5},
            {"registration_px": 0.9},
        ),
        ("cosmic_rays", {"cr_frac": 0.002}, {"cr_frac": 0.02}, {"cr_frac": 0.011}),
        ("valid_fraction", {"valid_frac": 1.0}, {"valid_frac": 0.6}, {"valid_frac": 0.8}),
    ],
)
def test_each_desirability_falls_in_a_line_from_1_to_a_hundredth(
    metric: str,
    change_good: dict[str, Any],
    change_bad: dict[str, Any],
    change_middle: dict[str, Any],
) -> None:
    table = rows(change_good, change_bad, change_middle)

    values = desirabilities(table, [BAND[0]] * 3, [BAND[1]] * 3, {BAND: USUAL})[metric]

    assert values == pytest.approx([1, 0.01, 0.505])


def test_a_perfect_observation_scores_1() -> None:
    assert score({}) == pytest.approx(1)


def test_the_score_is_the_geometric_mean_of_what_is_known() -> None:
    assert score({"fwhm_px": 3.5}) == pytest.approx(0.505 ** (1 / 7))
    assert score({"fwhm_px": 3.5, "cr_frac": None, "registration_px": None}) == pytest.approx(
        0.505 ** (1 / 5)
    )


def test_one_metric_is_no_score() -> None:
    unknown = dict.fromkeys(
        ("background_rms", "depth_5sigma", "difference_noise_ratio", "cr_frac", "registration_px")
    )
    assumed = unknown | {"fwhm_source": "profile"}

    assert math.isnan(score(assumed))
    assert score(unknown | {"fwhm_source": "observation"}) == pytest.approx(1)


@pytest.mark.parametrize("source", ["profile", "few_stars"])
def test_a_width_that_is_not_measured_well_is_no_metric(source: str) -> None:
    known = desirabilities(rows({"fwhm_source": source}), [BAND[0]], [BAND[1]], {BAND: USUAL})

    assert np.isnan(known["fwhm"][0])
    assert not np.isnan(known["depth"][0])


def test_without_references_only_absolute_metrics_count() -> None:
    values = desirabilities(rows({}), ["?"], ["?"], {})

    missing = {name for name, value in values.items() if np.isnan(value[0])}
    assert missing == {"fwhm", "background_rms", "depth"}


def exposures(count: int, stamps: int = 1) -> tuple[pa.Table, list[str]]:
    """Return `stamps` rows an exposure whose width and noise grow from exposure to exposure."""
    changes = [
        {"fwhm_px": 2 + 0.1 * i, "background_rms": math.exp(0.1 * i), "depth_5sigma": 20 + i}
        for i in range(count)
        for _ in range(stamps if i == 0 else 1)
    ]
    ids = [f"e{i}" for i in range(count) for _ in range(stamps if i == 0 else 1)]
    return rows(*changes), ids


def references(table: pa.Table, ids: list[str]) -> BandReference:
    survey, band = ([name] * len(ids) for name in BAND)
    return reference_values(table, survey, band, ids)[BAND]


def test_20_exposures_say_what_is_usual() -> None:
    usual = references(*exposures(21))

    assert usual.fwhm_px == pytest.approx(3.0)
    assert usual.log_rms == pytest.approx(1.0)
    assert usual.log_rms_spread == pytest.approx(1.4826 * 0.5)
    assert usual.depth_5sigma == pytest.approx(30)


def test_19_exposures_do_not() -> None:
    assert references(*exposures(19)) == BandReference()


def test_an_exposure_counts_once_however_many_stamps_it_has() -> None:
    assert references(*exposures(21, stamps=500)) == references(*exposures(21))
    assert references(*exposures(19, stamps=500)) == BandReference()


def test_bands_and_surveys_are_judged_apart() -> None:
    table, ids = exposures(40)
    band = ["g" if i % 2 else "r" for i in range(40)]

    found = reference_values(table, ["a"] * 40, band, ids)

    assert found["a", "g"].depth_5sigma == pytest.approx(40)
    assert found["a", "r"].depth_5sigma == pytest.approx(39)


def test_values_of_the_profile_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = BandReference(fwhm_px=2.2)
    known = profile_for("sim_ztf").model_copy(update={"reference_values": {"ztf_r": stored}})

    def profile(_survey: str) -> SurveyProfile:
        return known

    monkeypatch.setattr(quality, "profile_for", profile)

    assert references(*exposures(5)) == stored
    usual = references(*exposures(21))
    assert usual.fwhm_px == 2.2
    assert usual.depth_5sigma == pytest.approx(30)


@pytest.mark.parametrize(
    ("metric", "just", "beyond"),
    [
        ("fwhm", {"fwhm_px": 4.0}, {"fwhm_px": 4.01}),
        ("depth", {"depth_5sigma": 20.0}, {"depth_5sigma": 19.99}),
        ("difference_noise", {"difference_noise_ratio": 2.0}, {"difference_noise_ratio": 2.01}),
        ("difference_noise", {"difference_noise_ratio": 0.5}, {"difference_noise_ratio": 0.49}),
        ("registration", {"registration_px": 0.5}, {"registration_px": 0.51}),
        ("cosmic_rays", {"cr_frac": 0.005}, {"cr_frac": 0.0051}),
        ("valid_fraction", {"valid_frac": 0.8}, {"valid_frac": 0.79}),
    ],
)
def test_observations_beyond_a_limit_are_counted(
    metric: str, just: dict[str, Any], beyond: dict[str, Any]
) -> None:
    table = rows({}, {}, just, beyond)

    told = observing(table, [BAND[0]] * 4, [BAND[1]] * 4, {BAND: USUAL})

    assert told[metric]["known"] == 4
    assert told[metric]["beyond_limit"] == 1
    assert sum(one["beyond_limit"] for one in told.values()) == 1


def test_a_metric_that_is_never_known_has_no_median() -> None:
    told = observing(rows({"registration_px": None}), ["?"], ["?"], {})

    assert told["registration"] == {"known": 0, "median": None, "beyond_limit": 0}
    assert told["fwhm"]["known"] == 0
    assert told["valid_fraction"]["median"] == 1.0
