"""From people's reviews to one label a subject.

The model's score and its guess are never looked at here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.agreement import agreeing_pairs
from astrid_training.fusion import Ballots, Estimate, estimate, right_chance
from astrid_training.taxonomy import Taxonomy
from astrid_training.votes import CONTRADICTION, COUNTS, EXPERT_SHIFT, UNMAPPED, Votes

__all__ = ["GOLD", "SILVER", "Labels", "label_subjects"]

GOLD, SILVER = 0.95, 0.70
UNDECIDED = 0.5 + 1e-9  # a confidence up to this is that of a coin
CLASS_VOTES = 500  # with more on subjects whose class several people named, they teach skills
SURE_BY_NUMBER = 2

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Labels:
    """What the reviews of each subject say together, as columns of one length."""

    is_anomaly: NDArray[np.bool_]
    anomaly_type: Texts
    """A real class, an artifact class, or `unknown`."""
    p_real: Floats
    tier: Texts
    """gold, silver or ambiguous."""
    source: Texts
    """human, or machine where no person reviewed it."""
    n_votes: Ints
    """Votes that count, one a validator."""
    agreement: Floats
    """Share of agreeing pairs of validators; NaN with fewer than two."""
    problem: Texts
    """Why the reviews give no label; empty when they do."""

    @property
    def confidence(self) -> Floats:
        """Chance that the label is right."""
        return np.maximum(self.p_real, 1 - self.p_real)

    @property
    def weight(self) -> Floats:
        """2 * confidence - 1: what a sample counts in the loss."""
        return 2 * self.confidence - 1


def label_subjects(
    votes: Votes, subjects: int, words: Taxonomy, *, random_reviews: bool = False
) -> tuple[Labels, Estimate]:
    """Return the labels of subjects 0 to `subjects` - 1, and the skills behind them.

    The votes are all that is looked at, and all of them together: what a reviewer's vote is worth is
    learned from the others.

    Args:
        votes: of these subjects, as `cast_votes` gives them.
        subjects: how many there are.
        words: what labels mean.
        random_reviews: whether second reviews were drawn at random, see `fusion.estimate`.
    """
    counting = votes.take(votes.state == COUNTS)
    verdict = np.full(subjects, -1)
    verdict[counting.subject[counting.gold]] = counting.is_valid[counting.gold]  # the latest wins
    truth = np.stack([verdict == 0, verdict == 1], axis=-1).astype(np.int64)
    people = counting.take(~counting.gold)
    fused = estimate(
        _ballots(people, people.is_valid.astype(np.int64)),
        subjects,
        len(votes.names),
        truth,
        random_reviews=random_reviews,
    )
    p_real = fused.p[:, 1]
    yes = np.bincount(counting.subject, counting.is_valid, subjects)
    n = np.bincount(counting.subject, minlength=subjects)
    is_anomaly = np.where(p_real == 0.5, 2 * yes > n, p_real > 0.5)
    confidence = np.maximum(p_real, 1 - p_real)
    agreeing = counting.take(counting.is_valid == is_anomaly[counting.subject])
    problem = _problems(votes, n)
    problem[(problem == "") & (confidence <= UNDECIDED)] = "ambiguous"
    problem[fused.flipped & (n > 0)] = "needs_second_review"
    labels = Labels(
        is_anomaly=is_anomaly,
        anomaly_type=_types(agreeing, is_anomaly, fused, words),
        p_real=p_real,
        tier=_tiers(agreeing, confidence),
        source=_sources(votes, subjects),
        n_votes=n,
        agreement=agreeing_pairs(yes, n),
        problem=problem,
    )
    return labels, fused


def _ballots(votes: Votes, said: Ints) -> Ballots:
    return Ballots(votes.subject, votes.validator, said, votes.shift, ~votes.machine)


def _problems(votes: Votes, counting: Ints) -> Texts:
    """Return why no vote of a subject counts; empty where one does."""
    subjects = len(counting)
    problem = np.full(subjects, "", dtype="<U24")
    problems = {"unmapped_label": UNMAPPED, "contradiction": CONTRADICTION}
    for reason, state in problems.items():
        hit = np.bincount(votes.subject[votes.state == state], minlength=subjects) > 0
        problem[hit & (counting == 0)] = reason
    return problem


def _sources(votes: Votes, subjects: int) -> Texts:
    person = np.bincount(votes.subject[~votes.machine], minlength=subjects) > 0
    return np.where(person, "human", "machine")


def _tiers(agreeing: Votes, confidence: Floats) -> Texts:
    subjects = len(confidence)

    def count(which: NDArray[np.bool_]) -> Ints:
        return np.bincount(agreeing.subject[which], minlength=subjects)

    people = ~agreeing.machine
    sure = (
        (count(people) >= SURE_BY_NUMBER)
        | (count(people & (agreeing.shift == EXPERT_SHIFT)) > 0)
        | (count(agreeing.gold) > 0)
    )
    tier = np.where(confidence < SILVER, "ambiguous", "silver")
    return np.where((confidence >= GOLD) & sure, "gold", tier)


def _types(agreeing: Votes, real: NDArray[np.bool_], fused: Estimate, words: Taxonomy) -> Texts:
    """Return each subject's class among those that the votes on its side named."""
    named = agreeing.take(agreeing.kind >= 0)
    kind = _heaviest(named, len(real), fused)
    learned = _learned(named.take(named.is_valid), len(real), words)
    kind = np.where(learned >= 0, learned, kind)
    kind[named.subject[named.gold]] = named.kind[named.gold]
    names = np.array([*agreeing.classes, "unknown"])
    return np.where((kind < 0) & ~real, "artifact", names[kind])


def _heaviest(named: Votes, subjects: int, fused: Estimate) -> Ints:
    """Return the class with the largest sum of chances to be right; the first name of equal ones."""
    classes = len(named.classes)
    verdict = named.is_valid.astype(np.int64)
    chance = right_chance(fused.skill[named.validator, verdict, verdict], named.shift)
    cells = named.subject * classes + named.kind
    weight = np.bincount(cells, chance, subjects * classes).reshape(subjects, classes)
    return np.where(weight.any(1), weight.argmax(1), -1)


def _learned(named: Votes, subjects: int, words: Taxonomy) -> Ints:
    """Return the class by learned skills, as on the other axis; -1 everywhere with too few votes."""
    named = named.take(~named.gold)
    several = np.bincount(named.subject[~named.machine], minlength=subjects) >= SURE_BY_NUMBER
    if several[named.subject].sum() < CLASS_VOTES:
        return np.full(subjects, -1)
    real = np.array([named.classes.index(name) for name in words.real_classes])
    said = np.searchsorted(real, named.kind)
    nobody = np.zeros((subjects, len(real)), np.int64)
    found = estimate(_ballots(named, said), subjects, len(named.names), nobody)
    voted = np.bincount(named.subject, minlength=subjects) > 0
    return np.where(voted, real[found.p.argmax(1)], -1)
