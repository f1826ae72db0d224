"""What several reviewers say together, when some are better than others.

MAP Dawid-Skene in which only overlap teaches: skills and prevalence are learned from subjects that
several people reviewed, or that were adjudicated, and from no others.

Source: Dawid & Skene 1979, Applied Statistics 28, 20; the use on transients follows SWAP (Marshall et
al. 2016, MNRAS 455, 1171).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["SKILL", "Ballots", "Estimate", "estimate", "logit", "right_chance", "sigmoid"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SKILL = 0.85
"""Chance that a reviewer of unknown skill is right, whatever the truth."""

SKILL_WEIGHT = 8.0  # reviews of a known truth that outweigh SKILL
SKILL_LIMITS = (0.55, 0.995)
PRIOR_WEIGHT = 20.0  # subjects that outweigh an even prevalence
P_LIMITS = (0.001, 0.999)
ROUNDS, TOLERANCE = 60, 1e-6
CROWD, CROWD_VOTES, GOLD_VOTES = 5, 50, 50
"""So many people with so many overlapping votes are a crowd; so many gold votes prove one person."""


@dataclass(frozen=True, slots=True)
class Ballots:
    """Votes as columns, at most one of each validator on each subject."""

    subject: Ints
    """(n,) numbers from 0."""
    validator: Ints
    """(n,) numbers from 0."""
    said: Ints
    """(n,) class numbers from 0."""
    shift: Floats
    """(n,) what the stated confidence adds to the log-odds of being right, before habits."""
    by_person: NDArray[np.bool_]
    """(n,) false for machines, which teach nothing and are taught nothing."""

    def take(self, rows: Ints | NDArray[np.bool_]) -> "Ballots":
        """Return some of the votes, or all in another order."""
        return Ballots(
            self.subject[rows],
            self.validator[rows],
            self.said[rows],
            self.shift[rows],
            self.by_person[rows],
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the votes say."""

    p: Floats
    """(subjects, classes) posterior; even where nobody voted."""
    skill: Floats
    """(validators, truth, said) chance of saying one class where another is true."""
    prior: Floats
    """(classes,) prevalence among the subjects that teach."""
    teaches: NDArray[np.bool_]
    """(n,) which votes lie on a subject that teaches."""
    flipped: NDArray[np.bool_]
    """(subjects,) unanimous ones that prevalence and skills alone would have turned round."""


def estimate(
    ballots: Ballots, subjects: int, validators: int, truth: Ints, *, random_reviews: bool = False
) -> Estimate:
    """Return posteriors and skills; neither the order of the votes nor a repeated call matters.

    A subject with one review has the value of its reviewer's stated confidence, and neither skill
    nor prevalence touch it, unless a crowd reviews (5 people with 50 overlapping votes each), the
    reviewer has 50 votes on adjudicated subjects, or subjects were drawn at random for a second
    review: small teams look again at doubtful cases only, where everybody is worse than usual.

    Args:
        ballots: the votes.
        subjects: how many subjects there are.
        validators: how many validators there are.
        truth: (subjects, classes) one at the class of an adjudicated subject, else all zero.
        random_reviews: whether second reviews were drawn at random.
    """
    order = np.lexsort((ballots.validator, ballots.subject))
    votes = ballots.take(order)
    gold = truth.sum(1) > 0
    people = np.bincount(votes.subject[votes.by_person], minlength=subjects)
    teaching = (people >= 2) | gold
    at = teaching[votes.subject] & votes.by_person
    relative = votes.shift - _habit(votes.take(at), validators)[votes.validator]

    numbers = np.flatnonzero(teaching)
    lesson = _Lesson(replace(votes, shift=relative).take(at), numbers, truth[numbers], validators)
    taught, skill, prior = lesson.learn()
    proven = np.bincount(votes.validator[at & gold[votes.subject]], minlength=validators)
    known = (proven >= GOLD_VOTES) | random_reviews | lesson.is_crowd()
    trusted = (~teaching & (people == 1))[votes.subject] & known[votes.validator]
    votes = replace(votes, shift=np.where(trusted, relative, votes.shift))
    p, flipped = _keep_unanimous(_untaught(votes, trusted, skill, prior, subjects), votes)
    p[numbers], flipped[numbers] = taught
    p[gold], flipped[gold] = truth[gold], False
    teaches = np.empty(len(order), bool)
    teaches[order] = at
    return Estimate(p, skill, prior, teaches, flipped)


def _habit(votes: Ballots, validators: int) -> Floats:
    """Return (validators,) the confidence that each one usually states; 0 where little is known.

    What people say with every vote is part of the skill that is learned from these votes. Only what
    differs from their habit says more.
    """
    total = np.bincount(votes.validator, votes.shift, validators)
    habit: Floats = total / (np.bincount(votes.validator, minlength=validators) + SKILL_WEIGHT)
    return habit


