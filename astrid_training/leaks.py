"""The leak gate: nothing that a model is judged by shows what it was trained on."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import KDTree

from astrid_training.division import Divided
from astrid_training.duplicates import (
    LEAST_ALIKE,
    alike,
    high_passed,
    same_pixels,
    thumbnails,
)
from astrid_training.errors import GateFailedError
from astrid_training.groups import numbered, pixel_scales, planes
from astrid_training.memory import give_back
from astrid_training.packs import PackCache
from astrid_training.params import Channel, PreprocessSpec
from astrid_training.records import Leaks, Reject
from astrid_training.splits import SPLITS

__all__ = ["LeaksFoundError", "check_leaks", "near_duplicates"]

STEP = "check_leaks"
ROUNDING_PX = 1
"""Stamps begin at whole pixels, positions do not."""
READ_AT_ONCE = 128
PACKS_OPEN = 64  # each is a file descriptor and a map, and systems give a thousand
COMPARED: tuple[Channel, ...] = ("difference", "science")
"""Channels that tell an exposure; the reference is shared by right."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Stamps = NDArray[np.float32]
Reason = tuple[str, str]
Grid = tuple[Floats, Floats, Rows]


class LeaksFoundError(GateFailedError):
    """Training and judgement share something that was not set aside."""


def check_leaks(divided: Divided, packs: PackCache, spec: PreprocessSpec) -> Leaks:
    """Return which samples are set aside so that nothing leaks, and the proof that nothing does.

    In this order leave: what would join two splits, was seen before, or is held back; all but one of
    samples with the same pixels; training samples that share pixels of an exposure or a reference
    with val or test; training samples that are near duplicates of one of those.

    Args:
        divided: samples with their groups and splits.
        packs: where their stamps lie; its store gets the division.
        spec: how stamps are made.

    Raises:
        LeaksFoundError: if something is shared all the same.
    """
    away: dict[int, Reason] = {
        index: (one.reason, one.detail)
        for index, one in enumerate(divided.assignments)
        if one.reason is not None
    }
    away |= _copies(divided, _left(divided, away))
    grids = list(_grids(divided.samples, spec))  # once: of fewer samples they would lie elsewhere
    away |= _guarded(divided.samples, _left(divided, away), grids)
    give_back()
    near, candidates = near_duplicates(divided.samples, _left(divided, away), packs, spec)
    away |= near
    keys = divided.samples["sample_key"].to_pylist()
    rejects = [Reject(keys[index], STEP, *away[index]) for index in sorted(away)]
    rows = _left(divided, away)
    left = divided.samples.select(["split", "is_anomaly", "group_key", "image_digest"]).take(rows)
    proof = {
        "policy": divided.policy.salt,
        "strategy": divided.policy.strategy,
        **divided.facts,
        "set_aside": dict(sorted(Counter(reject.reason for reject in rejects).items())),
        "shared_groups": _in_two_splits(left, "group_key"),
        "shared_boxes": len(_shared_boxes(divided.samples, rows, grids)),
        "shared_pixels": _in_two_splits(left, "image_digest"),
        "near_duplicates": len(near.keys() & set(rows.tolist())),
        "candidates": candidates,
        "groups_per_split": _group_counts(left),
    }
    _judge(proof)
    give_back()
    return Leaks(divided.keep(packs.store), divided.ledger_head, rejects, proof)


def _left(divided: Divided, away: Mapping[int, Reason]) -> Rows:
    """Return the rows that are still there."""
    there = np.ones(len(divided.assignments), bool)
    there[list(away)] = False
    return np.flatnonzero(there)


