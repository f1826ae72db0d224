"""What several reviewers say together, when some are better than others.

MAP Dawid-Skene in which only overlap teaches: skills and prevalence are learned from subjects that
several people reviewed, or that were adjudicated, and from no others.

Source: Dawid & Skene 1979, Applied Statistics 28, 20; the use on transients follows SWAP (Marshall et
al. 2016, MNRAS 455, 1171).
"""

from dataclasses import dataclass

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
    """(n,) what the stated confidence adds to the log-odds of being right."""
    by_person: NDArray[np.bool_]
    """(n,) false for machines, which teach nothing and are taught nothing."""


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
    subject, validator, said, shift, person = (
        column[order]
        for column in (
            ballots.subject,
            ballots.validator,
            ballots.said,
            ballots.shift,
            ballots.by_person,
        )
    )
    classes = truth.shape[1]
    gold = truth.any(1)
    people = np.bincount(subject[person], minlength=subjects)
    teaching = (people >= 2) | (gold & (people >= 1))
    at = teaching[subject] & person

    numbers = np.flatnonzero(teaching)
    place = np.searchsorted(numbers, subject[at])
    lesson = _Lesson(place, validator[at], said[at], shift[at], truth[numbers], validators)
    taught, skill, prior = lesson.learn()

    trusted = ~teaching & (people == 1)
    if not random_reviews:
        overlapping = np.bincount(validator[at], minlength=validators)
        crowd = (overlapping >= CROWD_VOTES).sum() >= CROWD
        proven = np.bincount(validator[at & gold[subject]], minlength=validators) >= GOLD_VOTES
        trusted &= crowd | (np.bincount(subject[person & proven[validator]], minlength=subjects) > 0)

    default = _default_skill(validators, classes)
    used = np.where(trusted[subject][:, None, None], skill[validator], default[validator])
    log_p = np.where(trusted[:, None], np.log(prior), 0.0)
    log_p = log_p + _sums(subject, _log_chances(used, said, shift), subjects)
    p = _posterior(log_p)
    p[numbers] = taught
    p[gold] = truth[gold]
    p, flipped = _keep_unanimous(p, subject, said)
    teaches = np.empty(len(order), bool)
    teaches[order] = at
    return Estimate(p, skill, prior, teaches, flipped & ~gold)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The votes that teach, sorted by subject; subjects numbered among those that teach."""

    subject: Ints
    validator: Ints
    said: Ints
    shift: Floats
    truth: Ints
    validators: int

    def learn(self) -> tuple[Floats, Floats, Floats]:
        """Return posteriors (subjects, classes), skills and prevalence."""
        subjects, classes = self.truth.shape
        gold = self.truth.any(1)
        counts = np.zeros((subjects, classes))
        np.add.at(counts, (self.subject, self.said), 1.0)
        p = (counts + 1 / classes) / (counts.sum(1, keepdims=True) + 1)
        p[gold] = self.truth[gold]
        levels, level = np.unique(self.shift, return_inverse=True)
        for _ in range(ROUNDS):
            skill, prior = self._skills(p), self._prior(p)
            table = _level_table(skill, levels)
            chances = table[self.validator, level, :, self.said]
            new = _posterior(np.log(prior) + _sums(self.subject, chances, subjects))
            new[gold] = self.truth[gold]
            moved = float(np.abs(new - p).max(initial=0))
            p = new
            if moved < TOLERANCE:
                break
        return p, self._skills(p), self._prior(p)

    def _skills(self, p: Floats) -> Floats:
        classes = p.shape[1]
        cell, cells = self.validator * classes + self.said, self.validators * classes
        said = np.stack(
            [np.bincount(cell, p[self.subject, k], cells) for k in range(classes)], axis=-1
        )
        counts = said.reshape(self.validators, classes, classes).swapaxes(1, 2)
        prior = SKILL_WEIGHT * _default_skill(1, classes)
        skill = (counts + prior) / (counts.sum(2, keepdims=True) + SKILL_WEIGHT)
        return _with_right(skill, np.clip(_right(skill), *SKILL_LIMITS))

    def _prior(self, p: Floats) -> Floats:
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
    return _with_right(skill, np.full((validators, classes), SKILL))


def _right(skill: Floats) -> Floats:
    return np.diagonal(skill, axis1=-2, axis2=-1)


def _with_right(skill: Floats, right: Floats) -> Floats:
    """Return `skill` with the chances of being right given; wrong answers keep their proportions."""
    scaled = skill * ((1 - right) / (1 - _right(skill)))[..., None]
    classes = np.arange(skill.shape[-1])
    scaled[..., classes, classes] = right
    return scaled


def _level_table(skill: Floats, levels: Floats) -> Floats:
    """Return (validators, levels, truth, said) logarithms of the chances."""
    right = right_chance(_right(skill)[:, None, :], levels[None, :, None])
    wide = np.broadcast_to(skill[:, None], (*right.shape, skill.shape[-1]))
    return np.log(_with_right(wide, right))


def _log_chances(skill: Floats, said: Ints, shift: Floats) -> Floats:
    """Return (n, truth) logarithms of the chance of what was said, each vote with its own skill."""
    shifted = _with_right(skill, right_chance(_right(skill), shift[:, None]))
    return np.log(shifted[np.arange(len(said)), :, said])


def _sums(group: Ints, values: Floats, groups: int) -> Floats:
    columns = [np.bincount(group, column, groups) for column in values.T]
    return np.stack(columns, axis=-1)


def _posterior(log_p: Floats) -> Floats:
    p = np.exp(log_p - log_p.max(1, keepdims=True, initial=-np.inf))
    p = np.clip(p / p.sum(1, keepdims=True), *P_LIMITS)
    posterior: Floats = p / p.sum(1, keepdims=True)
    return posterior


def _keep_unanimous(p: Floats, subject: Ints, said: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Return posteriors in which no unanimous subject is turned round, and which ones would be."""
    subjects, classes = p.shape
    least = np.full(subjects, classes)
    most = np.full(subjects, -1)
    np.minimum.at(least, subject, said)
    np.maximum.at(most, subject, said)
    unanimous = np.flatnonzero(least == most)
    flipped = np.zeros(subjects, bool)
    flipped[unanimous] = p[unanimous, most[unanimous]] < 0.5
    turned = np.flatnonzero(flipped)
    agreed = p[turned, most[turned]]
    p = p.copy()
    p[turned] *= (0.5 / (1 - agreed))[:, None]
    p[turned, most[turned]] = 0.5
    return p, flipped


def logit(p: Floats) -> Floats:
    """Return the log-odds of probabilities."""
    return np.asarray(np.log(p) - np.log1p(-p))


def sigmoid(x: Floats) -> Floats:
    """Return the probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-x)))
