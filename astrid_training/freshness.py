"""How far the datasets are behind the reviews, and whether that is too far."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from astrid_training.breaches import Breach
from astrid_training.database import query
from astrid_training.errors import CollectionRefusedError
from astrid_training.rolling import METRICS, departures
from astrid_training.samples import read_samples
from astrid_training.store import Store

__all__ = ["Freshness", "FreshnessParams", "SurveyFreshness", "measure_freshness"]

NAMES = ("survey", "band", "observation_id", "observation_time")


class FreshnessParams(BaseModel):
    """What counts as stale: the service level that the datasets are held to."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Freshness")

    survey_ids: list[str] | None = Field(
        None,
        min_length=1,
        description="Names of the surveys to look at; none given: active ones and those in datasets.",
    )
    max_waiting_hours: float = Field(
        36.0,
        gt=0,
        description="Longest that a review may wait until a collection has looked at it.",
    )
    max_backlog: int = Field(
        5000, ge=0, description="Most reviewed detections that no collection has looked at."
    )
    max_label_age_hours: float | None = Field(
        None,
        gt=0,
        description="Oldest that the newest review in the datasets may be; none: not judged.",
    )
    max_mads: float = Field(
        5.0,
        gt=0,
        description="Median absolute deviations by which the newest exposures of a band may depart.",
    )
    recent_exposures: int = Field(
        10, ge=3, le=1000, description="Newest exposures of a band, judged by their median."
    )
    window_exposures: int = Field(
        200, ge=20, le=100_000, description="Exposures before them, which say what is usual."
    )
    datasets: int = Field(
        3, ge=0, le=100, description="Newest active datasets whose exposures are looked at."
    )


@dataclass(frozen=True, slots=True)
class SurveyFreshness:
    """One survey's reviews and the datasets that took them."""

    survey: str
    seen_to: datetime | None
    """Reviews up to here were looked at by a collection; None: there is no dataset."""
    published_at: datetime | None
    """Of the newest active dataset that covers the survey."""
    newest_review: datetime | None
    newest_used: datetime | None
    """Of the reviews that were looked at."""
    oldest_waiting: datetime | None
    backlog: int
    """Detections with a review that was not looked at."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What was found at one instant."""

    at: datetime
    surveys: list[SurveyFreshness]
    breaches: list[Breach]

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is out of its limits."""
        return not self.breaches

    def table(self) -> list[dict[str, Any]]:
        """Return a row a survey for people; ages in hours, or in days from two on."""
        return [
            {
                "survey": one.survey,
                "stale": ", ".join(b.kind for b in self.breaches if b.survey == one.survey) or "no",
                "waiting": _age(self.at, one.oldest_waiting),
                "backlog": one.backlog,
                "newest used": _age(self.at, one.newest_used),
                "newest review": _age(self.at, one.newest_review),
                "published": _age(self.at, one.published_at),
            }
            for one in self.surveys
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all as JSON values."""
        surveys = [
            {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(one).items()}
            for one in self.surveys
        ]
        found = [asdict(one) for one in self.breaches]
        fresh = {"at": self.at.isoformat(), "is_fresh": self.is_fresh}
        return {**fresh, "surveys": surveys, "breaches": found}


def measure_freshness(
    connection: Connection, store: Store, params: FreshnessParams, now: datetime
) -> Freshness:
    """Return how fresh each survey's datasets are at `now`, and what is out of its limits.

    A review counts as looked at when a collection whose as_of is later has published a dataset, or
    found that nothing had changed, whatever it made of it. A refused collection looks at nothing.

    Args:
        connection: to read reviews and datasets.
        store: where the tables of samples are.
        params: the limits.
        now: aware; later reviews are not known.

    Raises:
        CollectionRefusedError: if a survey does not exist.
    """
    asked = {"surveys": params.survey_ids, "now": now}
    rows = connection.execute(query("freshness_surveys"), asked)
    surveys = [SurveyFreshness(**row._asdict()) for row in rows]
    if missing := set(params.survey_ids or ()) - {one.survey for one in surveys}:
        raise CollectionRefusedError(f"no survey named {', '.join(sorted(missing))}")
    breaches = [breach for one in surveys for breach in _overdue(one, params, now)]
    breaches += _unusual(_exposures(connection, store, params.datasets), surveys, params)
    return Freshness(now, surveys, breaches)


def _overdue(one: SurveyFreshness, params: FreshnessParams, now: datetime) -> Iterator[Breach]:
    waiting, used = _hours(now, one.oldest_waiting), _hours(now, one.newest_used)
    if waiting is not None and waiting > params.max_waiting_hours:
        yield Breach(
            "waiting",
            one.survey,
            "",
            f"a review of {one.survey} has waited {waiting:.0f} h for a collection, "
            f"{params.max_waiting_hours:.0f} are allowed; see how the last collections ended",
        )
    if one.backlog > params.max_backlog:
        yield Breach(
            "backlog",
            one.survey,
            "",
            f"{one.backlog} reviewed detections of {one.survey} wait for a collection, "
            f"{params.max_backlog} are allowed; start one, or let them come more often",
        )
    limit = params.max_label_age_hours
    if limit is not None and used is not None and used > limit:
        yield Breach(
            "label_age",
            one.survey,
            "",
            f"the newest review of {one.survey} in a dataset is {used:.0f} h old, {limit:.0f} are "
            "allowed; see whether people still review",
        )


def _unusual(
    samples: pa.Table | None, surveys: Sequence[SurveyFreshness], params: FreshnessParams
) -> Iterator[Breach]:
    """Yield a breach for each band whose newest exposures are unlike those before."""
    if samples is None:
        return
    named = {one.survey for one in surveys}
    spans = params.recent_exposures, params.window_exposures
    found: dict[tuple[str, str], list[str]] = {}
    for one in departures(samples, *spans, params.max_mads):
        if one.survey in named:
            text = f"{one.metric} {one.recent:.3g}, usual {one.low:.3g} to {one.high:.3g}"
            found.setdefault((one.survey, one.band), []).append(text)
    for (survey, band), texts in found.items():
        yield Breach(
            "quality",
            survey,
            band,
            f"the newest {params.recent_exposures} exposures of {survey} {band} are unlike those "
            f"before: {'; '.join(texts)}; look at them before a model is trained on them",
        )


def _exposures(connection: Connection, store: Store, most: int) -> pa.Table | None:
    """Return what is watched of the samples of the newest datasets."""
    keys = connection.execute(query("freshness_tables"), {"most": most}).scalars()
    tables = [read_samples(store, key, (*NAMES, *METRICS)) for key in keys]
    return pa.concat_tables(tables, promote_options="default") if tables else None


def _age(now: datetime, then: datetime | None) -> str:
    hours = _hours(now, then)
    if hours is None:
        return "none"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _hours(now: datetime, then: datetime | None) -> float | None:
    return None if then is None else round((now - then) / timedelta(hours=1), 1)
