"""A plan is checked, and names what it makes."""

from dataclasses import replace
from datetime import datetime

import pytest

from astrid_training.simulate import PlanError, SkyPlan


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("fields", 0),
        ("epochs", 0),
        ("seed", -1),
        ("reviewers", 0),
        ("reviews_per_subject", 0.5),
        ("unreviewed_share", 0.9),
        ("frame_size", (512, 100)),
        ("layout", "polaroid"),
        ("survey", ""),
        ("survey", "a/b"),
        ("start", datetime(2024, 3, 1)),  # noqa: DTZ001 - the naive time is the case
    ],
)
def test_a_knob_out_of_range_is_refused_by_name_and_cure(knob: str, value: object) -> None:
    with pytest.raises(PlanError, match=rf"{knob} (is|has) .*give"):
        replace(SkyPlan(), **{knob: value})  # type: ignore[arg-type]


def test_more_fields_keep_the_plans_key_and_ids() -> None:
    assert SkyPlan(fields=3).key == SkyPlan(fields=30).key
    assert SkyPlan(fields=3).row_id("f000", 1) == SkyPlan(fields=30).row_id("f000", 1)


@pytest.mark.parametrize(
    "other",
    [SkyPlan(seed=2), SkyPlan(frame_size=(480, 512)), SkyPlan(epochs=4), SkyPlan(survey="sim_b")],
)
def test_any_other_knob_gives_other_ids(other: SkyPlan) -> None:
    assert other.row_id("f000", 1) != SkyPlan().row_id("f000", 1)
