"""The dataset's score and gates: sane sets pass, useless ones fail with cause and cure."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from astrid_training.params import CHANNELS
from astrid_training.quality import DataQualityValidator
from astrid_training.quality_report import SAMPLES
from astrid_training.records import TrainingSample

SPLITS = ["train"] * 8 + ["val", "test"]


def samples(real: int, bogus: int, **columns: Any) -> pa.Table:
    """Return reviewed samples of one NULL-level reviewer and good observations."""
    rows = [
        {
            "sample_key": f"{i:032d}",
            "is_anomaly": i < real,
            "label_source": "human",
            "confidence": 0.85,
            "quality_score": 0.85,
            "survey": "sim_ztf",
            "band": "ztf_r",
            "observation_time": datetime(2024, 3 + i % 2, 1, tzinfo=UTC),
            "split": SPLITS[i % 10],
            "group_key": f"g{i}",
            "n_validators": 1,
            "agreement": None,
            "votes": "[]",
            "science_kind": "raw",
            "reference_kind": "raw",
            "difference_kind": "raw",
        }
        for i in range(real + bogus)
    ]
    rows = [row | columns for row in rows]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def failed(table: pa.Table, **settings: Any) -> set[str]:
    report = DataQualityValidator(**settings).validate_training_data(table)
    return {gate.name for gate in report.gates if not gate.passed}


@pytest.mark.parametrize(
    ("real", "bogus", "score"),
    [
        pytest.param(200, 200, 0.880, id="one reviewer, even classes"),
        pytest.param(40, 400, 0.848, id="one reviewer, 1 to 10"),
        pytest.param(300, 16, 0.824, id="300 real to 16 rejected"),
    ],
)
def test_sane_sets_pass(real: int, bogus: int, score: float) -> None:
    table = samples(real, bogus, confidence=0.85, quality_score=0.764)

    report = DataQualityValidator().validate_training_data(table)

    assert report.passed
    assert report.quality_score == pytest.approx(score, abs=0.0005)


@pytest.mark.parametrize(
    ("table", "settings", "gates"),
    [
        pytest.param(samples(400, 0), {}, {"two_classes", "quality_score"}, id="only real"),
        pytest.param(samples(0, 400), {}, {"two_classes", "quality_score"}, id="only rejected"),
        pytest.param(samples(1, 1), {}, {"two_classes", "splits_not_empty"}, id="two samples"),
        pytest.param(
            samples(200, 200),
            {"selected": 1000, "dropped_unusable": 600},
            {"quality_score", "coverage"},
            id="60 percent dropped",
        ),
        pytest.param(
            samples(200, 200, quality_score=0.2),
            {},
            {"quality_score", "image_quality"},
            id="bad images",
        ),
        pytest.param(
            samples(200, 200, confidence=0.6),
            {},
            {"quality_score", "mean_confidence"},
            id="doubtful labels",
        ),
        pytest.param(
            samples(200, 200, difference_kind=None), {}, {"difference_images"}, id="no differences"
        ),
        pytest.param(
            samples(50, 50, split="train"),
            {},
            {"splits_not_empty", "classes_in_splits"},
            id="no val, no test",
        ),
        pytest.param(
            samples(0, 0), {}, {"two_classes", "splits_not_empty", "quality_score"}, id="nothing"
        ),
    ],
)
def test_useless_sets_fail(table: pa.Table, settings: dict[str, Any], gates: set[str]) -> None:
    assert failed(table, **settings) == gates


def test_the_score_is_the_weighted_sum_of_its_components() -> None:
    report = DataQualityValidator(selected=500, dropped_unusable=100).validate_training_data(
        samples(100, 300, quality_score=0.9, confidence=0.8)
    )

    assert report.components == pytest.approx(
        {"image_quality": 0.9, "confidence": 0.75, "coverage": 0.8, "balance": 1.0}
    )
    expected = 0.35 * 0.9 + 0.30 * 0.75 + 0.20 * 0.8 + 0.15 * 1.0
    assert report.quality_score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("real", "bogus", "balance"),
    [(100, 100, 1.0), (1, 199, 0.0), (40, 960, 0.5637), (200, 800, 1.0), (400, 0, 0.0)],
)
def test_balance_is_logarithmic_in_the_rarer_share(real: int, bogus: int, balance: float) -> None:
    report = DataQualityValidator().validate_training_data(samples(real, bogus))

    assert report.balance == pytest.approx(balance, abs=1e-4)


def test_sky_and_injected_samples_are_no_reviewed_class() -> None:
    sky = samples(0, 200, label_source="sky", confidence=1.0)
    fakes = samples(200, 0, label_source="injected", confidence=1.0)
    table = pa.concat_tables([samples(5, 5), sky, fakes])

    report = DataQualityValidator().validate_training_data(table)

    assert not next(gate for gate in report.gates if gate.name == "two_classes").passed
    assert report.mean_confidence == pytest.approx(0.85)
    assert report.anomaly_ratio == 205 / 410


def test_accepted_machine_labels_count_as_reviewed() -> None:
    assert "two_classes" not in failed(samples(20, 20, label_source="machine"))


@pytest.mark.parametrize(("count", "passed"), [(9, False), (10, True)])
def test_ten_of_each_class_are_enough(count: int, passed: bool) -> None:  # noqa: FBT001 - a parameter of the case
    assert ("two_classes" not in failed(samples(100, count))) == passed


def test_the_threshold_is_the_callers() -> None:
    table = samples(200, 200)

    assert failed(table, quality_score_threshold=0.99) == {"quality_score"}
    assert failed(table, quality_score_threshold=0.5) == set()


def test_a_failed_gate_says_cause_and_cure() -> None:
    report = DataQualityValidator(quality_score_threshold=0.8).validate_training_data(
        samples(400, 3, quality_score=0.1, split="train")
    )

    failed = [gate.detail for gate in report.gates if not gate.passed]
    assert report.issues[: len(failed)] == failed
    splits, in_splits, classes, images, score = failed
    assert "no sample in val, test: collect more" in splits
    assert "val has no real, test has no real sky group: collect more of that class" in in_splits
    assert "only 400 real and 3 rejected detections: review more" in classes
    assert "image quality 0.100 is below 0.5: leave out bad nights" in images
    assert "is below 0.8: improve image_quality" in score
    assert [gate.overridden_by for gate in report.gates if not gate.passed] == [
        "allow_sparse_splits",
        "allow_sparse_splits",
        "allow_one_class",
        "allow_poor_images",
        None,
    ]


def test_unscored_observations_count_a_half_and_are_listed() -> None:
    table = pa.concat_tables([samples(15, 15), samples(30, 31, quality_score=None)])

    report = DataQualityValidator().validate_training_data(table)

    assert report.image_quality_score == 0.5
    assert report.scored == 30
    assert any("61 of 91 observations could not be scored" in issue for issue in report.issues)


def test_few_groups_of_a_class_are_a_warning_not_a_gate() -> None:
    report = DataQualityValidator().validate_training_data(samples(20, 200))

    assert report.passed
    assert "val holds 2 real sky groups: metrics there mean little" in report.issues


def test_consistency_is_the_share_of_agreeing_pairs_once_enough_are_reviewed_twice() -> None:
    validator = DataQualityValidator()
    single = samples(100, 100)
    twice = samples(10, 9, n_validators=2, agreement=0.0)
    crowd = samples(1, 0, n_validators=4, agreement=1.0)

    few = pa.concat_tables([single, twice])
    assert validator.validate_label_consistency(few) == pytest.approx(0.85)
    both = pa.concat_tables([single, twice, crowd])
    assert validator.validate_label_consistency(both) == pytest.approx(6 / 25)


def test_the_report_tells_when_and_where_the_samples_are_from() -> None:
    other = samples(1, 0, survey="other")
    report = DataQualityValidator().validate_training_data(
        pa.concat_tables([samples(10, 10), other])
    )

    assert report.survey_coverage == {"other": 1, "sim_ztf": 20}
    assert report.temporal_distribution == {
        "start": "2024-03-01T00:00:00+00:00",
        "end": "2024-04-01T00:00:00+00:00",
        "months": {"2024-03": 11, "2024-04": 10},
    }
    assert report.anomaly_ratio == 11 / 21


@pytest.mark.parametrize("table", [samples(20, 20), samples(0, 0)])
def test_a_report_is_json(table: pa.Table) -> None:
    report = DataQualityValidator().validate_training_data(table)

    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["gates"][0]["name"] == "splits_not_empty"


def test_records_of_samples_are_understood_as_the_table_is() -> None:
    table = samples(20, 20)
    label_names = ("is_anomaly", "confidence", "label_source", "n_validators")
    records = [
        TrainingSample(
            sample_key=row["sample_key"],
            observation_id=None,
            detection_id=None,
            image_path="",
            mask_path="",
            labels={name: row[name] for name in label_names},
            metadata={
                "survey": row["survey"],
                "band": row["band"],
                "observation_time": row["observation_time"].isoformat(),
                "quality_score": row["quality_score"],
                **{f"{channel}_kind": "raw" for channel in CHANNELS},
            },
            split=row["split"],
            weight=0.7,
            group_key=row["group_key"],
        )
        for row in table.to_pylist()
    ]

    validator = DataQualityValidator()
    assert validator.validate_training_data(records) == validator.validate_training_data(table)
