"""Reviewers' spellings mean what the taxonomy says, and unknown words are never guessed."""

import pytest

from astrid_training.taxonomy import taxonomy


@pytest.mark.parametrize(
    ("text", "name", "doubtful"),
    [
        ("SN Ia", "supernova", False),
        ("  sn-ia ", "supernova", False),
        ("ＳＮ", "supernova", False),  # full-width letters
        ("sn?", "supernova", True),
        ("R.R. Lyr", None, False),
        ("RR/Lyr", "variable_star", False),
        ("minor planet", "asteroid", False),
        ("ARTIFACT", "artifact", False),
        ("TRANSIENT", "transient_other", False),
        ("VARIABLE", "variable_star", False),
        ("?", "unknown", False),
        (None, "unknown", False),
        ("blob", None, False),
    ],
)
def test_spellings(text: str | None, name: str | None, *, doubtful: bool) -> None:
    meaning = taxonomy().meaning(text)

    assert (meaning.name, meaning.doubtful) == (name, doubtful)
    assert (meaning.axis == "unmapped") == (name is None)


def test_every_alias_leads_to_a_class_and_no_word_to_two() -> None:
    words = taxonomy()

    assert set(words.spellings.values()) <= set(words.axes)
    assert words.real_classes == [
        "agn",
        "asteroid",
        "supernova",
        "transient_other",
        "variable_star",
    ]
