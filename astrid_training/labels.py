"""From people's reviews to one label a subject.

The model's score and its guess are never looked at here.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from astrid_training.taxonomy import Taxonomy

__all__ = ["LEGACY_VALIDATOR", "SubjectLabel", "Vote", "counting_votes", "fuse", "vote_shift"]

LEGACY_VALIDATOR = "legacy:detections"
SKILL = 0.85
"""Chance that a reviewer of unknown skill is right, for real and for bogus alike."""

GOLD, SILVER = 0.95, 0.70
SHIFTS = {"LOW": -0.7, "MEDIUM": 0.0, "HIGH": 0.5, "EXPERT": 1.3}
"""What a stated confidence adds to the log-odds of being right."""

LOWERED = {"LOW": -1.4, "MEDIUM": -0.7, "HIGH": 0.0, "EXPERT": 0.5}
"""The same when the label ends in a question mark: one level down."""

P_LIMITS = (0.001, 0.999)


@dataclass(frozen=True, slots=True)
class Vote:
    """One review of one subject."""

    event_id: str
    validator: str
    is_valid: bool
    label: str | None
    level: str | None
    """LOW, MEDIUM, HIGH, EXPERT or None."""
    at: datetime
    machine: bool = False
    """Made by a catalogue, an ephemeris or a score, not by a person."""
    image_quality: str | None = None
    """EXCELLENT, GOOD, FAIR, POOR or None."""


@dataclass(frozen=True, slots=True)
class SubjectLabel:
    """What the reviews of one subject say together."""

    is_anomaly: bool
    anomaly_type: str
    """A real class, an artifact class, or `unknown`."""
    p_real: float
    confidence: float
    tier: str
    """gold, silver or ambiguous."""
    n_votes: int
    n_validators: int
    agreement: float | None
    """Share of agreeing pairs of validators; None with fewer than two."""
    reason: str | None
    """Why the reviews give no label; None when they do."""
    set_aside: dict[str, str]
    """Event id -> why that vote was set aside: contradiction or unmapped_label."""

    @property
    def weight(self) -> float:
        """2 * confidence - 1: what the sample counts in the loss."""
        return 2 * self.confidence - 1


def vote_shift(level: str | None, *, doubtful: bool) -> float:
    """Return what the level adds to the log-odds of the reviewer being right."""
    return (LOWERED if doubtful else SHIFTS)[level or "MEDIUM"]


def counting_votes(votes: Iterable[Vote]) -> list[Vote]:
    """Return each validator's latest vote by (time, event id), ordered by validator.

    Where a person voted, machines do not count.
    """
    latest: dict[str, Vote] = {}
    for vote in sorted(votes, key=lambda v: (v.at, v.event_id)):
        latest[vote.validator] = vote
    people = {name: vote for name, vote in latest.items() if not vote.machine}
    counting = people or latest
    return [counting[validator] for validator in sorted(counting)]


def fuse(votes: Sequence[Vote], words: Taxonomy) -> SubjectLabel:
    """Return the label of one subject from its counting votes.

    The posterior is the level-weighted sum of log-odds at equal skill; for one vote it is the
    level's own value. Votes whose class contradicts their verdict, or whose word is not in the
    taxonomy, are set aside.

    Args:
        votes: one per validator, as `counting_votes` gives them.
        words: what labels mean.
    """
    usable: list[tuple[Vote, float, str | None]] = []
    set_aside: dict[str, str] = {}
    for vote in votes:
        meaning = words.meaning(vote.label)
        problem = _problem(meaning.axis, is_valid=vote.is_valid)
        if problem is not None:
            set_aside[vote.event_id] = problem
            continue
        log_odds = _logit(SKILL) + vote_shift(vote.level, doubtful=meaning.doubtful)
        usable.append((vote, log_odds, None if meaning.axis == "abstain" else meaning.name))

    total = sum(weight if vote.is_valid else -weight for vote, weight, _ in usable)
    p_real = min(max(_sigmoid(total), P_LIMITS[0]), P_LIMITS[1])
    is_anomaly = p_real >= 0.5
    confidence = max(p_real, 1 - p_real)
    verdicts = [vote.is_valid for vote, _, _ in usable]
    return SubjectLabel(
        is_anomaly=is_anomaly,
        anomaly_type=_class([u for u in usable if u[0].is_valid == is_anomaly], real=is_anomaly),
        p_real=p_real,
        confidence=confidence,
        tier=_tier(confidence, [u[0] for u in usable if u[0].is_valid == is_anomaly]),
        n_votes=len(usable),
        n_validators=len({vote.validator for vote, _, _ in usable}),
        agreement=_agreement(verdicts),
        reason=None if usable else min(set_aside.values()),
        set_aside=set_aside,
    )


def _problem(axis: str, *, is_valid: bool) -> str | None:
    if axis == "unmapped":
        return "unmapped_label"
    if axis in {"real", "bogus"} and (axis == "real") != is_valid:
        return "contradiction"
    return None


def _class(agreeing: Sequence[tuple[Vote, float, str | None]], *, real: bool) -> str:
    """Return the class with the largest summed chance of being right; ties go to the first name."""
    weights: defaultdict[str, float] = defaultdict(float)
    for _, log_odds, name in agreeing:
        if name is not None:
            weights[name] += _sigmoid(log_odds)
    if not weights:
        return "unknown" if real else "artifact"
    return min(weights, key=lambda name: (-weights[name], name))


def _tier(confidence: float, agreeing: Sequence[Vote]) -> str:
    if confidence < SILVER:
        return "ambiguous"
    sure = len(agreeing) >= 2 or any(vote.level == "EXPERT" for vote in agreeing)
    return "gold" if confidence >= GOLD and sure else "silver"


def _agreement(verdicts: Sequence[bool]) -> float | None:
    n, yes = len(verdicts), sum(verdicts)
    if n < 2:
        return None
    return (yes * (yes - 1) + (n - yes) * (n - yes - 1)) / (n * (n - 1))


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
