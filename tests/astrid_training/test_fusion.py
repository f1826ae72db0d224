"""Skills are learned where reviewers overlap, and nowhere else."""

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from astrid_training.fusion import Ballots, Estimate, estimate
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import draw_reviewers
from benchmarks.labels import Judged, judge_labels, mixed_reviewers, simulated

REVIEWERS = 12


def ballots(
    real: NDArray[np.bool_], reviews: int, skill: NDArray[np.float64], seed: int = 0
) -> Ballots:
    """Return `reviews` votes on each subject by reviewers of the given skill."""
    rng = np.random.default_rng(seed)
    chosen = rng.random((len(real), len(skill))).argsort(1)[:, :reviews]
    subject, validator = np.repeat(np.arange(len(real)), reviews), chosen.ravel().astype(np.int64)
    right = rng.random(len(subject)) < skill[validator]
    said = np.where(right, real[subject], ~real[subject]).astype(np.int64)
    return Ballots(subject, validator, said, np.zeros(len(said)), np.ones(len(said), bool))


def nobody(subjects: int) -> NDArray[np.int64]:
    return np.zeros((subjects, 2), np.int64)


def joined(first: Ballots, second: Ballots, offset: int) -> Ballots:
    """Return both, the second's subjects behind the first's."""
    return Ballots(
        np.concatenate([first.subject, second.subject + offset]),
        np.concatenate([first.validator, second.validator]),
        np.concatenate([first.said, second.said]),
        np.concatenate([first.shift, second.shift]),
        np.concatenate([first.by_person, second.by_person]),
    )


def test_learned_skills_come_near_the_true_ones() -> None:
    skill = np.linspace(0.65, 0.95, REVIEWERS)
    real = np.random.default_rng(1).random(3000) < 0.4

    found = estimate(ballots(real, 4, skill), 3000, REVIEWERS, nobody(3000))

    np.testing.assert_allclose(found.skill[:, 1, 1], skill, atol=0.05)
    np.testing.assert_allclose(found.skill[:, 0, 0], skill, atol=0.05)
    assert found.prior[1] == pytest.approx(0.4, abs=0.03)


def small_team() -> tuple[Ballots, int]:
    """Two people who disagree often where they overlap, and one review each of 100 others."""
    doubtful = ballots(np.arange(100) % 2 == 0, 2, np.full(2, 0.6))
    clear = ballots(np.arange(100) % 10 == 0, 1, np.full(2, 1.0), seed=1)
    return joined(doubtful, clear, 100), 200


def test_a_small_teams_single_reviews_keep_their_worth_unless_drawn_at_random() -> None:
    votes, subjects = small_team()

    usual = estimate(votes, subjects, 2, nobody(subjects))
    random = estimate(votes, subjects, 2, nobody(subjects), random_reviews=True)

    np.testing.assert_allclose(np.abs(usual.p[100:, 1] - 0.5), 0.35)
    assert (random.p[100:].max(1) < 0.8).all()  # what is learned from doubtful cases is too low


def test_a_crowds_skills_and_prevalence_hold_for_single_reviews() -> None:
    skill = np.full(REVIEWERS, 0.8)
    shared = ballots(np.random.default_rng(2).random(400) < 0.1, 3, skill)
    single = ballots(np.ones(40, bool), 1, np.ones(REVIEWERS))

    found = estimate(joined(shared, single, 400), 440, REVIEWERS, nobody(440))

    assert (found.p[400:, 1] < 0.75).all()  # rare, so that one voice for it is worth less
    assert (found.p[400:, 1] >= 0.5).all()


def test_a_unanimous_subject_is_never_turned_round() -> None:
    rare = np.random.default_rng(3).random(2000) < 0.02
    shared = ballots(rare, 3, np.full(REVIEWERS, 0.7))
    single = ballots(np.ones(20, bool), 1, np.ones(REVIEWERS))

    found = estimate(joined(shared, single, 2000), 2020, REVIEWERS, nobody(2020))

    assert found.flipped[2000:].all()
    np.testing.assert_array_equal(found.p[2000:, 1], 0.5)
    yes = np.bincount(shared.subject, shared.said, 2000)
    assert (found.p[:2000, 1][yes == 3] >= 0.5).all()
    assert (found.p[:2000, 1][yes == 0] <= 0.5).all()


def test_a_further_vote_for_real_never_makes_real_less_likely() -> None:
    real = np.random.default_rng(4).random(500) < 0.4
    shared = ballots(real, 3, np.array([0.9, 0.9, 0.9, 0.55]))
    shared = replace(shared, shift=np.where(shared.validator == 3, 1.3, 0.0))
    two = Ballots(
        np.array([0, 0]), np.array([0, 1]), np.array([1, 0]), np.zeros(2), np.ones(2, bool)
    )
    weak = Ballots(  # the weak one, usually so sure, is not
        np.array([0]), np.array([3]), np.array([1]), np.array([-1.4]), np.array([True])
    )
    votes = joined(joined(joined(shared, two, 500), two, 501), weak, 501)

    found = estimate(votes, 502, 4, nobody(502))

    assert found.p[501, 1] >= found.p[500, 1] - 1e-9


def test_what_somebody_states_with_every_vote_says_nothing_beside_their_skill() -> None:
    real = np.random.default_rng(6).random(1500) < 0.4
    skill = np.linspace(0.65, 0.95, REVIEWERS)
    votes = ballots(real, 4, skill)
    habit = np.where(np.arange(REVIEWERS) % 2 == 0, 1.3, -0.7)  # whether they are good or not
    bold = Ballots(
        votes.subject, votes.validator, votes.said, habit[votes.validator], votes.by_person
    )

    plain, found = (estimate(one, 1500, REVIEWERS, nobody(1500)) for one in (votes, bold))

    assert np.abs(plain.p - found.p).max() < 0.1
    assert accuracy(found, real) == pytest.approx(accuracy(plain, real), abs=0.003)


def accuracy(found: Estimate, real: NDArray[np.bool_]) -> float:
    return float(((found.p[:, 1] > 0.5) == real).mean())


def test_of_no_votes_nothing_is_said() -> None:
    nothing = np.empty(0, np.int64)

    found = estimate(
        Ballots(nothing, nothing, nothing, np.empty(0), np.empty(0, bool)), 3, 0, nobody(3)
    )

    np.testing.assert_array_equal(found.p, 0.5)


@pytest.mark.parametrize("depth", [1.8, 3.0])
def test_fused_labels_beat_majority_and_last_review(depth: float) -> None:
    plan = SkyPlan(seed=1, reviewers=REVIEWERS, reviews_per_subject=depth)

    for reviewers in (draw_reviewers(plan), mixed_reviewers(REVIEWERS, 1)):
        judged: Judged = judge_labels(simulated(plan, reviewers, 2000))

        assert judged.fused > judged.majority
        assert judged.fused > judged.last
        assert judged.calibration_error < 0.06


def test_180_000_reviews_are_fused_in_a_second() -> None:
    real = np.random.default_rng(8).random(60_000) < 0.35
    votes = ballots(real, 3, np.linspace(0.65, 0.95, REVIEWERS))
    started = time.process_time()

    estimate(votes, 60_000, REVIEWERS, nobody(60_000))

    assert time.process_time() - started < 1
