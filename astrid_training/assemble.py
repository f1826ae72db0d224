"""From the batches' tables to one table of samples, with every subject accounted for."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.build import BUILT
from astrid_training.errors import FunnelError
from astrid_training.memory import give_back
from astrid_training.negatives import SKY
from astrid_training.packs import read_table
from astrid_training.records import (
    BuiltBatch,
    FunnelRow,
    Plan,
    Reject,
    Selection,
    count_rejects,
)
from astrid_training.selection import read_notes
from astrid_training.sky_negatives import read_sky_notes
from astrid_training.store import Store

__all__ = ["Assembled", "assemble", "class_counts", "funnel_of", "split_counts"]


NOT_OF_SAMPLES = ["step", "reason", "detail", "neighbours", "sampling_key"]
"""Columns of a selection that say why a subject left, or served to choose it or to draw its mask."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A collection before it is a dataset."""

    samples: pa.Table
    """One row a kept subject, sorted by sample_key: its label, its place, its pixels, its metrics."""
    rejects: list[Reject]
    """Every other subject of the selection, once."""
    funnel: list[FunnelRow]
    """Selected, then the drops by step and reason, then kept; the counts add up."""
    detections: dict[str, str | None]
    """sample_key -> detection_id, for kept and dropped alike; None for sky."""
    notes: dict[str, Any]
    """What happened to reviews on the way to labels, see `selection.read_notes`."""


def assemble(
    store: Store, selection: Selection, plan: Plan, built: Sequence[BuiltBatch]
) -> Assembled:
    """Join labels with built samples and account for every subject.

    Raises:
        FunnelError: if a subject is lost or counted twice.
    """
    table = read_table(store, "selections", selection.digest)
    dropped = table.filter(pc.is_valid(table["reason"]))
    rejects = [
        Reject(row["sample_key"], row["step"], row["reason"], row["detail"] or "")
        for row in dropped.select(["sample_key", "step", "reason", "detail"]).to_pylist()
    ]
    rejects += plan.rejects + [reject for batch in built for reject in batch.rejects]
    samples = _join(table, store, built)
    keys = table["sample_key"].to_pylist()
    left = samples["sample_key"].to_pylist()
    funnel = funnel_of("fetch_validated_detections", keys, left, rejects)
    detections = dict(zip(keys, table["detection_id"].to_pylist(), strict=True))
    rejects.sort(key=lambda reject: reject.sample_key)
    notes = read_notes(table) | {"negatives": {"sky": read_sky_notes(table)}}
    return Assembled(samples, rejects, funnel, detections, notes)


def _join(told: pa.Table, store: Store, built: Sequence[BuiltBatch]) -> pa.Table:
    """Return a row for each built one of a kept subject of the selection, sorted by sample_key.

    What was measured on the file wins over what the database says of it. Column by column: Arrow's
    own join holds all of both tables three times.
    """
    tables = [read_table(store, "built", batch.samples) for batch in built]
    joined = pa.concat_tables([BUILT.empty_table(), *tables])
    keys = joined["sample_key"].combine_chunks()
    kept = pc.if_else(pc.is_null(told["reason"]), told["sample_key"], None)
    place = pc.index_in(keys, kept.combine_chunks())
    order = pc.sort_indices(keys)
    order = order.filter(pc.is_valid(place.take(order)))
    place = place.take(order)
    pixels = dict(zip(joined.column_names, joined.columns, strict=True))
    del tables, joined  # each column goes as soon as it is taken
    told = told.drop_columns(NOT_OF_SAMPLES)
    alone = [name for name in told.column_names if name not in pixels]
    columns = {name: told[name].take(place) for name in alone}
    for name in list(pixels):
        value = pixels.pop(name).combine_chunks().take(order)
        if name in told.column_names and value.null_count:
            value = pc.coalesce(value, told[name].combine_chunks().take(place))
        columns[name] = value
    del told
    give_back()
    return pa.table(columns)


def funnel_of(
    step: str, selected: Sequence[str], kept: Sequence[str], rejects: Sequence[Reject]
) -> list[FunnelRow]:
    """Return the funnel: selected at `step`, the drops by step and reason, kept.

    Raises:
        FunnelError: if a subject is lost or counted twice.
    """
    check_funnel(selected, kept, rejects)
    return [
        FunnelRow(step, "selected", len(selected)),
        *count_rejects(rejects),
        FunnelRow("persist_dataset", "kept", len(kept)),
    ]


def check_funnel(selected: Sequence[str], kept: Sequence[str], rejects: Sequence[Reject]) -> None:
    """Return if every selected subject is kept or rejected, and none is twice.

    Raises:
        FunnelError: naming the subjects that do not add up.
    """
    outcomes = Counter([*kept, *(reject.sample_key for reject in rejects)])
    lost = sorted(set(selected) - set(outcomes))
    doubled = sorted(key for key, count in outcomes.items() if count > 1)
    foreign = sorted(set(outcomes) - set(selected))
    if lost or doubled or foreign:
        raise FunnelError(
            f"{len(selected)} selected, {len(kept)} kept, {len(rejects)} rejected: "
            f"{len(lost)} lost {lost[:3]}, {len(doubled)} counted twice {doubled[:3]}, "
            f"{len(foreign)} from elsewhere {foreign[:3]}; this is a bug, please report it"
        )


def split_counts(samples: pa.Table) -> dict[str, int]:
    """Return samples per split, train, val and test always there."""
    counts = Counter(samples["split"].to_pylist())
    return {name: counts[name] for name in ("train", "val", "test", *sorted(set(counts)))}


def class_counts(samples: pa.Table) -> dict[str, int]:
    """Return samples per class, rejected ones under `bogus`, places without any under `sky`."""
    return dict(sorted(Counter(_classes(samples)).items()))


def _classes(samples: pa.Table) -> Iterable[str]:
    columns = (samples[name].to_pylist() for name in ("anomaly_type", "is_anomaly", "label_source"))
    for name, is_anomaly, source in zip(*columns, strict=True):
        yield name if is_anomaly else SKY if source == SKY else "bogus"
