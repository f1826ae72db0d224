"""People who review: of different skill, in their own words, not always of one mind."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import numpy as np

from astrid_training.simulate.plan import SkyPlan, Stream

T = TypeVar("T")

__all__ = ["VOCABULARY", "Case", "Review", "Reviewer", "draw_reviewers", "judge", "review"]

VOCABULARY = {
    "supernova": ("supernova", "SN", "SN Ia", "Supernova", "SNe", "sn-ii"),
    "variable_star": ("variable_star", "var", "RR Lyr", "Variable Star", "CV", "variable"),
    "asteroid": ("asteroid", "rock", "minor planet", "MP", "Asteroid", "SSO"),
    "artifact": ("artifact", "junk", "Artifact", "fp"),
    "cosmic_ray": ("cosmic_ray", "CR", "cosmic ray"),
    "dipole": ("dipole", "Dipole"),
    "saturation_bleed": ("saturation_bleed", "saturation bleed"),
    "hot_pixel": ("hot_pixel", "hot pixel"),
    "satellite_trail": ("satellite_trail", "satellite trail"),
}
ABSTENTIONS = ("unknown", "?", "", "unsure")
UNMAPPABLE = ("blob", "fuzzy thing", "hmm")
REAL_CLASSES = ("supernova", "variable_star", "asteroid")
LEVELS = ("LOW", "MEDIUM", "HIGH", "EXPERT")
QUALITIES = ("EXCELLENT", "GOOD", "FAIR", "POOR")

ABSTAIN_SHARE, UNMAPPABLE_SHARE, DOUBT_SHARE = 0.05, 0.008, 0.05
CONTRADICTION_SHARE, NO_LABEL_SHARE, NO_LEVEL_SHARE = 0.012, 0.12, 0.1
SECOND_THOUGHT_SHARE = 0.04
FAINT_SNR, FAINT_LOSS = 9.0, 0.08


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Someone's true skill, which no row tells."""

    name: str
    sensitivity: float
    """Chance to call a real one real."""
    specificity: float
    """Chance to call a bogus one bogus."""
    class_skill: float
    """Chance to name the right class."""
    level: str | None
    """The confidence level they choose; None: they never do."""
    activity: float
    """Relative share of all reviews."""


@dataclass(frozen=True, slots=True)
class Case:
    """What reviewers are shown, and the truth that they try to see."""

    true_class: str
    artifact: str
    """Kind; empty for what is real."""
    snr: float
    shown_at: datetime
    detections: int
    """How many detections of the subject there are to attach a review to."""


@dataclass(frozen=True, slots=True)
class Review:
    """One validation event."""

    reviewer: str
    detection: int
    """Which of the case's detections it is attached to."""
    is_valid: bool
    label: str | None
    level: str | None
    at: datetime
    notes: str | None
    tags: tuple[str, ...] | None
    image_quality: str | None
    detection_quality: str | None


def draw_reviewers(plan: SkyPlan) -> tuple[Reviewer, ...]:
    """Return the plan's reviewers, from beginner to expert; some never state a level."""
    rng = plan.random(-1, Stream.REVIEWERS)
    if plan.single_reviewer:
        return (Reviewer("reviewer-00", 0.96, 0.95, 0.95, None, 1.0),)
    drawn = []
    for number in range(plan.reviewers):
        rank = (number + 0.5) / plan.reviewers
        sensitivity, specificity = np.clip(
            np.array([0.84, 0.82]) + np.array([0.13, 0.16]) * rank + rng.normal(0, 0.02, 2),
            0.6,
            0.99,
        )
        drawn.append(
            Reviewer(
                name=f"reviewer-{number + 1:02d}",
                sensitivity=round(float(sensitivity), 4),
                specificity=round(float(specificity), 4),
                class_skill=round(float(np.clip(0.8 + 0.18 * rank, 0, 0.98)), 4),
                level=None if number % 4 == 1 else LEVELS[int(rank * len(LEVELS))],
                activity=round(float(rng.lognormal(0, 0.5)), 4),
            )
        )
    return tuple(drawn)


