"""Two datasets compared: which samples came, went and changed, and what drifted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.drift import Drift, Untested, find_drift, labels_of
from astrid_training.errors import DatasetNotFoundError
from astrid_training.formats import check_format
from astrid_training.records import TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.samples_twice import Twice, new_twice
from astrid_training.store import Store

__all__ = [
    "CHANGES",
    "Change",
    "Comparison",
    "Finding",
    "OneSided",
    "compare",
    "compare_datasets",
    "pair",
]

CHANGES = ("added", "removed", "relabelled", "moved", "pixels_changed", "mask_changed")
EXAMPLES = 20
"""Keys that a document shows of each list, where nobody asks for all."""


@dataclass(frozen=True, slots=True)
class Change:
    """Samples of which the same became."""

    keys: Sequence[str]
    """Sorted."""
    ways: Mapping[str, int]
    """How many went from what to what, as `train -> test`, the most first; what was added or
    removed by its label."""

    def to_dict(self, most: int | None) -> dict[str, Any]:
        """Return the counts and up to `most` keys."""
        return {"count": len(self.keys), "ways": dict(self.ways), "keys": list(self.keys[:most])}


@dataclass(frozen=True, slots=True)
class OneSided:
    """A survey, or a band of one, that only one of the two has."""

    survey: str
    band: str | None
    """None: the whole survey."""
    side: str
    """before: it is missing now; after: it is new."""
    samples: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that people should know before they use the newer set for the older one."""

    kind: str
    """relabelled, drift, survey_missing, survey_new, band_missing, band_new or twice."""
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two samples tables."""

    n_before: int
    n_after: int
    shared: int
    """Samples that both have, by sample_key."""
    changes: Mapping[str, Change]
    """By the names in `CHANGES`; the last four are of shared samples."""
    one_sided: Sequence[OneSided]
    twice: Sequence[Twice]
    """What `after` shows more than once and `before` did not."""
    drifts: Sequence[Drift]
    """Every test that was made."""
    untested: Sequence[Untested]

    @property
    def findings(self) -> list[Finding]:
        """What to look at: changed labels, drift that is significant and material, what is missing."""
        return [*_of_labels(self), *_of_sides(self), *_of_twice(self), *_of_drifts(self)]

    def numbers(self) -> dict[str, int]:
        """Return the counts, by names that a metric can have."""
        return {
            **{name: len(self.changes[name].keys) for name in CHANGES},
            "shared": self.shared,
            "twice": sum(len(one.keys) for one in self.twice),
            "drift_tests": len(self.drifts),
            "drift_significant": sum(test.significant for test in self.drifts),
            "drift_material": sum(test.counts for test in self.drifts),
            "findings": len(self.findings),
        }

    def to_dict(self, most: int | None = EXAMPLES) -> dict[str, Any]:
        """Return all of it as JSON values.

        Args:
            most: keys of each list that stand in it; None: all.
        """
        return {
            "samples": {"before": self.n_before, "after": self.n_after, "shared": self.shared},
            "findings": [asdict(one) for one in self.findings],
            "changes": {name: self.changes[name].to_dict(most) for name in CHANGES},
            "one_sided": [asdict(one) for one in self.one_sided],
            "twice": [one.to_dict(most) for one in self.twice],
            "drift": [asdict(one) for one in self.drifts],
            "untested": [asdict(one) for one in self.untested],
        }

    def keys_table(self) -> pa.Table:
        """Return every key of every change: a row each with `change` and `sample_key`."""
        parts = {name: self.changes[name].keys for name in CHANGES}
        names = np.repeat(list(parts), [len(keys) for keys in parts.values()])
        keys = [key for part in parts.values() for key in part]
        return pa.table(
            {"change": pa.array(names, pa.string()), "sample_key": pa.array(keys, pa.string())}
        )


def compare(before: pa.Table, after: pa.Table) -> Comparison:
    """Return what differs between two samples tables, in a fixed order.

    Args:
        before: the older one, such as a dataset's parent.
        after: the newer one.
    """
    place = pc.index_in(after["sample_key"], value_set=before["sample_key"].combine_chunks())
    is_shared = pc.is_valid(place)
    gone = pc.invert(pc.is_in(before["sample_key"], value_set=after["sample_key"].combine_chunks()))
    here = after.filter(is_shared)
    there = before.take(place.drop_null())
    labels, splits = (labels_of(there), labels_of(here)), (there["split"], here["split"])
    new, old = after.filter(pc.invert(is_shared)), before.filter(gone)
    drifts, untested = find_drift(before, after)
    return Comparison(
        n_before=before.num_rows,
        n_after=after.num_rows,
        shared=here.num_rows,
        changes={
            "added": _change(new["sample_key"], labels_of(new)),
            "removed": _change(old["sample_key"], labels_of(old)),
            "relabelled": _changed(here["sample_key"], *labels),
            "moved": _changed(here["sample_key"], *splits),
            "pixels_changed": _other(here, there, "image_digest"),
            "mask_changed": _other(here, there, "mask_digest"),
        },
        one_sided=_one_sided(before, after),
        twice=new_twice(before, after),
        drifts=drifts,
        untested=untested,
    )


def compare_datasets(store: Store, before: TrainingDataset, after: TrainingDataset) -> Comparison:
    """Return what differs between two published datasets; see `compare`.

    Raises:
        MissingObjectError: if the table of one is not in the store.
        StoreCorruptError: if it is damaged, or of a later format.
    """
    for one in (before, after):
        check_format(one)
    return compare(*(read_samples(store, one.samples_key) for one in (before, after)))


def pair(
    manager: TrainingDatasetManager, first: str, second: str | None = None
) -> tuple[TrainingDataset, TrainingDataset]:
    """Return the two datasets that are meant, withdrawn or not: the older one, then the newer one.

    Args:
        manager: of the published datasets.
        first: id, version or name; alone, it is the newer one, and its parent is the older.
        second: the newer one.

    Raises:
        DatasetNotFoundError: if one is not there, or `first` is alone and has no parent.
    """
    one = manager.get_dataset(first, allow_revoked=True)
    if second is not None:
        return one, manager.get_dataset(second, allow_revoked=True)
    if one.parent_id is None:
        raise DatasetNotFoundError(
            f"{one.name} {one.version_id} has no parent: it is the first of its name; "
            "name the dataset to compare it with"
        )
    return manager.get_dataset(str(one.parent_id), allow_revoked=True), one


def _change(keys: pa.ChunkedArray, ways: pa.ChunkedArray) -> Change:
    counts = Counter({one["values"].as_py(): one["counts"].as_py() for one in ways.value_counts()})
    ordered = sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))
    return Change(sorted(keys.to_pylist()), {str(name): count for name, count in ordered})


def _changed(keys: pa.ChunkedArray, before: pa.ChunkedArray, after: pa.ChunkedArray) -> Change:
    differs = pc.not_equal(before, after)
    ways = pc.binary_join_element_wise(before.filter(differs), after.filter(differs), " -> ")
    return _change(keys.filter(differs), ways)


def _other(here: pa.Table, there: pa.Table, column: str) -> Change:
    """Return the samples of which a digest is another, by survey."""
    differs = pc.not_equal(there[column], here[column])
    return _change(here["sample_key"].filter(differs), here["survey"].filter(differs))


def _one_sided(before: pa.Table, after: pa.Table) -> list[OneSided]:
    sides = {"before": _bands(before), "after": _bands(after)}
    found = []
    for side, other in (("before", "after"), ("after", "before")):
        for survey in sorted({of for of, _ in sides[side]} - {of for of, _ in sides[other]}):
            samples = sum(count for (of, _), count in sides[side].items() if of == survey)
            found.append(OneSided(survey, None, side, samples))
        known = {of for of, _ in sides[other]}
        alone = [pair for pair in sides[side] if pair[0] in known and pair not in sides[other]]
        found += [
            OneSided(survey, band, side, sides[side][survey, band])
            for survey, band in sorted(alone, key=str)
        ]
    return found


def _bands(samples: pa.Table) -> dict[tuple[str, str | None], int]:
    counted = samples.group_by(["survey", "band"]).aggregate([("sample_key", "count")])
    return {(row["survey"], row["band"]): row["sample_key_count"] for row in counted.to_pylist()}


def _of_labels(found: Comparison) -> Iterator[Finding]:
    change = found.changes["relabelled"]
    if change.keys:
        share = len(change.keys) / found.shared
        ways = ", ".join(f"{count} {way}" for way, count in list(change.ways.items())[:3])
        yield Finding(
            "relabelled",
            f"{len(change.keys):,} of {found.shared:,} shared samples ({share:.1%}) have another "
            f"label: {ways}",
        )


def _of_sides(found: Comparison) -> Iterator[Finding]:
    for one in found.one_sided:
        what = "survey" if one.band is None else "band"
        name = f"survey {one.survey}" if one.band is None else f"band {one.band} of {one.survey}"
        kind, text = ("missing", "is missing") if one.side == "before" else ("new", "is new")
        yield Finding(f"{what}_{kind}", f"{name} {text}: {one.samples:,} samples")


def _of_twice(found: Comparison) -> Iterator[Finding]:
    for one in found.twice:
        yield Finding("twice", one.text)


def _of_drifts(found: Comparison) -> Iterator[Finding]:
    for test in found.drifts:
        if test.counts:
            yield Finding(
                "drift",
                f"{test.where}: {test.column} drifted, {test.of} {test.before:.4g} -> "
                f"{test.after:.4g}, PSI {test.psi:.2f} (chance alone: {test.chance:.2f})",
            )
