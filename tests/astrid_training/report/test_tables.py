"""What the report counts is counted once, and named for what it is."""

import dataclasses
from typing import Any

import pyarrow as pa
import pytest

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import FunnelRow
from astrid_training.report.context import RejectExample
from astrid_training.report.tables import (
    absent_surveys,
    against_model,
    asked_for,
    class_cells,
    examples_by_line,
    funnel_lines,
    shown_twice,
    survey_cells,
    trust,
)

PASSED = {"name": "a", "passed": True, "detail": "fine", "overridden_by": None}
THROUGH = {
    "name": "b",
    "passed": True,
    "detail": "9 real, let through",
    "overridden_by": "allow_one_class",
}


def test_funnel_lines_count_down() -> None:
    rows = [
        FunnelRow("fetch", "selected", 10),
        FunnelRow("fetch", "ambiguous", 3),
        FunnelRow("build", "edge", 1),
        FunnelRow("persist", "kept", 6),
    ]

    lines = funnel_lines(rows)

    assert [line.remaining for line in lines] == [10, 7, 6, 6]
    assert [bool(line.meaning) for line in lines] == [False, True, True, False]


def test_examples_stand_in_the_order_of_the_funnel_under_their_own_reason() -> None:
    lines = funnel_lines([FunnelRow("fetch", "ambiguous", 3), FunnelRow("build", "edge", 1)])
    edge, doubtful = (
        RejectExample("k", None, *of, "") for of in (("build", "edge"), ("fetch", "ambiguous"))
    )

    told = examples_by_line(lines, [edge, doubtful])

    assert [(line.reason, examples) for line, examples in told] == [
        ("ambiguous", [doubtful]),
        ("edge", [edge]),
    ]


@pytest.mark.parametrize(
    ("status", "gates", "mark", "words"),
    [
        ("active", [PASSED, PASSED], "good", "All 2 conditions hold; none was let through."),
        ("active", [PASSED, THROUGH], "bad", "1 of 2 conditions do not hold and were let through."),
        ("active", [PASSED | {"passed": False}], "bad", "1 of 1 conditions failed."),
        ("revoked", [PASSED], "bad", "Revoked: somebody withdrew it; do not train on it."),
        ("active", [], "quiet", "No condition was judged."),
    ],
)
def test_the_headline_says_whether_to_trust_it(
    published: Any, status: str, gates: list[dict[str, Any]], mark: str, words: str
) -> None:
    record = dataclasses.replace(published.record, status=status, quality_report={"gates": gates})

    told = trust(record)

    assert (told.mark, told.words) == (mark, words)
    assert told.let_through == [
        gate["detail"] for gate in gates if gate is THROUGH or not gate["passed"]
    ]


def test_places_of_the_sky_are_no_rejected_detections(published: Any) -> None:
    samples = published.samples.slice(0, 30)
    place = samples.column_names.index("label_source")
    samples = samples.set_column(place, "label_source", pa.array(["sky"] * 10 + ["human"] * 20))

    cells = class_cells(samples)

    assert sum(cell.total for cell in cells if cell.kind == "sky") == 10
    assert sum(cell.total for cell in cells) == 30


def test_survey_cells_add_up_to_the_class_cells(published: Any) -> None:
    apart = survey_cells(published.samples)

    assert [name for name, _ in apart] == ["sim_ztf, band g", "sim_ztf, band r"]
    for cell in class_cells(published.samples):
        counts = [one.counts for _, cells in apart for one in cells if one.name == cell.name]
        assert [sum(column) for column in zip(*counts, strict=True)] == cell.counts


def test_a_survey_that_was_asked_for_and_gave_nothing_is_named(published: Any) -> None:
    assert absent_surveys(published.samples, {"survey_ids": ["sim_ztf", "hst"]}) == ["hst"]
    assert absent_surveys(published.samples, {"survey_ids": None}) == []


def test_samples_of_the_same_pixels_are_told(published: Any) -> None:
    samples = published.samples
    again = samples.slice(0, 7)
    keys = pa.array([f"{number:032x}" for number in range(7)])

    both = pa.concat_tables([samples, again.set_column(0, "sample_key", keys)])

    assert shown_twice(samples) == []
    assert shown_twice(both) == [
        "14 samples of 7 observations show the same pixels as another one: 7 are there more than once"
    ]


def test_only_what_both_judged_is_held_against_the_model() -> None:
    samples = pa.table(
        {
            "label_source": ["human", "human", "human", "human", "sky", "machine"],
            "is_anomaly": [True, True, False, False, False, True],
            "model_score": [0.9, 0.4, 0.5, None, 0.9, 0.1],
        }
    )

    found = against_model(samples)

    assert (found.scored, found.real_below, found.rejected_above) == (3, 1, 1)
    assert found.share == pytest.approx(2 / 3)


def test_only_parameters_that_differ_from_their_defaults_are_asked_for() -> None:
    params = TrainingDataCollectionParams(name="nightly", bands=["g"]).model_dump(mode="json")
    params["preprocess"]["missing_above"] = 10**30  # as PostgreSQL's jsonb gives 1e30 back

    assert asked_for(params) == {"bands": ["g"], "name": "nightly"}
