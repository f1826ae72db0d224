"""Units of work: samples that are built together, on one worker, from files that it has fetched."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrid_training.neighbours import NEIGHBOURS
from astrid_training.packs import put_table
from astrid_training.records import BatchRef
from astrid_training.stamps import ROLES
from astrid_training.store import Store

__all__ = [
    "BUILT_STAMPS",
    "LABELS",
    "READY",
    "STAMPS",
    "TARGETS",
    "build_batches",
    "exposures_of",
    "reuse_batches",
]

BATCH_BYTES = 1_000_000_000  # what one unit of work may fetch

_SOURCES = [
    field
    for role in ROLES
    for field in (
        (f"{role}_path", pa.string()),
        (f"{role}_kind", pa.string()),
        (f"{role}_etag", pa.string()),
        (f"{role}_size", pa.int64()),
    )
]
TARGETS = pa.schema(
    [
        ("sample_key", pa.string()),
        ("observation_id", pa.string()),
        ("survey", pa.string()),
        ("band", pa.string()),
        ("seeing_arcsec", pa.float64()),
        ("pixel_scale", pa.float64()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("pixel_x", pa.int32()),
        ("pixel_y", pa.int32()),
        ("candidates_fwhm_px", pa.float64()),
        *_SOURCES,
        ("input_digest", pa.string()),
    ]
)
"""What a batch cuts, sorted by observation, files and sample; nothing in it depends on labels."""

LABELS = pa.schema(
    [
        ("sample_key", pa.string()),
        ("code", pa.uint8()),  # of its own target in the mask: 1 real, 2 rejected, 0 none
        ("moving", pa.bool_()),  # whether it leaves a trail
        ("neighbours", NEIGHBOURS),
    ]
)
"""What masks need of the labels of a batch."""

STAMPS = pa.schema(
    [
        ("sample_key", pa.string()),
        ("image_pack", pa.string()),
        ("flag_pack", pa.string()),
        ("significance_pack", pa.string()),
        ("measure_table", pa.string()),
        ("pack_row", pa.int32()),
    ]
)
"""Where built stamps lie."""

READY = pa.schema([*TARGETS, *list(LABELS)[1:]])
"""Subjects whose files are there, with what their masks need."""

BUILT_STAMPS = pa.schema(
    [*STAMPS, ("at", pa.timestamp("us", "UTC")), TARGETS.field("observation_id"), *list(LABELS)[1:]]
)
"""Subjects whose stamps are there: where, since when, of which observation."""

_EXPOSURE = ("observation_id", *(f"{role}_path" for role in ROLES))
"""What rows have in common that are cut from the same images."""

Row = dict[str, Any]


def build_batches(store: Store, rows: pa.Table, batch_samples: int) -> list[BatchRef]:
    """Return batches of whole exposures, bounded by samples and by bytes."""
    rows = _sorted(rows, [*_EXPOSURE, "sample_key"])
    starts = _starts(rows, _EXPOSURE)
    sizes = _sizes(rows.take(pa.array(starts)))
    ends = [*starts.tolist(), rows.num_rows]
    cuts = _cuts(np.diff(ends).tolist(), sizes, batch_samples)
    return [
        _build_batch(store, rows.slice(ends[a], ends[b] - ends[a]), sizes[a:b])
        for a, b in pairwise(cuts)
    ]


def _sorted(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows in the order of these text columns, none before any."""
    keys = pa.table({name: pc.fill_null(rows[name], "") for name in names})
    return rows.take(pc.sort_indices(keys, [(name, "ascending") for name in names]))


def _starts(rows: pa.Table, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the first row of each run of rows that agree in these text columns."""
    new = np.zeros(rows.num_rows, bool)
    new[:1] = True
    for name in names:
        values = pc.fill_null(rows[name], "")
        new[1:] |= pc.not_equal(values[1:], values[:-1]).to_numpy()
    return np.flatnonzero(new)


def _sizes(exposures: pa.Table) -> list[dict[str | None, int]]:
    """Return path -> bytes of the files of each exposure."""
    paths, sizes = (
        zip(*(exposures[f"{role}_{what}"].to_pylist() for role in ROLES), strict=True)
        for what in ("path", "size")
    )
    return [
        {path: size or 0 for path, size in zip(*one, strict=True)}
        for one in zip(paths, sizes, strict=True)
    ]


def _cuts(
    counts: Sequence[int], sizes: Sequence[dict[str | None, int]], batch_samples: int
) -> list[int]:
    """Return the numbers of the exposures at which batches begin, and at which the last one ends.

    Args:
        counts: samples of each exposure.
        sizes: path -> bytes of the files of each; those that exposures share count once.
        batch_samples: most samples of a batch, unless one exposure has more.
    """
    cuts, samples, held = [0], 0, 0
    files = set[str | None]()
    for number, (count, of) in enumerate(zip(counts, sizes, strict=True)):
        more = sum(size for path, size in of.items() if path not in files)
        if samples and (samples + count > batch_samples or held + more > BATCH_BYTES):
            cuts.append(number)
            samples, held, files, more = 0, 0, set(), sum(of.values())
        samples, held = samples + count, held + more
        files |= of.keys()
    return [*cuts, len(counts)] if counts else [0]


def exposures_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows that are cut from the same images of one observation, which lie together."""
    for _, group in groupby(rows, lambda row: tuple(row[name] or "" for name in _EXPOSURE)):
        yield list(group)


def _build_batch(store: Store, rows: pa.Table, sizes: Sequence[dict[str | None, int]]) -> BatchRef:
    files = {path: size for of in sizes for path, size in of.items()}
    return BatchRef(
        targets=_put(store, "targets", rows, TARGETS),
        labels=_put(store, "labels", rows, LABELS),
        samples=rows.num_rows,
        exposures=len(pc.unique(rows["observation_id"])),
        source_bytes=sum(files.values()),
        built=False,
    )


def reuse_batches(store: Store, rows: pa.Table, batch_samples: int) -> list[BatchRef]:
    """Return batches over stamps that are built: whole packs, in the order in which they came.

    So packs that come later leave the earlier batches as they were, and what was made of those is
    found again.
    """
    packs = rows.group_by("image_pack").aggregate([("at", "min"), ("at", "count")])
    packs = packs.sort_by([("at_min", "ascending"), ("image_pack", "ascending")])
    order = pc.index_in(rows["image_pack"], packs["image_pack"].combine_chunks())
    rows = rows.append_column("pack_number", order)
    rows = rows.sort_by([("pack_number", "ascending"), ("pack_row", "ascending")])
    ends = [0]
    for count in packs["at_count"].to_pylist():
        if len(ends) > 1 and ends[-1] - ends[-2] + count <= batch_samples:
            ends[-1] += count
            continue
        begin, end = ends[-1], ends[-1] + count
        ends += [*range(begin + batch_samples, end, batch_samples), end]
    chunks = [rows.slice(a, b - a) for a, b in pairwise(ends)]
    return [
        BatchRef(
            targets=_put(store, "stamps", chunk, STAMPS),
            labels=_put(store, "labels", chunk, LABELS),
            samples=chunk.num_rows,
            exposures=len(pc.unique(chunk["observation_id"])),
            source_bytes=0,
            built=True,
        )
        for chunk in chunks
    ]


def _put(store: Store, kind: str, rows: pa.Table, schema: pa.Schema) -> str:
    """Store these columns; equal rows make equal bytes, whatever pieces the table is made of."""
    return put_table(store, kind, rows.select(schema.names).combine_chunks().cast(schema))
