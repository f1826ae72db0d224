from typing import Any

import pytest

from astrid_training.alerts import AlertRefusedError
from astrid_training.alerts.surveys import parse_alert
from astrid_training.alerts.values import flag, identifier, known, normalised, number, text, whole


@pytest.mark.parametrize(
    "missing",
    [None, "", "null", "NONE", "nan", "Fail 503", -999, -999.0, "-99", float("nan"), True],
)
def test_a_number_that_stands_for_missing_is_none(missing: object) -> None:
    assert number({"a": missing}, "a") is None


@pytest.mark.parametrize(("value", "expected"), [(0, 0.0), ("-3.5", -3.5), (-998.5, -998.5)])
def test_any_other_number_is_kept(value: object, expected: float) -> None:
    assert number({"a": value}, "a") == expected


def test_the_first_field_that_is_known_counts() -> None:
    assert number({"drb": None, "rb": 0.4}, "drb", "rb") == 0.4
    assert text({"a": "null", "b": " x "}, "a", "b") == "x"


@pytest.mark.parametrize("value", ["t", "1", 1, True, "True", "TRUE"])
def test_truth_has_many_spellings(value: object) -> None:
    assert flag({"a": value}, "a") is True


@pytest.mark.parametrize("value", ["f", "0", 0, False, "False"])
def test_so_has_falsehood(value: object) -> None:
    assert flag({"a": value}, "a") is False


@pytest.mark.parametrize("value", [None, "", "maybe", 2])
def test_what_is_neither_is_not_known(value: object) -> None:
    assert flag({"a": value}, "a") is None


@pytest.mark.parametrize("value", [2475433850015015000, "2475433850015015000"])
def test_an_identifier_keeps_all_its_digits(value: object) -> None:
    assert identifier({"candid": value}, "candid") == "2475433850015015000"


@pytest.mark.parametrize("value", [2.475433850015015e18, "2.47543e+18", "", "ZTF18", -5])
def test_an_identifier_that_lost_digits_is_refused(value: object) -> None:
    with pytest.raises(AlertRefusedError, match="bad_identifier"):
        identifier({"candid": value}, "candid")


def test_names_have_one_spelling() -> None:
    assert normalised({"cutout_science": 1, "objectId": 2}) == {"cutoutscience": 1, "objectid": 2}


@pytest.mark.parametrize(
    ("value", "expected"), [("-999.0", None), ("Vesta", "Vesta"), (1.5, 1.5), (0, 0.0)]
)
def test_a_fact_is_a_number_or_a_word_but_no_sentinel(value: object, expected: object) -> None:
    assert known({"a": value}, "a") == expected


def test_a_fraction_is_no_whole_number() -> None:
    assert whole({"fid": 1.5}, "fid") is None
    assert whole({"fid": "2.0"}, "fid") == 2


def test_a_number_that_no_float_or_column_holds_is_missing() -> None:
    assert number({"a": 10**400}, "a") is None
    assert whole({"a": 1e300}, "a") is None
    assert whole({"a": 2**31}, "a") is None


@pytest.mark.parametrize("said", ["a\0b", "\ud800"])
def test_a_text_that_the_database_cannot_hold_is_refused(said: str) -> None:
    with pytest.raises(AlertRefusedError, match="bad_text"):
        text({"a": said}, "a")


@pytest.mark.parametrize("mid", [1e300, -1e9, 1e6])
def test_a_day_that_is_none_of_ours_is_no_exposure(made: Any, mid: float) -> None:
    with pytest.raises(AlertRefusedError, match="no_exposure"):
        parse_alert(made.rubin_record(midpointMjdTai=mid))
