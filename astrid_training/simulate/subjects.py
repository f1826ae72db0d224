"""A sighting with all that models and people said of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.reviewers import Case, Review, Reviewer, judge, review
from astrid_training.simulate.sightings import MODEL_VERSIONS, Detection, Sighting, detect

__all__ = ["Subject", "found_at", "make_subject"]

FIRST_MODEL_RUN_AFTER = timedelta(minutes=16)
MODEL_RUN_LASTS = timedelta(minutes=4)


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing on one frame."""

    sighting: Sighting
    detections: tuple[Detection, ...]
    """At most one of each model version; empty when all missed it."""
    reviews: tuple[Review, ...]
    """In order of time."""
    is_legacy: bool
    """The one review stands in the detection's row only."""


def found_at(conditions: Conditions, version: str) -> datetime:
    """Return when the model run of `version` ended."""
    return conditions.time + FIRST_MODEL_RUN_AFTER + MODEL_RUN_LASTS * MODEL_VERSIONS.index(version)


def make_subject(
    plan: SkyPlan,
    reviewers: tuple[Reviewer, ...],
    sighting: Sighting,
    conditions: Conditions,
    streams: tuple[np.random.Generator, np.random.Generator],
) -> Subject:
    """Return `sighting` after models and reviewers have seen it.

    Args:
        plan: the survey.
        reviewers: all of the survey.
        sighting: the truth.
        conditions: of its frame.
        streams: the field's generators for detections and for reviews.
    """
    detections = tuple(detect(sighting, streams[0]))
    fate = streams[1].random()
    if not detections or fate < plan.unreviewed_share:
        return Subject(sighting, detections, (), is_legacy=False)
    case = Case(
        true_class=sighting.source.true_class,
        artifact=sighting.source.artifact,
        snr=sighting.snr,
        shown_at=found_at(conditions, MODEL_VERSIONS[-1]),
        detections=len(detections),
    )
    if fate < plan.unreviewed_share + plan.legacy_share and not plan.single_reviewer:
        at = case.shown_at + timedelta(hours=3)
        return Subject(
            sighting, detections, (judge(reviewers[0], case, at, streams[1]),), is_legacy=True
        )
    reviews = tuple(review(plan, reviewers, case, streams[1]))
    return Subject(sighting, detections, reviews, is_legacy=False)
