"""Each gate on its own: what it lets through, what it refuses, and by what it can be overridden."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from astrid_training.params import OVERRIDES, TrainingDataCollectionParams
from astrid_training.quality import DataQualityReport, DataQualityValidator, Gate
from astrid_training.quality_report import SAMPLES
from astrid_training.records import FunnelRow

SPLITS = ["train"] * 8 + ["val", "test"]


def rows(count: int, *, real: bool, **columns: Any) -> list[dict[str, Any]]:
    """Return samples that pass every gate, ten percent of them in val and in test."""
    return [
        {
            "sample_key": f"{real}{i}",
            "is_anomaly": real,
            "label_source": "human",
            "confidence": 0.9,
            "quality_score": 0.9,
            "survey": "sim_ztf",
            "observation_time": datetime(2024, 3, 1, tzinfo=UTC),
            "split": SPLITS[i % 10],
            "group_key": f"{real}{i}",
            "votes": "[]",
            "science_kind": "raw",
            "reference_kind": "raw",
            "difference_kind": "raw",
        }
        | columns
        for i in range(count)
    ]


def report(*parts: list[dict[str, Any]], **settings: Any) -> DataQualityReport:
    table = pa.Table.from_pylist([row for part in parts for row in part], schema=SAMPLES)
    return DataQualityValidator(**settings).validate_training_data(table)


def gate(name: str, found: DataQualityReport) -> Gate:
    return next(gate for gate in found.gates if gate.name == name)


GOOD = [*rows(100, real=True), *rows(100, real=False)]
RARE = {"n_multi": 20, "alpha": 0.19}


@pytest.mark.parametrize(
    ("name", "override", "samples", "settings", "cause"),
    [
        pytest.param(
            "splits_not_empty",
            "allow_sparse_splits",
            [row for row in GOOD if row["split"] != "val"],
            {},
            "no sample in val: collect more of the sky",
            id="an empty split",
        ),
        pytest.param(
            "classes_in_splits",
            "allow_sparse_splits",
            [row for row in GOOD if row["split"] != "test" or row["is_anomaly"]],
            {},
            "test has no rejected sky group: collect more",
            id="a split without a class of many groups",
        ),
        pytest.param(
            "two_classes",
            "allow_one_class",
            [*rows(100, real=True), *rows(9, real=False)],
            {},
            "only 100 real and 9 rejected detections: review more",
            id="few rejected",
        ),
        pytest.param(
            "mean_confidence",
            "allow_doubtful_labels",
            [*rows(100, real=True, confidence=0.69), *rows(100, real=False, confidence=0.69)],
            {},
            "labels 0.690 is below 0.7: let others review",
            id="doubtful labels",
        ),
        pytest.param(
            "coverage",
            "allow_low_coverage",
            GOOD,
            {"dropped_unusable": 201},
            "only 50% of the subjects have usable files and pixels: the funnel says",
            id="most lost",
        ),
        pytest.param(
            "image_quality",
            "allow_poor_images",
            [*rows(100, real=True, quality_score=0.49), *rows(100, real=False, quality_score=0.4)],
            {},
            "is below 0.5: leave out bad nights by date_range",
            id="poor images",
        ),
        pytest.param(
            "difference_images",
            "allow_science_masks",
            [
                *rows(100, real=True),
                *rows(60, real=False),
                *rows(41, real=False, difference_kind=None),
            ],
            {},
            "only 160 of 201 samples have a difference image: run the differencing",
            id="no differences",
        ),
        pytest.param(
            "reviewer_agreement",
            "allow_disagreement",
            GOOD,
            {"consistency": RARE},
            "alpha 0.19, 20 subjects with several reviewers, is below 0.2: agree on what",
            id="reviewers who disagree",
        ),
        pytest.param(
            "image_kinds",
            "allow_mixed_sources",
            [
                *rows(100, real=True),
                *rows(89, real=False),
                *rows(11, real=False, science_kind="processed"),
            ],
            {},
            "0% of real and 11% of rejected samples have a processed science image; "
            "100% of real and 89% of rejected samples have a raw science image: a model could tell",
            id="kinds that tell the class",
        ),
        pytest.param(
            "image_kinds",
            "allow_mixed_sources",
            [
                *rows(50, real=True),
                *rows(50, real=True, science_kind="processed"),
                *rows(35, real=False),
                *rows(65, real=False, science_kind="processed"),
                *rows(30, real=False, label_source="sky"),
                *rows(15, real=False, label_source="sky", science_kind="processed"),
            ],
            {},
            "50% of real and 65% of rejected samples have a processed science image; "
            "50% of real and 35% of rejected samples have a raw science image; "
            "50% of real and 33% of sky samples have a processed science image; ",
            id="kinds of rejected and of sky that balance each other",
        ),
    ],
)
def test_a_gate_that_refuses_says_why_and_yields_to_its_parameter_alone(
    name: str, override: str, samples: list[dict[str, Any]], settings: dict[str, Any], cause: str
) -> None:
    refused = gate(name, report(samples, quality_score_threshold=0, **settings))
    others = set(OVERRIDES) - {override}
    still = report(samples, quality_score_threshold=0, overrides=others, **settings)
    let = report(samples, quality_score_threshold=0, overrides={override}, **settings)

    assert not refused.passed
    assert cause in refused.detail
    assert refused.detail.endswith(f", or set {override}")
    assert not gate(name, still).passed
    assert gate(name, let).passed
    assert gate(name, let).detail.endswith(f"let through by {override}")
    assert let.overrides == [override]
    assert refused.detail not in let.issues


@pytest.mark.parametrize(
    ("samples", "settings"),
    [
        pytest.param(GOOD, {}, id="a good set"),
        pytest.param([*GOOD, *rows(10, real=False, split="train")], {}, id="more of a class"),
        pytest.param([*rows(90, real=True), *rows(10, real=False)], {}, id="ten rejected"),
        pytest.param(GOOD, {"dropped_unusable": 200}, id="half lost"),
        pytest.param(
            [
                *rows(100, real=True),
                *rows(60, real=False),
                *rows(40, real=False, difference_kind=None),
            ],
            {"overrides": {"allow_mixed_sources"}},
            id="a fifth without a difference",
        ),
        pytest.param(
            [*rows(100, real=True), *rows(100, real=False, difference_kind=None)],
            {"channels": ("science", "reference")},
            id="no differences where nobody asks for them",
        ),
        pytest.param(GOOD, {"consistency": {**RARE, "alpha": 0.2}}, id="alpha just enough"),
        pytest.param(GOOD, {"consistency": {**RARE, "n_multi": 19}}, id="too few to tell alpha"),
        pytest.param(GOOD, {"consistency": {"n_multi": 30, "alpha": None}}, id="no alpha"),
        pytest.param(
            [
                *rows(100, real=True),
                *rows(90, real=False),
                *rows(10, real=False, science_kind="processed"),
            ],
            {},
            id="ten points apart",
        ),
        pytest.param(
            [
                *rows(60, real=True),
                *rows(40, real=True, science_kind="processed"),
                *rows(70, real=False),
                *rows(30, real=False, science_kind="processed"),
            ],
            {},
            id="ten points apart, which is a little more in floating point",
        ),
        pytest.param(
            [*GOOD, *rows(20, real=False, label_source="sky")],
            {},
            id="sky of the same kind",
        ),
        pytest.param(
            [
                *rows(100, real=True, science_kind="stamp"),
                *rows(100, real=False, science_kind="stamp"),
            ],
            {},
            id="one kind of another sort",
        ),
        pytest.param(
            [*rows(29, real=True, split="train"), *rows(100, real=False)],
            {},
            id="a class of 29 groups in one split",
        ),
    ],
)
def test_what_is_just_good_enough_passes(
    samples: list[dict[str, Any]], settings: dict[str, Any]
) -> None:
    found = report(samples, quality_score_threshold=0, **settings)

    assert found.passed, [gate for gate in found.gates if not gate.passed]
    assert set(found.overrides) == set(settings.get("overrides", ()))


def test_several_kinds_of_image_are_told_though_they_do_not_tell_the_class() -> None:
    mixed = [
        row
        for real in (True, False)
        for kind, count in (("raw", 60), ("processed", 40))
        for row in rows(count, real=real, science_kind=kind)
    ]

    found = report(mixed)

    assert gate("image_kinds", found).passed
    assert (
        "science images are of several kinds (80 processed, 120 raw): expect a model to do worse on "
        "the rarer ones; source_policy leaves one"
    ) in found.issues
    assert not any("of several kinds" in issue for issue in report(GOOD).issues)


def test_a_class_of_many_samples_in_few_groups_is_only_a_warning() -> None:
    few = [row | {"group_key": f"few{i % 29}"} for i, row in enumerate(rows(290, real=True))]
    found = report([row | {"split": "train"} for row in few], rows(100, real=False))

    assert gate("classes_in_splits", found).passed
    assert "val holds 0 real sky groups: metrics there mean little" in found.issues


def test_nothing_lets_an_empty_dataset_through() -> None:
    drops = [
        FunnelRow("fetch_validated_detections", "no_difference", 12),
        FunnelRow("fetch_validated_detections", "ambiguous", 3),
    ]
    found = report([], quality_score_threshold=0, overrides=OVERRIDES, drops=drops)

    assert not found.passed
    assert found.issues[0] == (
        "no sample in train, val, test: none is left, 12 left for no_difference; "
        "see what that means in the funnel"
    )


def test_every_override_is_a_parameter_that_is_off() -> None:
    fields = TrainingDataCollectionParams.model_fields
    assert {name for name in fields if name.startswith("allow_")} == set(OVERRIDES)
    assert TrainingDataCollectionParams().overrides == frozenset()
    for name in OVERRIDES:
        assert TrainingDataCollectionParams.model_validate({name: True}).overrides == {name}


@pytest.mark.parametrize(
    ("said", "scores", "expected"),
    [
        pytest.param(["POOR", "FAIR", "GOOD", "EXCELLENT"], [0.1, 0.2, 0.3, 0.9], 1.0, id="alike"),
        pytest.param(
            ["EXCELLENT", "GOOD", "FAIR", "POOR"], [0.1, 0.2, 0.3, 0.9], -1.0, id="opposed"
        ),
        pytest.param(
            ["POOR", "POOR", "GOOD", "GOOD"], [0.1, 0.4, 0.2, 0.9], 0.4472, id="with ties"
        ),
        pytest.param(["GOOD"] * 4, [0.1, 0.2, 0.3, 0.4], None, id="all one word"),
        pytest.param(["GOOD", "POOR"], [0.1, 0.2], None, id="two"),
    ],
)
def test_the_score_is_correlated_with_what_people_said_of_the_image(
    said: list[str], scores: list[float], expected: float | None
) -> None:
    def votes(word: str) -> str:
        old = {"image_quality": "POOR", "state": "superseded"}
        return json.dumps([old, {"image_quality": word, "state": "counts"}, {"state": "counts"}])

    judged = [
        row | {"votes": votes(word), "quality_score": score}
        for row, word, score in zip(rows(len(said), real=True), said, scores, strict=True)
    ]
    unscored = rows(1, real=False, votes=votes("GOOD"), quality_score=None)
    found = report(judged, unscored, rows(5, real=False)).human_image_quality

    assert found["n"] == len(said)
    assert found["spearman"] == (None if expected is None else pytest.approx(expected, abs=1e-4))


def test_several_words_on_one_image_count_by_their_mean() -> None:
    def votes(*words: str) -> str:
        return json.dumps([{"image_quality": word, "state": "counts"} for word in words])

    samples = rows(3, real=True)
    for row, words, score in zip(
        samples, (["GOOD", "POOR"], ["FAIR"], ["GOOD"]), (0.5, 0.5, 0.9), strict=True
    ):
        row |= {"votes": votes(*words), "quality_score": score}

    assert report(samples).human_image_quality == {"spearman": pytest.approx(1.0), "n": 3}