def _copies(divided: Divided, rows: Rows) -> dict[int, Reason]:
    """Return all but one of the samples that have the same pixels: known ones stay, then the oldest."""
    table = divided.samples.select(["image_digest", "split"]).take(rows)
    counts = table.group_by("image_digest").aggregate([("split", "count")])
    several = pc.filter(counts["image_digest"], pc.greater(counts["split_count"], 1))
    digests = table["image_digest"].to_pylist()
    keys, times = (divided.samples[name].to_pylist() for name in ("sample_key", "observation_time"))

    def rank(index: int) -> tuple[object, ...]:
        one = divided.assignments[index]
        return (not one.known, -SPLITS.index(one.split), times[index], keys[index])

    same: defaultdict[str, list[int]] = defaultdict(list)
    for place in np.flatnonzero(pc.is_in(table["image_digest"], value_set=several)).tolist():
        same[digests[place]].append(int(rows[place]))
    found: dict[int, Reason] = {}
    for copies in same.values():
        first, *others = sorted(copies, key=rank)
        found |= dict.fromkeys(others, ("duplicate", f"has the pixels of {keys[first]}"))
    return found


def _guarded(samples: pa.Table, rows: Rows, grids: Sequence[Grid]) -> dict[int, Reason]:
    """Return the training samples that share pixels with val or test."""
    keys = samples["sample_key"].to_pylist()
    return {
        train: ("guard", f"its stamp overlaps that of {keys[judged]}")
        for train, judged in _shared_boxes(samples, rows, grids).items()
    }


def _shared_boxes(samples: pa.Table, rows: Rows, grids: Sequence[Grid]) -> dict[int, int]:
    """Return those of `rows` in train whose stamp overlaps one of val or test, and one such of each."""
    train, judged = (rows[side] for side in _sides(samples["split"].take(rows)))
    found: dict[int, int] = {}
    for x, y, codes in grids:
        at_train, at_judged = train[codes[train] >= 0], judged[codes[judged] >= 0]
        if not (at_train.size and at_judged.size):
            continue
        points = np.stack([x, y, 1e7 * codes], axis=1)  # no frame is ten million stamps wide
        distance, nearest = KDTree(points[at_judged]).query(
            points[at_train], p=np.inf, distance_upper_bound=1.0
        )
        for row, other in zip(at_train[distance < 1], nearest[distance < 1], strict=True):
            found.setdefault(int(row), int(at_judged[other]))
    return found


def _sides(split: pa.ChunkedArray) -> tuple[Rows, Rows]:
    """Return the rows of train, and those of val and test."""
    judging = pa.array(["val", "test"])
    train, judged = pc.equal(split, "train"), pc.is_in(split, value_set=judging)
    return np.flatnonzero(train), np.flatnonzero(judged)


def _grids(samples: pa.Table, spec: PreprocessSpec) -> Iterator[Grid]:
    """Yield (x, y, code) of all samples in units of a stamp, on frames, exposures, references.

    On a frame that both were cut from, its own pixels count, whichever way it is turned. Else
    positions on the sky count, and sides along north and east.
    """
    reach_px = spec.stamp_size + spec.margin + ROUNDING_PX
    framed = np.array([kind != "stamp" for kind in samples["source_kind"].to_pylist()], bool)
    x, y = (samples[name].to_numpy() for name in ("frame_x", "frame_y"))
    framed &= np.isfinite(x) & np.isfinite(y)
    exposures = numbered(samples["observation_id"].to_pylist())
    yield x / reach_px, y / reach_px, np.where(framed, exposures, -1)
    side = reach_px * pixel_scales(samples)
    references = numbered(samples["reference_path"].to_pylist())
    for codes in (np.where(framed, -1, exposures), references):
        known = np.flatnonzero(codes >= 0)
        east, north = np.zeros(len(codes)), np.zeros(len(codes))
        if known.size:
            widest = np.zeros(codes.max() + 1)
            np.maximum.at(widest, codes[known], side[known])
            ra, dec = (samples[name].to_numpy()[known] for name in ("ra_deg", "dec_deg"))
            one, other = planes(ra, dec, codes[known])
            east[known], north[known] = (v / widest[codes[known]] for v in (one, other))
        yield east, north, codes


