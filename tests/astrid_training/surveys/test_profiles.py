"""Each survey has a profile; an unknown one is read with nothing assumed."""

import pytest

from astrid_training.surveys import profile_for


@pytest.mark.parametrize("name", ["ztf", "ZTF", " ztf "])
def test_a_survey_is_found_by_its_name_in_any_case(name: str) -> None:
    assert profile_for(name).name == "ztf"


def test_simulated_and_real_frames_of_ztf_state_their_seeing_in_their_own_units() -> None:
    assert profile_for("sim_ztf").seeing_unit == "arcsec"
    assert profile_for("ztf").seeing_unit == "px"


def test_an_unknown_survey_is_generic() -> None:
    profile = profile_for("no such survey")

    assert profile.name == "generic"
    assert (profile.units, profile.time_scale, profile.reference_values) == (None, None, {})
