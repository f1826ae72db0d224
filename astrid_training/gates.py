"""The conditions that a dataset must meet. Each can be overridden by a parameter that says so."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from astrid_training.negatives import SKY
from astrid_training.records import FunnelRow

__all__ = ["LEAST_GROUPS", "Facts", "Gate", "groups_by_class", "judge", "kinds_by_class"]

SPLITS = ("train", "val", "test")
LEAST_OF_A_CLASS = 10
LEAST_CLASS_GROUPS = 30  # from here on a class must be in every split
LEAST_GROUPS = 5  # of a class in val and in test, below which metrics there mean little
LEAST_CONFIDENCE = 0.70
LEAST_COVERAGE = 0.50
LEAST_IMAGE_QUALITY = 0.50
LEAST_DIFFERENCES = 0.80
LEAST_MULTI_REVIEWED = 20
LEAST_ALPHA = 0.2
MOST_KIND_APART = 10  # points


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition that a dataset must meet."""

    name: str
    passed: bool
    detail: str
    """Cause and cure where it failed, the facts where it passed."""
    overridden_by: str | None = None
    """The parameter that let it through although the condition does not hold."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What gates judge by."""

    samples: pa.Table
    """With the columns of `quality_report.SAMPLES`."""
    real: int
    """Real ones among the reviewed."""
    bogus: int
    confidence: float
    """Mean, of the reviewed labels."""
    coverage: float
    components: Mapping[str, float]
    """Of the quality score."""
    score: float
    threshold: float
    channels: Sequence[str]
    """Images that the dataset stores."""
    consistency: Mapping[str, Any] = field(default_factory=dict)
    """As in `agreement.consistency`; empty where nothing is known."""
    drops: Sequence[FunnelRow] = ()
    """What left, by reason."""


def judge(facts: Facts, overrides: Collection[str] = ()) -> list[Gate]:
    """Return every gate with its outcome.

    Args:
        facts: what they judge by.
        overrides: names of `params.OVERRIDES` that are set.
    """
    return [
        gate if gate.passed or gate.overridden_by not in overrides else _let_through(gate)
        for gate in _gates(facts)
    ]


def _let_through(gate: Gate) -> Gate:
    cause = gate.detail.partition(": ")[0]
    detail = f"{cause}, let through by {gate.overridden_by}"
    return Gate(gate.name, passed=True, detail=detail, overridden_by=gate.overridden_by)


def _gates(facts: Facts) -> Iterator[Gate]:
    """Yield the gates; failed ones name the parameter that could let them through."""
    yield _splits_not_empty(facts)
    yield _classes_in_splits(facts)
    yield _two_classes(facts)
    if facts.samples.num_rows:  # an empty dataset fails for being empty
        yield _mean_confidence(facts)
        yield _coverage(facts)
        yield _image_quality(facts)
    if "difference_kind" in facts.samples.column_names and "difference" in facts.channels:
        yield _difference_images(facts)
    yield _reviewer_agreement(facts)
    yield _image_kinds(facts)
    yield _quality_score(facts)


def _gate(name: str, facts: str, failure: str, override: str | None, *, holds: bool) -> Gate:
    if holds:
        return Gate(name, passed=True, detail=facts)
    cure = f", or set {override}" if override else ""
    return Gate(name, passed=False, detail=f"{failure}{cure}", overridden_by=override)


def _splits_not_empty(facts: Facts) -> Gate:
    splits = facts.samples["split"].to_pylist()
    counts = {split: splits.count(split) for split in SPLITS}
    empty = [split for split, count in counts.items() if not count]
    told = ", ".join(f"{split} {count}" for split, count in counts.items())
    cure = (
        "collect more of the sky or a longer time, so that sky groups fall into every split"
        if splits
        else _why_empty(facts.drops)
    )
    return _gate(
        "splits_not_empty",
        f"samples: {told}",
        f"no sample in {', '.join(empty)}: {cure}",
        "allow_sparse_splits" if splits else None,  # nothing lets an empty dataset through
        holds=not empty,
    )


def _why_empty(drops: Sequence[FunnelRow]) -> str:
    if not drops:
        return "people reviewed nothing in this range; widen it"
    most = max(drops, key=lambda row: row.count)
    return f"none is left, {most.count} left for {most.reason}; see what that means in the funnel"


def groups_by_class(samples: pa.Table) -> dict[tuple[str, bool], set[str]]:
    """Return the sky groups of each (split, real or not)."""
    groups: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)
    columns = (samples[name].to_pylist() for name in ("split", "is_anomaly", "group_key"))
    for split, real, group in zip(*columns, strict=True):
        groups[split, bool(real)].add(group)
    return groups


def _classes_in_splits(facts: Facts) -> Gate:
    groups = groups_by_class(facts.samples)
    lacking = []
    for real, name in ((True, "real"), (False, "rejected")):
        of_class = set().union(*(groups[split, real] for split in SPLITS))
        if len(of_class) >= LEAST_CLASS_GROUPS:
            lacking += [f"{split} has no {name}" for split in SPLITS if not groups[split, real]]
    return _gate(
        "classes_in_splits",
        f"each class of {LEAST_CLASS_GROUPS} sky groups or more is in every split",
        f"{', '.join(lacking)} sky group: collect more of that class in other places",
        "allow_sparse_splits",
        holds=not lacking,
    )


