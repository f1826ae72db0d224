"""Rolling limits: whether a band's last exposures are what the ones before them were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["METRICS", "Departure", "departures"]

METRICS = ("fwhm_px", "background_rms", "depth_5sigma", "quality_score")
"""What is watched of each exposure, by its median over the exposure's samples."""

LEAST_HISTORY = 20
"""Exposures; of fewer nobody knows what is usual."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Departure:
    """A metric whose recent median lies outside the limits of the exposures before."""

    survey: str
    band: str
    metric: str
    recent: float
    low: float
    high: float


def departures(samples: pa.Table, recent: int, window: int, mads: float) -> list[Departure]:
    """Return what has departed in the newest exposures of each survey and band.

    Limits are the median and so many median absolute deviations on both sides, of at most `window`
    exposures before the newest `recent` ones. The median of those is judged, so that a single bad
    night is none. A band with less than 20 exposures before them is not judged.

    Args:
        samples: survey, band, observation_id, observation_time and `METRICS`, in any order; a metric
            that is not there is not judged. An exposure may come in several tables of samples.
        recent: newest exposures.
        window: exposures before them, at most.
        mads: deviations.
    """
    found = []
    for (survey, band), rows in _bands(samples):
        exposures = _by_time(rows)
        for metric in METRICS:
            if metric in rows.column_names:
                values = _medians(rows, metric, exposures)
                found += list(_judged(survey, band, metric, values, (recent, window), mads))
    return found


def _bands(samples: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    keys = list(zip(samples["survey"].to_pylist(), samples["band"].to_pylist(), strict=True))
    places: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(keys):
        places.setdefault(key, []).append(row)
    for key in sorted(places):
        yield key, samples.take(pa.array(places[key]))


def _by_time(rows: pa.Table) -> dict[str, list[int]]:
    """Return the rows of each exposure, the oldest first."""
    times = rows["observation_time"].to_pylist()
    names = rows["observation_id"].to_pylist()
    found: dict[str, list[int]] = {}
    for row in sorted(range(rows.num_rows), key=lambda row: (times[row], names[row])):
        found.setdefault(names[row], []).append(row)
    return found


def _medians(rows: pa.Table, metric: str, exposures: dict[str, list[int]]) -> Floats:
    """Return the known medians of a metric, exposure by exposure."""
    values = rows[metric].to_numpy().astype(float)
    medians = [
        np.median(known)
        for places in exposures.values()
        if (known := values[places][np.isfinite(values[places])]).size
    ]
    return np.array(medians, float)


def _judged(
    survey: str,
    band: str,
    metric: str,
    values: Floats,
    spans: Sequence[int],
    mads: float,
) -> Iterator[Departure]:
    recent, window = spans
    history, newest = values[:-recent][-window:], values[-recent:]
    if len(history) < LEAST_HISTORY:
        return
    middle, now = float(np.median(history)), float(np.median(newest))
    reach = mads * float(np.median(np.abs(history - middle)))
    if reach > 0 and abs(now - middle) > reach:
        yield Departure(survey, band, metric, now, middle - reach, middle + reach)
