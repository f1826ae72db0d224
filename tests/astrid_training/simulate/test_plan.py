"""A plan is checked, and names what it makes."""

from dataclasses import replace
from datetime import datetime

import pytest

from astrid_training.simulate import LAYOUTS, PlanError, SkyPlan


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


def test_the_default_plans_key_and_ids_never_change() -> None:
    assert SkyPlan().key == "s1-aec0e57d"
    assert str(SkyPlan().row_id("f000", 1)) == "bc8665b6-8f6b-571e-9696-e2e5da40e134"


def test_the_name_says_the_layout() -> None:
    plan = SkyPlan(seed=3, fields=2)

    assert SkyPlan().named("sim_ztf") == SkyPlan()
    for name in LAYOUTS:
        assert plan.named(name).layout == plan.named(f"sim_{name}").layout == name
        assert plan.named(name).frame_size == LAYOUTS[name].frame_size
        assert (plan.named(name).seed, plan.named(name).fields) == (3, 2)
    assert plan.named("mine", "hst").instrument is LAYOUTS["hst"]


@pytest.mark.parametrize(("survey", "layout"), [("hubble", None), ("hst", "hubble")])
def test_a_name_without_a_layout_is_told_which_there_are(survey: str, layout: str | None) -> None:
    with pytest.raises(PlanError, match=r"hubble.*ztf, hst, jwst"):
        SkyPlan().named(survey, layout)


def test_layouts_look_at_different_places_with_frames_of_different_unequal_sides() -> None:
    plans = [SkyPlan().named(name) for name in LAYOUTS]

    assert len({tuple(plan.random(0, 1).random(3)) for plan in plans}) == len(plans)
    assert len({plan.frame_size for plan in plans}) == len(plans)
    assert all(plan.frame_size[0] != plan.frame_size[1] for plan in plans)
