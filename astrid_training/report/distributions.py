"""How the qualities of the samples are spread, beside the limits that they are judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.gates import LEAST_IMAGE_QUALITY
from astrid_training.labels import GOLD
from astrid_training.measure import MEASUREMENTS
from astrid_training.quality import METRICS, Metric, observing_values
from astrid_training.report.charts import Chart, Rule, Series, Words, stacked
from astrid_training.report.tables import KINDS, kinds
from astrid_training.surveys.profiles import BandReference

__all__ = ["Conditions", "Spread", "observing_conditions", "quality_charts", "short"]

BINS = 32
OUTER_PERCENT = 0.5  # on either side, counted in the outermost bars

Floats = NDArray[np.float64]

AXES = {
    "confidence": ("Confidence of the labels", "confidence"),
    "quality_score": ("Score of the observations", "quality score"),
    "model_score": ("Score of the model, never a label", "model score"),
    "fwhm": ("Seeing", "FWHM / usual FWHM of survey and band"),
    "background_rms": ("Noise of the sky", "|ln rms − usual| / usual spread"),
    "depth": ("Depth at 5σ", "depth − usual depth, mag"),
    "difference_noise": ("Noise of the difference", "|ln (measured / expected noise)|"),
    "registration": ("Registration", "science against reference, px"),
    "cosmic_rays": ("Cosmic rays", "share of the stamp's pixels"),
    "valid_fraction": ("Valid pixels", "share of the stamp's pixels"),
}
CONDITIONS = {
    "FWHM, arcsec": "fwhm_arcsec",
    "FWHM, px": "fwhm_px",
    "noise of the sky": "background_rms",
    "depth at 5σ, mag": "depth_5sigma",
    "noise of the difference / expected": "difference_noise_ratio",
    "registration, px": "registration_px",
    "cosmic rays": "cr_frac",
    "valid pixels": "valid_frac",
    "quality score": "quality_score",
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and the tenth and ninetieth percentiles; None where no sample has a value."""

    median: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """How it was observed, survey by survey and band by band."""

    names: list[str]
    """Of what is known of some samples at least."""
    rows: list[tuple[str, int, list[Spread]]]
    """Survey and band, samples, and the spread of each of `names`."""


def quality_charts(
    samples: pa.Table, references: Mapping[str, Mapping[str, Any]], threshold: float
) -> list[Chart]:
    """Return a histogram of labels, of scores and of each metric that is known of a sample.

    Args:
        samples: the samples table with its metrics.
        references: what is usual by survey and band, as the quality report has it.
        threshold: the least confidence that was asked for.
    """
    kind = np.array(kinds(samples), str)
    drawn = [
        *_of_labels(samples, kind, threshold),
        *(
            _histogram(_words(metric.name), values, kind, _rules(metric, values))
            for metric, values in _metrics(samples, references)
        ),
    ]
    return [chart for chart in drawn if chart is not None]


def _of_labels(samples: pa.Table, kind: NDArray[np.str_], threshold: float) -> list[Chart | None]:
    reviewed = kind != "sky"
    return [
        _histogram(
            _words("confidence"),
            _numbers(samples, "confidence")[reviewed],
            kind[reviewed],
            [
                Rule(GOLD, f"gold from {GOLD:g}"),
                Rule(threshold, f"asked for: {threshold:g}", always=True),
            ],
        ),
        _histogram(
            _words("quality_score"),
            _numbers(samples, "quality_score"),
            kind,
            [
                Rule(
                    LEAST_IMAGE_QUALITY, f"gate on the median: {LEAST_IMAGE_QUALITY:g}", always=True
                )
            ],
        ),
        _histogram(_words("model_score"), _numbers(samples, "model_score"), kind, ()),
    ]


def _metrics(
    samples: pa.Table, references: Mapping[str, Mapping[str, Any]]
) -> list[tuple[Metric, Floats]]:
    usual = {
        (survey, band): BandReference(**values)
        for survey, bands in references.items()
        for band, values in bands.items()
    }
    survey, bands = samples["survey"].to_pylist(), samples["band"].to_pylist()
    band = ["null" if name is None else name for name in bands]  # as JSON names it in references
    values = observing_values(_measured(samples), survey, band, usual)
    return [(metric, values[metric.name]) for metric in METRICS]