def near_duplicates(
    samples: pa.Table, rows: Rows, packs: PackCache, spec: PreprocessSpec
) -> tuple[dict[int, Reason], int]:
    """Return the training samples that show the pixels of one of val or test, and how many were suspected."""
    channels = [channel for channel in COMPARED if channel in spec.channels]
    if not channels or not rows.size:
        return {}, 0
    left = samples.select(["sample_key", "split", "image_pack", "pack_row"]).take(rows)
    train, judged = _sides(left["split"])
    reader = _Reader(left, packs, spec)
    thumbs = reader.thumbnails(channels[0])
    suspects = list(alike(thumbs[judged], thumbs[train], LEAST_ALIKE[channels[0]]))
    keys = left["sample_key"].to_pylist()
    found: dict[int, Reason] = {}
    for one, other in suspects:
        row, twin = int(train[other]), int(judged[one])
        if int(rows[row]) in found:
            continue
        likeness = same_pixels(reader.rough(row, channels), reader.rough(twin, channels))
        if likeness is not None:
            detail = f"shows the pixels of {keys[twin]}, correlation {likeness:.2f}"
            found[int(rows[row])] = ("near_duplicate", detail)
    return found, len(suspects)


class _Reader:
    """Reads the stamps of samples out of their packs."""

    def __init__(self, samples: pa.Table, packs: PackCache, spec: PreprocessSpec) -> None:
        self._packs, self._spec = packs, spec
        self._pack = samples["image_pack"].to_pylist()
        self._row = samples["pack_row"].to_pylist()
        self._open: dict[str, NDArray[Any]] = {}
        self._kept: dict[tuple[int, Channel], Stamps] = {}

    def thumbnails(self, channel: Channel) -> Stamps:
        """Return (n, 64) thumbnails, read pack by pack."""
        order = sorted(range(len(self._row)), key=lambda i: (self._pack[i], self._row[i]))
        side = self._spec.stamp_size
        thumbs = np.zeros((len(order), 64), np.float32)
        stamps = np.empty((READ_AT_ONCE, side, side), np.float32)
        for start in range(0, len(order), READ_AT_ONCE):
            some = order[start : start + READ_AT_ONCE]
            for place, index in enumerate(some):
                stamps[place] = self._stamp(index, channel)
            thumbs[some] = thumbnails(stamps[: len(some)])
        return thumbs

    def rough(self, index: int, channels: Sequence[Channel]) -> list[Stamps]:
        """Return the high-passed channels of one sample."""
        for channel in channels:
            if (index, channel) not in self._kept:
                self._kept[index, channel] = high_passed(self._stamp(index, channel))
        return [self._kept[index, channel] for channel in channels]

    def _stamp(self, index: int, channel: Channel) -> Stamps:
        digest = self._pack[index]
        pack = self._open.get(digest)
        if pack is None:
            if len(self._open) >= PACKS_OPEN:
                del self._open[next(iter(self._open))]  # the oldest; samples come pack by pack
            # as a plain array: a memory map costs more to index than the pixels to read
            pack = self._open[digest] = np.asarray(self._packs.open("images", digest))
        inner = slice(self._spec.margin, self._spec.margin + self._spec.stamp_size)
        stamp: Stamps = pack[self._row[index], self._spec.channels.index(channel), inner, inner]
        return stamp


def _in_two_splits(samples: pa.Table, column: str) -> int:
    splits = samples.group_by(column).aggregate([("split", "count_distinct")])
    return int(np.count_nonzero(splits["split_count_distinct"].to_numpy() > 1))


def _group_counts(samples: pa.Table) -> dict[str, dict[str, int]]:
    """Return how many groups each split holds of real and of bogus samples."""
    groups: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)
    columns = (samples[name].to_pylist() for name in ("split", "is_anomaly", "group_key"))
    for split, real, group in zip(*columns, strict=True):
        groups[split, bool(real)].add(group)
    return {
        split: {name: len(groups[split, real]) for name, real in (("real", True), ("bogus", False))}
        for split in SPLITS
    }


def _judge(proof: Mapping[str, Any]) -> None:
    names = {
        "shared_groups": "sky groups are in two splits",
        "shared_boxes": "training samples share pixels of an exposure with val or test",
        "shared_pixels": "stamps are in two splits",
        "near_duplicates": "training samples are near duplicates of val or test",
    }
    reasons = [
        f"{proof[name]} {what}; this is a bug, please report it"
        for name, what in names.items()
        if proof[name]
    ]
    if reasons:
        raise LeaksFoundError(reasons)