def review(
    plan: SkyPlan, reviewers: tuple[Reviewer, ...], case: Case, rng: np.random.Generator
) -> list[Review]:
    """Return all reviews of `case`, in order of time; a second thought follows its first."""
    people = 1
    if not plan.single_reviewer:
        people = min(1 + int(rng.poisson(plan.reviews_per_subject - 1)), len(reviewers))
    weights = np.array([r.activity for r in reviewers])
    chosen = rng.choice(len(reviewers), people, replace=False, p=weights / weights.sum())
    reviews = []
    at = case.shown_at
    for index in chosen:
        at = at + timedelta(minutes=int(rng.integers(90, 60 * 48)))
        first = judge(reviewers[index], case, at, rng)
        reviews.append(first)
        if not plan.single_reviewer and rng.random() < SECOND_THOUGHT_SHARE:
            later = at + timedelta(hours=int(rng.integers(5, 90)))
            reviews.append(_think_again(reviewers[index], case, later, rng))
    return sorted(reviews, key=lambda r: (r.at, r.reviewer))


def judge(reviewer: Reviewer, case: Case, at: datetime, rng: np.random.Generator) -> Review:
    """Return one reviewer's verdict: right as often as their skill allows."""
    real = not case.artifact
    skill = reviewer.sensitivity if real else reviewer.specificity
    if case.snr < FAINT_SNR:
        skill -= FAINT_LOSS
    is_valid = real == (rng.random() < skill)
    return Review(
        reviewer=reviewer.name,
        detection=int(rng.integers(case.detections)),
        is_valid=is_valid,
        label=_word(reviewer, case, rng, is_valid=is_valid),
        level=None if rng.random() < NO_LEVEL_SHARE else reviewer.level,
        at=at,
        notes=_maybe(rng, 0.06, ("faint", "near the edge", "seen before?", "check the reference")),
        tags=_maybe(rng, 0.08, (("faint",), ("crowded",), ("bright", "follow-up"), ("edge",))),
        image_quality=_maybe(rng, 0.5, QUALITIES),
        detection_quality=_maybe(rng, 0.4, QUALITIES),
    )


def _think_again(reviewer: Reviewer, case: Case, at: datetime, rng: np.random.Generator) -> Review:
    """Return a later review by the same person: of two looks, the one that is right."""
    looks = [judge(reviewer, case, at, rng) for _ in range(2)]
    return max(looks, key=lambda look: look.is_valid == (not case.artifact))


def _word(
    reviewer: Reviewer, case: Case, rng: np.random.Generator, *, is_valid: bool
) -> str | None:
    """Return what the reviewer writes into the free label field."""
    share = rng.random()
    if share < ABSTAIN_SHARE:
        return str(rng.choice(ABSTENTIONS))
    if share < ABSTAIN_SHARE + UNMAPPABLE_SHARE:
        return str(rng.choice(UNMAPPABLE))
    if share < ABSTAIN_SHARE + UNMAPPABLE_SHARE + NO_LABEL_SHARE * (1 if not is_valid else 0.3):
        return None
    contradicts = rng.random() < CONTRADICTION_SHARE
    if is_valid != contradicts:
        word = str(rng.choice(VOCABULARY[_class(reviewer, case, rng)]))
        return f"{word}?" if rng.random() < DOUBT_SHARE else word
    kind = (
        case.artifact if case.artifact and rng.random() < reviewer.class_skill / 2 else "artifact"
    )
    return str(rng.choice(VOCABULARY[kind]))


def _class(reviewer: Reviewer, case: Case, rng: np.random.Generator) -> str:
    """Return the class that the reviewer sees; any for what is none."""
    if not case.artifact and rng.random() < reviewer.class_skill:
        return case.true_class
    return str(rng.choice([c for c in REAL_CLASSES if c != case.true_class]))


def _maybe(rng: np.random.Generator, share: float, choices: tuple[T, ...]) -> T | None:
    """Return one of `choices`, or None in all but `share` of the cases."""
    chosen = choices[int(rng.integers(len(choices)))]
    return chosen if rng.random() < share else None