def _measured(samples: pa.Table) -> pa.Table:
    """Return the samples with every column of `MEASUREMENTS`, NULL where it was never measured."""
    for column in MEASUREMENTS:
        if column.name not in samples.column_names:
            samples = samples.append_column(column, pa.nulls(samples.num_rows, column.type))
    return samples


def _rules(metric: Metric, values: Floats) -> list[Rule]:
    rises = metric.bad > metric.good
    rules = [
        Rule(metric.good, f"best {'up to' if rises else 'from'} {metric.good:g}"),
        Rule(metric.bad, f"worst from {metric.bad:g} {'up' if rises else 'down'}"),
    ]
    if metric.limit is not None:
        told = f"limit {metric.limit:.3g}, {metric.beyond(values)} beyond"
        rules.append(Rule(metric.limit, told, always=True))
    return rules


def _words(name: str) -> Words:
    title, axis = AXES[name]
    return Words(name.replace("_", "-"), title, "", axis)


def _histogram(
    words: Words, values: Floats, kind: NDArray[np.str_], rules: Sequence[Rule]
) -> Chart | None:
    """Return the chart of the values that are known, None where none is."""
    known = ~np.isnan(values)
    if not known.any():
        return None
    there = values[known]
    edges = _edges(there, rules)
    inside = np.clip(there, edges[0], edges[-1])
    parts = [
        Series(name, np.histogram(inside[kind[known] == name], edges)[0].tolist()) for name in KINDS
    ]
    beyond = [rule.words for rule in rules if not edges[0] <= rule.at <= edges[-1]]
    summary = _summary(there, len(values), beyond)
    return stacked(replace(words, summary=summary), edges.tolist(), parts, rules)


def _summary(there: Floats, asked: int, beyond: Sequence[str]) -> str:
    spread = _spread(there)
    said = (
        f"{len(there):,} of {asked:,} are known; median {short(spread.median)}, "
        f"a tenth below {short(spread.low)}, a tenth above {short(spread.high)}."
    )
    return f"{said} Beyond the axis: {', '.join(beyond)}." if beyond else said


def short(value: float | None) -> str:
    """Return a number for people: four digits, none beyond the fourth decimal."""
    return "unknown" if value is None else f"{round(value, 4) + 0.0:.4g}"


def _edges(values: Floats, rules: Sequence[Rule]) -> Floats:
    """Return the bars' edges: nearly all values lie between them, and rules that must be or are near."""
    low, high = np.percentile(values, [OUTER_PERCENT, 100 - OUTER_PERCENT]).tolist()
    span = (high - low) or abs(high) or 1.0
    drawn = [rule.at for rule in rules if rule.always or low - span < rule.at < high + span]
    low, high = min([low, *drawn]), max([high, *drawn])
    margin = 0.03 * ((high - low) or abs(high) or 1.0)
    start = low - margin
    return np.linspace(max(start, 0.0) if low >= 0 else start, high + margin, BINS + 1)


def observing_conditions(samples: pa.Table) -> Conditions:
    """Return how each of `CONDITIONS` is spread in each survey and band."""
    table = _measured(samples)
    columns = {of: _numbers(table, of) for of in CONDITIONS.values() if of in table.column_names}
    columns["fwhm_arcsec"] = columns["fwhm_px"] * _numbers(table, "pixel_scale")
    known = {name: of for name, of in CONDITIONS.items() if not np.isnan(columns[of]).all()}
    pairs = zip(table["survey"].to_pylist(), table["band"].to_pylist(), strict=True)
    named = np.array([f"{survey}, band {band}" if band else survey for survey, band in pairs], str)
    rows = []
    for name in np.unique(named).tolist():
        here = named == name
        spreads = [_spread(columns[of][here]) for of in known.values()]
        rows.append((name, int(here.sum()), spreads))
    return Conditions(list(known), rows)


def _spread(values: Floats) -> Spread:
    known = values[~np.isnan(values)]
    if not known.size:
        return Spread(None, None, None)
    low, median, high = np.percentile(known, [10, 50, 90]).tolist()
    return Spread(median, low, high)


def _numbers(table: pa.Table, name: str) -> Floats:
    values: Floats = table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
