"""Rolling limits: whether a band's last exposures are what the ones before them were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["METRICS", "Departure", "departures"]

METRICS = ("fwhm_px", "background_rms", "depth_5sigma", "quality_score")
"""What is watched of each exposure, by its median over the exposure's samples."""

LEAST_HISTORY = 20
"""Exposures; of fewer nobody knows what is usual."""

BAND = ("survey", "band")
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


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
                values = _medians(rows, metric, exposures, recent + window)
                found += list(_judged(survey, band, metric, values, (recent, window), mads))
    return found


def _bands(samples: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    pairs = samples.group_by(BAND).aggregate([])
    for survey, band in sorted(zip(*(pairs[name].to_pylist() for name in BAND), strict=True)):
        ours = pc.and_(pc.equal(samples["survey"], survey), pc.equal(samples["band"], band))
        yield (survey, band), samples.filter(ours)


def _by_time(rows: pa.Table) -> list[Places]:
    """Return the rows of each exposure, the oldest first."""
    keys = [("observation_time", "ascending"), ("observation_id", "ascending")]
    order = pc.sort_indices(rows, sort_keys=keys).to_numpy()
    names = rows["observation_id"].combine_chunks().take(order).dictionary_encode()
    exposures = names.indices.to_numpy()  # numbered as they come
    together = np.argsort(exposures, kind="stable")
    return np.split(order[together], np.flatnonzero(np.diff(exposures[together])) + 1)


def _medians(rows: pa.Table, metric: str, exposures: Sequence[Places], most: int) -> Floats:
    """Return the known medians of a metric of the newest exposures, the oldest first."""
    values = rows[metric].to_numpy().astype(float)
    medians = (
        np.median(known)
        for places in reversed(exposures)
        if (known := values[places][np.isfinite(values[places])]).size
    )
    return np.array(list(islice(medians, most))[::-1], float)


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
