"""Reviews become one label a subject, and nothing but reviews does."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_training.labels import CLASS_VOTES, Labels, label_subjects
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import REVIEWS, STATES, Votes, cast_votes

START = datetime(2024, 5, 1, tzinfo=UTC)
WORDS = taxonomy()


def vote(
    validator: str = "a",
    *,
    subject: int = 0,
    is_valid: bool = True,
    label: str | None = None,
    level: str | None = None,
    hour: int = 0,
    event: str | None = None,
    source: str = "human",
) -> dict[str, Any]:
    return {
        "event_id": event or f"{subject}-{validator}-{hour}",
        "detection_id": str(subject),
        "validator": validator,
        "is_valid": is_valid,
        "label": label,
        "level": level,
        "source": source,
        "at": START + timedelta(hours=hour),
        "changed": False,
    }


def cast(*votes: dict[str, Any]) -> Votes:
    subject = np.array([int(one["detection_id"]) for one in votes], np.int64)
    return cast_votes(pa.Table.from_pylist(list(votes), REVIEWS), subject, WORDS)


def label(*votes: dict[str, Any], **options: bool) -> Labels:
    cast_ = cast(*votes)
    return label_subjects(cast_, int(cast_.subject.max()) + 1, WORDS, **options)[0]


def states(votes: Votes) -> list[str]:
    return [STATES[state] for state in votes.state]


@pytest.mark.parametrize(
    ("level", "label_", "value"),
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
    level: str | None, label_: str | None, value: float, *, is_valid: bool
) -> None:
    said = label_ if is_valid else (label_ and "junk?")

    got = label(vote(is_valid=is_valid, level=level, label=said))

    assert round(got.confidence[0], 2) == value
    assert got.is_anomaly[0] == is_valid
    assert got.weight[0] == pytest.approx(2 * got.confidence[0] - 1)


def test_reviewers_of_one_subject_outvote_each_other_and_their_pairs_are_counted() -> None:
    got = label(vote("a"), vote("b"), vote("c", is_valid=False))

    assert got.is_anomaly[0]
    assert 0.7 < got.p_real[0] < 0.95
    assert got.agreement[0] == pytest.approx(1 / 3)
    assert got.n_votes[0] == 3


reviews = st.lists(
    st.builds(
        vote,
        st.sampled_from("abcdef"),
        subject=st.integers(0, 4),
        is_valid=st.booleans(),
        label=st.sampled_from([None, "sn", "cr", "unknown", "blob", "var?"]),
        level=st.sampled_from([None, "LOW", "MEDIUM", "HIGH", "EXPERT"]),
        hour=st.integers(0, 99),
        event=st.uuids().map(str),
        source=st.sampled_from(["human", "human", "human", "machine", "gold"]),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("class_votes", [CLASS_VOTES, 1])
@settings(deadline=None)  # on a busy machine any time can pass
@given(votes=reviews, random=st.randoms())
def test_neither_order_nor_repetition_of_events_matters(
    class_votes: int, votes: list[dict[str, Any]], random: Any
) -> None:
    votes = [*votes, vote(subject=5)]  # so that there are as many subjects, come what may
    mixed = votes * 2
    random.shuffle(mixed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("astrid_training.labels.CLASS_VOTES", class_votes)
        first, again = label(*votes), label(*mixed)

    for name in Labels.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name), name)


@settings(max_examples=50, deadline=None)
@given(reviews, st.lists(st.booleans(), min_size=1, max_size=30), st.sampled_from("abcdefg"))
def test_subjects_with_one_review_move_no_other_posterior(
    votes: list[dict[str, Any]], more: list[bool], who: str
) -> None:
    singles = [vote(who, subject=6 + n, is_valid=yes) for n, yes in enumerate(more)]
    votes = [*votes, vote(subject=5)]

    before, after = label(*votes), label(*votes, *singles)

    np.testing.assert_array_equal(before.p_real, after.p_real[:6])


@settings(deadline=None)  # on a busy machine any time can pass
@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from([None, "LOW", "HIGH", "EXPERT"]))
def test_one_reviewer_keeps_every_sign_at_the_levels_value(
    count: int, share: float, level: str | None
) -> None:
    verdicts = np.random.default_rng(count).random(count) < share
    votes = [
        vote(subject=n, is_valid=bool(yes), level=level, event=f"{n}")
        for n, yes in enumerate(verdicts)
    ]

    got = label(*votes)

    np.testing.assert_array_equal(got.is_anomaly, verdicts)
    value = {None: 0.85, "LOW": 0.74, "HIGH": 0.90, "EXPERT": 0.95}[level]
    np.testing.assert_allclose(got.confidence, value, atol=0.006)


def test_only_a_reviewers_latest_vote_counts() -> None:
    votes = cast(
        vote(hour=5, is_valid=False), vote(hour=1), vote("b", hour=2), vote("b", subject=1)
    )

    assert states(votes) == ["superseded", "counts", "counts", "counts"]
    assert votes.is_valid.tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("is_valid", "label_", "reason"),
    [
        (True, "junk", "contradiction"),
        (True, "ARTIFACT", "contradiction"),
        (False, "SN Ia", "contradiction"),
        (True, "blob", "unmapped_label"),
        (False, "blob", "unmapped_label"),
    ],
)
def test_a_vote_that_contradicts_itself_or_uses_an_unknown_word_is_set_aside(
    *, is_valid: bool, label_: str, reason: str
) -> None:
    slip = vote(is_valid=is_valid, label=label_)

    alone, joined = label(slip), label(slip, vote("b", label="sn"))

    assert alone.problem[0] == reason
    assert joined.problem[0] == ""
    assert joined.n_votes[0] == 1
    assert states(cast(slip, vote("b", label="sn"))) == [reason, "counts"]


def test_with_slips_of_both_kinds_the_first_in_the_alphabet_is_told() -> None:
    assert label(vote("a", label="blob"), vote("b", label="junk")).problem[0] == "contradiction"


@pytest.mark.parametrize("word", ["unknown", "unsure", "?", "", None])
def test_abstaining_on_the_class_still_counts_for_real_or_bogus(word: str | None) -> None:
    got = label(vote(label=word))

    assert (got.is_anomaly[0], got.anomaly_type[0], got.problem[0]) == (True, "unknown", "")


@pytest.mark.parametrize(
    ("votes", "name"),
    [
        (
            [vote("a", label="sn", level="LOW"), vote("b", label="var", level="EXPERT")],
            "variable_star",
        ),
        ([vote("a", label="sn"), vote("b", label="asteroid")], "asteroid"),
        ([vote("a", label="sn"), vote("b"), vote("c")], "supernova"),
        ([vote("a", label="sn"), vote("b", label="cr", is_valid=False), vote("c")], "supernova"),
        ([vote("a", label="junk", is_valid=False)], "artifact"),
        (
            [vote(n, label="junk", is_valid=False) for n in "ab"]
            + [vote("c", label="cr", is_valid=False)],
            "cosmic_ray",
        ),
    ],
    ids=["likelier", "first name of equals", "who named one", "own side", "no kind", "who saw it"],
)
def test_the_class_is_that_of_the_votes_on_the_labels_side(
    votes: list[dict[str, Any]], name: str
) -> None:
    assert label(*votes).anomaly_type[0] == name


def test_with_many_class_votes_who_names_classes_badly_is_learned() -> None:
    names = ("sn", "asteroid", "var")
    rng = np.random.default_rng(5)
    votes, true = [], []
    for subject in range(CLASS_VOTES):
        true.append(names[subject % 3])
        for who, skill in (("good", 0.97), ("bad", 0.3), ("worse", 0.25)):
            said = true[-1] if rng.random() < skill else names[int(rng.integers(3))]
            votes.append(vote(who, subject=subject, label=said))
    majority = np.mean(
        [
            sum(one["label"] == name for one in votes[3 * n : 3 * n + 3]) >= 2
            for n, name in enumerate(true)
        ]
    )

    got = label(*votes)

    right = np.mean(
        [
            WORDS.meaning(name).name == found
            for name, found in zip(true, got.anomaly_type, strict=True)
        ]
    )
    assert right > majority + 0.1
    assert right > 0.9


@pytest.mark.parametrize(
    ("votes", "tier"),
    [
        ([vote(level="EXPERT")], "gold"),
        ([vote(level="HIGH")], "silver"),
        ([vote("a"), vote("b")], "gold"),
        ([vote("a"), vote("b", is_valid=False)], "ambiguous"),
        ([vote(level="LOW", label="sn?")], "ambiguous"),
        ([vote(source="gold")], "gold"),
        ([vote(name, source="machine", level="EXPERT") for name in "abc"], "silver"),
    ],
)
def test_tiers_follow_confidence_and_agreement(votes: list[dict[str, Any]], tier: str) -> None:
    assert label(*votes).tier[0] == tier


def test_equal_reviewers_of_two_minds_leave_a_subject_undecided_at_any_threshold() -> None:
    got = label(vote("a"), vote("b", is_valid=False))

    assert got.problem[0] == "ambiguous"
    assert got.confidence[0] == pytest.approx(0.5)


def test_machines_do_not_count_where_a_person_voted() -> None:
    person = vote("ada", is_valid=False)
    machine = vote("catalogue", level="LOW", hour=24, source="machine")

    assert states(cast(machine, person)) == ["counts", "superseded"]
    assert states(cast(machine)) == ["counts"]
    assert label(machine, person).source[0] == "human"
    assert label(machine).source[0] == "machine"


def test_machines_teach_nobody_and_keep_their_level() -> None:
    votes = [
        vote(who, subject=n, is_valid=n % 10 == 0 or who == "x", level="LOW", source="machine")
        for n in range(200)
        for who in "xy"
    ]

    got, fused = label_subjects(cast(*votes), 200, WORDS)

    one = math.log(0.85 / 0.15) - 0.7
    assert not fused.teaches.any()
    assert got.p_real[0] == pytest.approx(1 / (1 + math.exp(-2 * one)))


def test_an_adjudicated_verdict_decides_whatever_the_others_say() -> None:
    got = label(
        vote("a", label="sn"), vote("b", label="sn"), vote("judge", source="gold", is_valid=False)
    )

    assert (got.p_real[0], got.tier[0], got.is_anomaly[0]) == (0.0, "gold", False)


def test_of_two_adjudicated_verdicts_the_later_decides_and_names_the_class() -> None:
    got = label(
        vote("a", source="gold", hour=1, is_valid=False),
        vote("b", source="gold", hour=2, label="agn"),
        vote("c", label="sn", level="EXPERT"),
    )

    assert (got.p_real[0], got.anomaly_type[0]) == (1.0, "agn")


def test_an_adjudicator_who_votes_again_as_anybody_takes_the_verdict_back() -> None:
    got = label(vote("a", source="gold", hour=1), vote("a", hour=2, is_valid=False))

    assert got.p_real[0] == pytest.approx(0.15)


def test_gold_votes_teach_a_reviewers_skill_to_their_single_reviews() -> None:
    known = [
        one
        for n in range(60)
        for one in (
            vote("judge", subject=n, source="gold", is_valid=n % 2 == 0),
            vote("ada", subject=n, is_valid=(n % 2 == 0) == (n % 5 > 0)),
        )
    ]

    got = label(*known, vote("ada", subject=60), vote("bob", subject=61))

    assert got.confidence[60] == pytest.approx(0.81, abs=0.03)  # right in 4 of 5
    assert got.confidence[61] == pytest.approx(0.85)
