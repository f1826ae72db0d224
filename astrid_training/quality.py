"""Which stamps can be used, how good each observation is, and how good the dataset is.

Three kinds of numbers, never mixed: usable (a hard filter), observing (a score), morphology
(recorded, never a filter: what is bogus looks bad by nature).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrid_training.gates import Gate
from astrid_training.psf import UNSURE_SOURCES
from astrid_training.quality_report import DataQualityReport, DataQualityValidator
from astrid_training.surveys.profiles import BandReference, profile_for

__all__ = [
    "LEAST_EXPOSURES",
    "DataQualityReport",
    "DataQualityValidator",
    "Gate",
    "Metric",
    "desirabilities",
    "observing",
    "observing_values",
    "reference_values",
    "sample_scores",
    "usability",
]

LEAST_VALID = 0.8
LEAST_TEMPLATE = 0.8
LEAST_EXPOSURES = 20
LEAST_METRICS = 2
WORST = 0.01
MAD_TO_SIGMA = 1.4826

Floats = NDArray[np.float64]
References = Mapping[tuple[str, str], BandReference]


@dataclass(frozen=True, slots=True)
class Metric:
    """A desirability that falls in a straight line from 1 at `good` to 0.01 at `bad`."""

    name: str
    good: float
    bad: float
    limit: float | None
    """What an observation should not be beyond; it is counted and told, never a filter."""

    def desirability(self, values: Floats) -> Floats:
        """Return how good each value is, from 1 to 0.01; NaN where it is not known."""
        fall = (values - self.good) / (self.bad - self.good)
        return np.clip(1 - (1 - WORST) * fall, WORST, 1)

    def beyond(self, values: Floats) -> int:
        """Return how many values are on the bad side of the limit."""
        if self.limit is None:
            return 0
        worse = values > self.limit if self.bad > self.good else values < self.limit
        return int(worse.sum())


METRICS = (
    Metric("fwhm", 1.0, 2.5, limit=2.0),
    Metric("background_rms", 1.0, 6.0, limit=None),
    Metric("depth", 0.0, -2.0, limit=-1.0),
    Metric("difference_noise", 0.2, 0.9, limit=math.log(2)),
    Metric("registration", 0.3, 1.5, limit=0.5),
    Metric("cosmic_rays", 0.002, 0.02, limit=0.005),
    Metric("valid_fraction", 1.0, 0.6, limit=0.8),
)


def usability(measures: pa.Table) -> NDArray[np.object_]:
    """Return per row of `MEASUREMENTS` why nobody could use the stamp, or None if one can.

    A value that is not known is no reason. The reasons, in the order they are looked for:
    valid_fraction, bad_centre, saturated_centre, constant, template_coverage.
    """
    problems = {
        "valid_fraction": pc.less(measures["valid_frac"], LEAST_VALID),
        "bad_centre": pc.greater(measures["central_bad"], 0),
        "saturated_centre": measures["saturated_centre"],
        "constant": measures["is_constant"],
        "template_coverage": pc.less(measures["template_coverage"], LEAST_TEMPLATE),
    }
    reasons = np.full(measures.num_rows, None, dtype=object)
    for reason, found in problems.items():
        hit = np.array(pc.fill_null(found, False).to_pylist(), dtype=np.bool_)  # noqa: FBT003 - pyarrow's own signature
        reasons[hit & (reasons == None)] = reason  # noqa: E711 - elementwise
    return reasons


def reference_values(
    measures: pa.Table, survey: Sequence[str], band: Sequence[str], exposure: Sequence[str]
) -> dict[tuple[str, str], BandReference]:
    """Return what is usual in each (survey, band): the profile's stored values, else this set's.

    Of this set, each exposure counts once, by the median of its stamps, and a value needs 20
    exposures that have it. Where neither tells, the value is None and its metric is missing.

    Args:
        measures: rows of `MEASUREMENTS`.
        survey: (rows,) names as in the database.
        band: (rows,) as in the database.
        exposure: (rows,) ids.
    """
    columns = _referenced(measures)
    groups: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row, (of, in_band, seen) in enumerate(zip(survey, band, exposure, strict=True)):
        groups.setdefault((of, in_band), {}).setdefault(seen, []).append(row)
    return {
        key: _reference(profile_for(key[0]).reference_values.get(key[1]), columns, exposures)
        for key, exposures in sorted(groups.items())
    }


def sample_scores(
    measures: pa.Table, survey: Sequence[str], band: Sequence[str], references: References
) -> Floats:
    """Return the observing score of each row, 0.01 to 1; NaN with fewer than two metrics.

    It is the geometric mean of the desirabilities that are known, all of one weight.

    Args:
        measures: rows of `MEASUREMENTS`.
        survey: (rows,) names as in the database.
        band: (rows,) as in the database.
        references: from `reference_values`; a pair that is not in it has none.
    """
    known = np.stack(list(desirabilities(measures, survey, band, references).values()))
    count = (~np.isnan(known)).sum(axis=0)
    total = np.nansum(np.log(known), axis=0)
    return np.where(count >= LEAST_METRICS, np.exp(total / np.maximum(count, 1)), np.nan)


def desirabilities(
    measures: pa.Table, survey: Sequence[str], band: Sequence[str], references: References
) -> dict[str, Floats]:
    """Return per metric the desirability of each row, NaN where it is not known.

    The arguments are those of `sample_scores`.
    """
    values = observing_values(measures, survey, band, references)
    return {metric.name: metric.desirability(values[metric.name]) for metric in METRICS}


def observing(
    measures: pa.Table, survey: Sequence[str], band: Sequence[str], references: References
) -> dict[str, dict[str, Any]]:
    """Return per metric in how many rows it is known, its median, and how many are beyond its limit.

    The arguments are those of `sample_scores`.
    """
    values = observing_values(measures, survey, band, references)
    told = {}
    for metric in METRICS:
        known = values[metric.name][~np.isnan(values[metric.name])]
        told[metric.name] = {
            "known": len(known),
            "median": float(np.median(known)) if len(known) else None,
            "beyond_limit": metric.beyond(known),
        }
    return told


def observing_values(
    measures: pa.Table, survey: Sequence[str], band: Sequence[str], references: References
) -> dict[str, Floats]:
    """Return per metric what its desirability is a function of, NaN where it is not known.

    The arguments are those of `sample_scores`.
    """
    usual = [references.get(pair, BandReference()) for pair in zip(survey, band, strict=True)]
    seen = _referenced(measures)
    spread = _column_of(usual, "log_rms_spread")
    return {
        "fwhm": seen["fwhm_px"] / _column_of(usual, "fwhm_px"),
        "background_rms": np.abs(seen["log_rms"] - _column_of(usual, "log_rms"))
        / np.where(spread > 0, spread, np.nan),
        "depth": seen["depth_5sigma"] - _column_of(usual, "depth_5sigma"),
        "difference_noise": np.abs(_log(_numbers(measures, "difference_noise_ratio"))),
        "registration": _numbers(measures, "registration_px"),
        "cosmic_rays": _numbers(measures, "cr_frac"),
        "valid_fraction": _numbers(measures, "valid_frac"),
    }


def _referenced(measures: pa.Table) -> dict[str, Floats]:
    """Return the columns that are judged against what is usual."""
    assumed = np.isin(measures["fwhm_source"].to_pylist(), UNSURE_SOURCES)
    return {
        "fwhm_px": np.where(assumed, np.nan, _numbers(measures, "fwhm_px")),
        "log_rms": _log(_numbers(measures, "background_rms")),
        "depth_5sigma": _numbers(measures, "depth_5sigma"),
    }


def _reference(
    stored: BandReference | None, columns: Mapping[str, Floats], exposures: Mapping[str, list[int]]
) -> BandReference:
    found: dict[str, float | None] = {}
    for name, values in columns.items():
        medians = np.array([_nanmedian(values[rows]) for rows in exposures.values()])
        medians = medians[~np.isnan(medians)]
        enough = len(medians) >= LEAST_EXPOSURES
        found[name] = float(np.median(medians)) if enough else None
        if name == "log_rms" and enough:
            around = np.abs(medians - np.median(medians))
            found["log_rms_spread"] = MAD_TO_SIGMA * float(np.median(around))
    kept = stored.model_dump(exclude_none=True) if stored else {}
    return BandReference(**(found | kept))


def _nanmedian(values: Floats) -> float:
    valid = values[~np.isnan(values)]
    return float(np.median(valid)) if valid.size else float("nan")


def _column_of(usual: Sequence[BandReference], name: str) -> Floats:
    values = [getattr(reference, name) for reference in usual]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _numbers(measures: pa.Table, name: str) -> Floats:
    values: Floats = measures[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log(values), np.nan)