def _two_classes(facts: Facts) -> Gate:
    told = f"{facts.real} real and {facts.bogus} rejected detections"
    return _gate(
        "two_classes",
        told,
        f"only {told}: review more until there are {LEAST_OF_A_CLASS} of each",
        "allow_one_class",
        holds=min(facts.real, facts.bogus) >= LEAST_OF_A_CLASS,
    )


def _mean_confidence(facts: Facts) -> Gate:
    told = f"mean confidence of the labels {facts.confidence:.3f}"
    return _gate(
        "mean_confidence",
        told,
        f"{told} is below {LEAST_CONFIDENCE:g}: let others review the doubtful ones again, or raise "
        "confidence_threshold",
        "allow_doubtful_labels",
        holds=facts.confidence >= LEAST_CONFIDENCE,
    )


def _coverage(facts: Facts) -> Gate:
    told = f"{facts.coverage:.0%} of the subjects have usable files and pixels"
    return _gate(
        "coverage",
        told,
        f"only {told}: the funnel says what is wrong with the others",
        "allow_low_coverage",
        holds=facts.coverage >= LEAST_COVERAGE,
    )


def _image_quality(facts: Facts) -> Gate:
    value = facts.components["image_quality"]
    told = f"image quality {value:.3f}"
    return _gate(
        "image_quality",
        told,
        f"{told} is below {LEAST_IMAGE_QUALITY:g}: leave out bad nights by date_range, or give the "
        "survey's profile the keywords by which its observations can be scored",
        "allow_poor_images",
        holds=value >= LEAST_IMAGE_QUALITY,
    )


def _difference_images(facts: Facts) -> Gate:
    count = facts.samples.num_rows
    there = count - facts.samples["difference_kind"].null_count
    told = f"{there} of {count} samples have a difference image"
    return _gate(
        "difference_images",
        told,
        f"only {told}: run the differencing, or leave the difference out of the channels",
        "allow_science_masks",
        holds=there >= LEAST_DIFFERENCES * count,
    )


def _reviewer_agreement(facts: Facts) -> Gate:
    several, alpha = facts.consistency.get("n_multi"), facts.consistency.get("alpha")
    known = "not known" if alpha is None else f"{alpha:.2f}"
    told = f"Krippendorff's alpha {known}, {several or 0} subjects with several reviewers"
    if several is None:
        told = "it is not known how far reviewers agree"
    return _gate(
        "reviewer_agreement",
        told,
        f"{told}, is below {LEAST_ALPHA:g}: agree on what the classes mean and review again",
        "allow_disagreement",
        holds=alpha is None or (several or 0) < LEAST_MULTI_REVIEWED or alpha >= LEAST_ALPHA,
    )


def _image_kinds(facts: Facts) -> Gate:
    apart = [
        text
        for channel in facts.channels
        if f"{channel}_kind" in facts.samples.column_names
        for text in _kinds_apart(facts.samples, channel)
    ]
    return _gate(
        "image_kinds",
        "each image has the kind of file, raw, processed or stamp, that its class does not tell",
        f"{'; '.join(apart)}: a model could tell the classes by the kind of image; set source_policy "
        "or survey_ids so that one kind is left",
        "allow_mixed_sources",
        holds=not apart,
    )


def _kinds_apart(samples: pa.Table, channel: str) -> Iterator[str]:
    """Yield a sentence for each kind of image whose share differs between real and negative ones.

    Rejected ones and places of the sky are held against the real ones each by themselves: where one
    has more of a kind and the other fewer, they would balance.
    """
    counts = kinds_by_class(samples, channel)
    real = counts.get("real", Counter())
    for name in ("rejected", "sky"):
        other = counts.get(name, Counter())
        for kind in sorted(real | other):
            n, m = real.total(), other.total()
            # in whole numbers: ten points are ten points, not 0.10000000000000003
            if 100 * abs(real[kind] * m - other[kind] * n) > MOST_KIND_APART * n * m:
                yield (
                    f"{real[kind] / n:.0%} of real and {other[kind] / m:.0%} of {name} samples have "
                    f"a {kind} {channel} image"
                )


def kinds_by_class(samples: pa.Table, channel: str) -> dict[str, Counter[str]]:
    """Return how many images of each kind, raw, processed, stamp or no, each class has.

    Args:
        samples: with is_anomaly, label_source and the channel's kind.
        channel: science, reference or difference.

    Returns:
        By class: real, rejected or sky.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    columns = (samples[name].to_pylist() for name in ("is_anomaly", "label_source"))
    for real, source, kind in zip(*columns, samples[f"{channel}_kind"].to_pylist(), strict=True):
        negative = SKY if source == SKY else "rejected"
        counts["real" if real else negative][kind or "no"] += 1
    return dict(counts)


def _quality_score(facts: Facts) -> Gate:
    parts = ", ".join(f"{name} {value:.2f}" for name, value in facts.components.items())
    told = f"quality score {facts.score:.3f} ({parts})"
    weak = min(facts.components, key=lambda name: facts.components[name])
    return _gate(
        "quality_score",
        told,
        f"{told} is below {facts.threshold:g}: improve {weak}, or lower quality_score_threshold",
        None,
        holds=facts.score >= facts.threshold,
    )