def _untaught(
    votes: Ballots, trusted: NDArray[np.bool_], skill: Floats, prior: Floats, subjects: int
) -> Floats:
    """Return the posteriors of subjects that teach nothing.

    Args:
        votes: all votes.
        trusted: (n,) those for which learned skill and prevalence hold; each is alone.
        skill: learned.
        prior: learned.
        subjects: how many there are.
    """
    default = _default_skill(*skill.shape[:2])
    used = np.where(trusted[:, None, None], skill[votes.validator], default[votes.validator])
    log_p = _sums(votes.subject, _log_chances(used, votes.said, votes.shift), subjects)
    log_p[votes.subject[trusted]] += np.log(prior)
    return _posterior(log_p)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What is to be learned from."""

    votes: Ballots
    """Those that teach, sorted by subject."""
    subjects: Ints
    """Numbers of the subjects that teach, sorted."""
    truth: Ints
    """(subjects, classes) as in `estimate`."""
    validators: int

    def is_crowd(self) -> bool:
        """Return whether enough people overlap enough."""
        overlapping = np.bincount(self.votes.validator, minlength=self.validators)
        return int((overlapping >= CROWD_VOTES).sum()) >= CROWD

    def learn(self) -> tuple[tuple[Floats, NDArray[np.bool_]], Floats, Floats]:
        """Return (posteriors (subjects, classes), which were flipped), skills and prevalence."""
        size, classes = self.truth.shape
        gold = self.truth.sum(1) > 0
        place = np.searchsorted(self.subjects, self.votes.subject)
        votes = replace(self.votes, subject=place)
        counts = np.zeros((size, classes))
        np.add.at(counts, (place, votes.said), 1.0)
        p = np.asfortranarray((counts + 1 / classes) / (counts.sum(1, keepdims=True) + 1))
        p[gold] = self.truth[gold]
        kind, inverse = self._kinds()
        for _ in range(ROUNDS):
            skill, prior = self._skills(p, place), _prior(p)
            chances = _log_chances(skill[kind.validator], kind.said, kind.shift)[inverse]
            new = _posterior(np.log(prior) + _sums(place, chances, size))
            new[gold] = self.truth[gold]
            moved = float(np.abs(new - p).max(initial=0))
            p = new
            if moved < TOLERANCE:
                break
        return _keep_unanimous(p, votes), self._skills(p, place), _prior(p)

    def _kinds(self) -> tuple[Ballots, Ints]:
        """Return one vote for all that are alike but for their subject, and which one each is."""
        levels, level = np.unique(self.votes.shift, return_inverse=True)
        cell = self.votes.validator * len(levels) + level
        cell = cell * self.truth.shape[1] + self.votes.said
        _, first, inverse = np.unique(cell, return_index=True, return_inverse=True)
        return self.votes.take(first), inverse

    def _skills(self, p: Floats, place: Ints) -> Floats:
        classes = p.shape[1]
        cell, cells = self.votes.validator * classes + self.votes.said, self.validators * classes
        said = np.stack([np.bincount(cell, p[place, k], cells) for k in range(classes)], axis=-1)
        counts = said.reshape(self.validators, classes, classes).swapaxes(1, 2)
        assumed = SKILL_WEIGHT * _default_skill(1, classes)
        skill = (counts + assumed) / (counts.sum(2, keepdims=True) + SKILL_WEIGHT)
        return _with_right(skill, np.clip(_right(skill), *SKILL_LIMITS))


def _prior(p: Floats) -> Floats:
    even = PRIOR_WEIGHT / p.shape[1]
    prior: Floats = (even + p.sum(0)) / (PRIOR_WEIGHT + len(p))
    return prior


def right_chance(skill: Floats, shift: Floats) -> Floats:
    """Return the chance of being right after the stated confidence; never worse than guessing.

    Args:
        skill: (n,) chance of being right in general.
        shift: (n,) what the stated confidence adds to its log-odds.
    """
    return np.maximum(sigmoid(logit(skill) + shift), 0.5)


def _default_skill(validators: int, classes: int) -> Floats:
    skill = np.full((validators, classes, classes), (1 - SKILL) / max(classes - 1, 1))
    skill[:, np.arange(classes), np.arange(classes)] = SKILL
    return skill


def _right(skill: Floats) -> Floats:
    return np.diagonal(skill, axis1=-2, axis2=-1)


def _with_right(skill: Floats, right: Floats) -> Floats:
    """Return `skill` with the chances of being right given; wrong answers keep their proportions."""
    scaled = skill * ((1 - right) / (1 - _right(skill)))[..., None]
    classes = np.arange(skill.shape[-1])
    scaled[..., classes, classes] = right
    return scaled


def _log_chances(skill: Floats, said: Ints, shift: Floats) -> Floats:
    """Return (n, truth) logarithms of the chance of what was said, each vote with its own skill."""
    shifted = _with_right(skill, right_chance(_right(skill), shift[:, None]))
    return np.log(shifted[np.arange(len(said)), :, said])


def _sums(group: Ints, values: Floats, groups: int) -> Floats:
    # a column each: sums over the few classes of many subjects are several times faster then
    columns = [np.bincount(group, column, groups) for column in values.T]
    return np.array(columns, np.float64).T  # of no votes at all bincount makes integers


def _posterior(log_p: Floats) -> Floats:
    p = np.exp(log_p - log_p.max(1, keepdims=True, initial=-np.inf))
    p = np.clip(p / p.sum(1, keepdims=True), *P_LIMITS)
    posterior: Floats = p / p.sum(1, keepdims=True)
    return posterior


def _keep_unanimous(p: Floats, votes: Ballots) -> tuple[Floats, NDArray[np.bool_]]:
    """Return posteriors in which no unanimous subject is turned round, and which ones would be."""
    subjects, classes = p.shape
    least, most = np.full(subjects, classes), np.full(subjects, -1)
    np.minimum.at(least, votes.subject, votes.said)
    np.maximum.at(most, votes.subject, votes.said)
    unanimous = np.flatnonzero(least == most)
    turned = unanimous[p[unanimous, most[unanimous]] < 0.5]
    p, flipped = p.copy(), np.zeros(subjects, bool)
    flipped[turned] = True
    p[turned] *= (0.5 / (1 - p[turned, most[turned]]))[:, None]
    p[turned, most[turned]] = 0.5
    return p, flipped


def logit(p: Floats) -> Floats:
    """Return the log-odds of probabilities."""
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(x: Floats) -> Floats:
    """Return the probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-x)))
