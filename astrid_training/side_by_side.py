"""Two samples tables side by side: the same numbers for the same things, bins that fit both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.null_law import Clusters, Codes, Floats

__all__ = [
    "SEPARATOR",
    "Place",
    "bands_of",
    "common_bins",
    "compact",
    "places_of",
    "shared_codes",
    "value_bins",
]

LEAST_EXPECTED = 3  # samples in a bin of the smaller side; rarer names are taken together
SEPARATOR = "\0"  # of survey and band; no text of the database holds it
CLUSTERS = ("observation_id", "group_key")


@dataclass(frozen=True, slots=True)
class Place:
    """Samples of one survey in one band, on both sides; of several where `survey` is None."""

    survey: str | None
    band: str | None
    before: Codes
    """Rows."""
    after: Codes
    clusters: Clusters
    """By exposure, and by sky group."""


def places_of(before: pa.Table, after: pa.Table) -> tuple[list[Place], Place | None]:
    """Return the survey and band pairs that both sides have, in order, and all of them as one.

    None: they have none in common.
    """
    codes, names = shared_codes(bands_of(before), bands_of(after))
    clusters = [shared_codes(before[name], after[name])[0] for name in CLUSTERS]
    counts = [np.bincount(side, minlength=len(names)) for side in codes]
    both = (counts[0] > 0) & (counts[1] > 0)
    places = []
    for code in sorted(np.flatnonzero(both), key=lambda code: names[code]):
        survey, _, band = names[code].partition(SEPARATOR)
        rows = [np.flatnonzero(side == code) for side in codes]
        places.append(_place(survey, band or None, rows, clusters))
    rows = [np.flatnonzero(both[side]) for side in codes]
    return places, _place(None, None, rows, clusters) if places else None


def _place(
    survey: str | None, band: str | None, rows: Sequence[Codes], clusters: Clusters
) -> Place:
    before, after = rows
    here = [compact(first[before], second[after]) for first, second in clusters]
    return Place(survey, band, before, after, here)


def bands_of(samples: pa.Table) -> pa.ChunkedArray:
    """Return each sample's survey and band, joined by a NUL."""
    band = pc.coalesce(samples["band"], pa.scalar(""))
    return pc.binary_join_element_wise(samples["survey"], band, SEPARATOR)


def shared_codes(
    before: pa.ChunkedArray, after: pa.ChunkedArray
) -> tuple[tuple[Codes, Codes], list[str]]:
    """Return values as numbers from 0, the same for the same value, and what the numbers mean.

    A missing value is a value of its own, `unknown`.
    """
    texts = [pc.coalesce(side.cast(pa.string()), pa.scalar("unknown")) for side in (before, after)]
    encoded = pa.chunked_array([*texts[0].chunks, *texts[1].chunks], pa.string()).combine_chunks()
    encoded = encoded.dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    return (codes[: len(before)], codes[len(before) :]), encoded.dictionary.to_pylist()


def compact(before: Codes, after: Codes) -> tuple[Codes, Codes]:
    """Return the numbers without those that occur on neither side."""
    occurs = np.zeros(int(max(before.max(), after.max())) + 1, np.bool_)
    occurs[before] = True
    occurs[after] = True
    renamed = np.cumsum(occurs) - 1
    return renamed[before], renamed[after]


def value_bins(before: Floats, after: Floats, bins: int) -> tuple[Codes, Codes]:
    """Return the bin of each value; up to `bins` bins hold equally many of `before`.

    A value that fills a bin by being frequent has one of its own, so that what is less and what is
    more stay apart from it. Bins in which hardly any value lies are joined to their neighbours.
    """
    at = np.arange(1, bins) / bins
    quantiles = np.quantile(before, at, method="inverted_cdf")
    edges, times = np.unique(quantiles, return_counts=True)
    frequent = edges[times > 1]
    edges = np.unique([*edges, *np.nextafter(frequent, -np.inf)])
    return joined(np.searchsorted(edges, before), np.searchsorted(edges, after))


def common_bins(before: Codes, after: Codes) -> tuple[Codes, Codes]:
    """Return names as bins, the rarest taken together."""
    counts = np.bincount(before, minlength=_width(before, after))
    counts += np.bincount(after, minlength=len(counts))
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return joined(rank[before], rank[after])


def joined(before: Codes, after: Codes) -> tuple[Codes, Codes]:
    """Return the bins with each that is too thin joined to the one before it, the first to the next."""
    counts = np.bincount(before, minlength=_width(before, after))
    counts = counts + np.bincount(after, minlength=len(counts))
    smaller = min(len(before), len(after)) / (len(before) + len(after))
    renamed = np.empty(len(counts), np.int64)
    bin_, held = 0, 0.0
    for code, count in enumerate(counts):
        if held >= LEAST_EXPECTED and counts[code:].sum() * smaller >= LEAST_EXPECTED:
            bin_, held = bin_ + 1, 0.0
        renamed[code] = bin_
        held += count * smaller
    return renamed[before], renamed[after]


def _width(before: Codes, after: Codes) -> int:
    return int(max(before.max(), after.max())) + 1
