"""Reviews become one label a subject, and nothing but reviews does."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.labels import Vote, counting_votes, fuse
from astrid_training.taxonomy import taxonomy

START = datetime(2024, 5, 1, tzinfo=UTC)
WORDS = taxonomy()


def vote(
    validator: str = "a",
    *,
    is_valid: bool = True,
    label: str | None = None,
    level: str | None = None,
    hour: int = 0,
    event: str = "e",
) -> Vote:
    return Vote(event, validator, is_valid, label, level, START + timedelta(hours=hour))


@pytest.mark.parametrize(
    ("level", "label", "value"),
    [
        ("LOW", None, 0.74),
        ("MEDIUM", None, 0.85),
        (None, None, 0.85),
        ("HIGH", None, 0.90),
        ("EXPERT", None, 0.95),
        ("LOW", "sn?", 0.58),
        ("EXPERT", "sn?", 0.90),
    ],
)
@pytest.mark.parametrize("is_valid", [True, False])
def test_a_single_review_is_worth_its_level(
    level: str | None, label: str | None, value: float, *, is_valid: bool
) -> None:
    said = label if is_valid else (label and "junk?")

    got = fuse([vote(is_valid=is_valid, level=level, label=said)], WORDS)

    assert round(got.confidence, 2) == value
    assert got.is_anomaly is is_valid
    assert got.weight == pytest.approx(2 * got.confidence - 1)


def test_reviews_add_their_log_odds() -> None:
    got = fuse([vote("a", level="HIGH"), vote("b"), vote("c", is_valid=False)], WORDS)

    # the two reviewers without a level cancel; the one with HIGH is left
    assert got.p_real == pytest.approx(1 / (1 + math.exp(-(math.log(0.85 / 0.15) + 0.5))))
    assert got.agreement == pytest.approx(1 / 3)
    assert got.n_validators == 3


@given(
    st.lists(
        st.builds(
            vote,
            st.sampled_from("abcd"),
            is_valid=st.booleans(),
            label=st.sampled_from([None, "sn", "cr", "unknown", "blob", "var?"]),
            level=st.sampled_from([None, "LOW", "MEDIUM", "HIGH", "EXPERT"]),
            hour=st.integers(0, 99),
            event=st.uuids().map(str),
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(),
)
def test_neither_order_nor_repetition_of_events_matters(votes: list[Vote], random: object) -> None:
    mixed = votes * 2
    random.shuffle(mixed)  # type: ignore[attr-defined]

    assert fuse(counting_votes(mixed), WORDS) == fuse(counting_votes(votes), WORDS)


def test_only_a_reviewers_latest_vote_counts() -> None:
    counting = counting_votes([vote(hour=5, is_valid=False), vote(hour=1), vote("b", hour=2)])

    assert [(one.validator, one.is_valid) for one in counting] == [("a", False), ("b", True)]


@pytest.mark.parametrize(
    ("is_valid", "label", "reason"),
    [
        (True, "junk", "contradiction"),
        (True, "ARTIFACT", "contradiction"),
        (False, "SN Ia", "contradiction"),
        (True, "blob", "unmapped_label"),
        (False, "blob", "unmapped_label"),
    ],
)
def test_a_vote_that_contradicts_itself_or_uses_an_unknown_word_is_set_aside(
    *, is_valid: bool, label: str, reason: str
) -> None:
    alone = fuse([vote(is_valid=is_valid, label=label)], WORDS)
    joined = fuse([vote(is_valid=is_valid, label=label), vote("b", label="sn")], WORDS)

    assert alone.reason == reason
    assert joined.reason is None
    assert joined.n_votes == 1
    assert list(joined.set_aside.values()) == [reason]


@pytest.mark.parametrize("word", ["unknown", "unsure", "?", "", None])
def test_abstaining_on_the_class_still_counts_for_real_or_bogus(word: str | None) -> None:
    got = fuse([vote(label=word)], WORDS)

    assert (got.is_anomaly, got.anomaly_type, got.reason) == (True, "unknown", None)


def test_the_class_is_that_of_the_likelier_reviewers() -> None:
    got = fuse([vote("a", label="sn", level="LOW"), vote("b", label="var", level="EXPERT")], WORDS)

    assert got.anomaly_type == "variable_star"


def test_classes_of_equal_weight_are_decided_by_name() -> None:
    got = fuse([vote("a", label="sn"), vote("b", label="asteroid")], WORDS)

    assert got.anomaly_type == "asteroid"


@pytest.mark.parametrize(
    ("votes", "tier"),
    [
        ([vote(level="EXPERT")], "gold"),
        ([vote(level="HIGH")], "silver"),
        ([vote("a"), vote("b")], "gold"),
        ([vote("a"), vote("b", is_valid=False)], "ambiguous"),
        ([vote(level="LOW", label="sn?")], "ambiguous"),
    ],
)
def test_tiers_follow_confidence_and_agreement(votes: list[Vote], tier: str) -> None:
    assert fuse(votes, WORDS).tier == tier


def test_machines_do_not_count_where_a_person_voted() -> None:
    person = vote("ada", is_valid=False)
    machine = replace(vote("catalogue", level="LOW", hour=24), machine=True)

    assert counting_votes([machine, person]) == [person]
    assert counting_votes([machine]) == [machine]
