"""Reviewers err as their skill says, in words that the taxonomy knows."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from astrid_training.simulate import SkyPlan
from astrid_training.simulate.reviewers import (
    ABSTENTIONS,
    UNMAPPABLE,
    VOCABULARY,
    Case,
    Review,
    Reviewer,
    draw_reviewers,
    review,
)
from astrid_training.taxonomy import taxonomy

SHOWN = datetime(2024, 3, 1, 6, tzinfo=UTC)
REAL = Case("supernova", "", snr=20, shown_at=SHOWN, detections=2)
BOGUS = Case("artifact", "dipole", snr=20, shown_at=SHOWN, detections=1)


def _reviews(case: Case, n: int, plan: SkyPlan | None = None, **skills: float) -> list[Review]:
    plan = plan or SkyPlan()
    someone = Reviewer("r", **({"sensitivity": 0.9, "specificity": 0.8, "class_skill": 0.9} | skills), level="HIGH", activity=1)  # fmt: skip
    rng = np.random.default_rng(5)
    return [review(plan, (someone,), case, rng)[0] for _ in range(n)]


@pytest.mark.parametrize(("case", "expected"), [(REAL, 0.9), (BOGUS, 0.2)])
def test_a_reviewer_accepts_as_often_as_their_skill_says(case: Case, expected: float) -> None:
    accepted = np.mean([r.is_valid for r in _reviews(case, 3000)])

    assert accepted == pytest.approx(expected, abs=0.02)


def test_a_faint_source_is_harder() -> None:
    faint = Case("supernova", "", snr=6, shown_at=SHOWN, detections=1)

    assert np.mean([r.is_valid for r in _reviews(faint, 3000)]) < 0.86


def test_words_map_to_the_class_they_stand_for() -> None:
    words = taxonomy()

    for name, spellings in VOCABULARY.items():
        for spelling in spellings:
            assert words.meaning(spelling).name == name, spelling
            assert words.meaning(f"{spelling}?").doubtful
    assert {words.meaning(word).axis for word in ABSTENTIONS} == {"abstain"}
    assert {words.meaning(word).axis for word in UNMAPPABLE} == {"unmapped"}


def test_labels_hold_all_that_people_do_with_a_free_text_field() -> None:
    words = taxonomy()
    labels = [(r.is_valid, r.label) for case in (REAL, BOGUS) for r in _reviews(case, 2000)]
    meanings = [(valid, words.meaning(label)) for valid, label in labels]
    share = Counter(
        "contradiction"
        if (meaning.axis == "real" and not valid) or (meaning.axis == "bogus" and valid)
        else meaning.axis
        for valid, meaning in meanings
    )

    assert 0.002 < share["contradiction"] / len(labels) < 0.03
    assert 0.002 < share["unmapped"] / len(labels) < 0.02
    assert 0.03 < share["abstain"] / len(labels) < 0.2
    assert None in {label for _, label in labels}
    assert len({label for _, label in labels}) > 20
    assert any(meaning.doubtful for _, meaning in meanings)


def test_there_are_experts_and_beginners_and_some_who_state_no_level() -> None:
    reviewers = draw_reviewers(SkyPlan())

    assert len(reviewers) >= 8
    assert {r.level for r in reviewers} == {"LOW", "MEDIUM", "HIGH", "EXPERT", None}
    assert np.ptp([r.sensitivity for r in reviewers]) > 0.06


def test_a_subject_has_several_reviewers_some_of_whom_change_their_mind() -> None:
    plan = SkyPlan()
    rng = np.random.default_rng(3)
    cases = [review(plan, draw_reviewers(plan), REAL, rng) for _ in range(1500)]
    people = [Counter(r.reviewer for r in reviews) for reviews in cases]

    assert np.mean([len(p) for p in people]) == pytest.approx(1.8, abs=0.1)
    assert 0.02 < np.mean([max(p.values()) > 1 for p in people]) < 0.15
    assert any(len({r.is_valid for r in reviews}) == 2 for reviews in cases)
    assert {r.detection for reviews in cases for r in reviews} == {0, 1}
    assert all(r.at > SHOWN for reviews in cases for r in reviews)
    assert all([r.at for r in reviews] == sorted(r.at for r in reviews) for reviews in cases)


def test_a_single_reviewer_reviews_once_and_states_no_level() -> None:
    plan = SkyPlan(single_reviewer=True)
    rng = np.random.default_rng(3)
    cases = [review(plan, draw_reviewers(plan), REAL, rng) for _ in range(200)]

    assert {len(reviews) for reviews in cases} == {1}
    assert {(r.reviewer, r.level) for reviews in cases for r in reviews} == {("reviewer-00", None)}
