"""What the samples of a dataset tell: counts for its card, and for what describes it to machines."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.samples import SPLITS, class_names

__all__ = ["Counts", "Facts", "facts_of"]

Counts = Mapping[str, int]

WHY_IN = {
    "queue": "the queue of uncertain detections asked people for them",
    "random_audit": "they were drawn at random for an audit",
    "score_cut": "the model scored them high enough: what the model misses is missing here",
    "stratified": "more was reviewed than max_samples; these were drawn evenly over surveys and classes",
    "all": "everything that was reviewed and met the conditions was taken",
}
"""Values of selected_for and what they mean for whoever trains on such samples."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts of the samples, each by name in a fixed order."""

    samples: int
    """Those that a model may see; samples in quarantine are not counted anywhere but in `quarantine`."""
    quarantine: int
    classes: Sequence[tuple[str, str, Counts]]
    """(real or bogus, class, samples by split), real ones first, the most frequent first."""
    bands: Sequence[tuple[str, str, Counts]]
    """(survey, band, samples by split)."""
    surveys: Sequence[str]
    label_sources: Counts
    tiers: Counts
    selected_for: Sequence[tuple[str, int, str]]
    """(why, samples, what that means)."""
    programs: Counts
    """Samples by whose data they are; `not told` where nothing says."""
    embargoed: int
    """Samples with a date before which they are not public."""
    source_kinds: Counts
    fwhm_sources: Counts
    mask_flags: Counts
    reviewers: int
    """People and machines whose votes count."""
    votes: Counts
    """Samples by number of votes that count."""
    unknown: Counts
    """Samples whose zero point, quality, difference are not known."""
    first: datetime | None
    last: datetime | None
    """Of the observations."""


def facts_of(table: pa.Table) -> Facts:
    """Return the counts of a samples table; equal tables give equal facts."""
    seen = table.filter(pc.is_in(table["split"], pa.array(SPLITS)))
    splits, real = seen["split"].to_pylist(), seen["is_anomaly"].to_pylist()
    kinds = ["real" if one else "bogus" for one in real]
    surveys, bands = seen["survey"].to_pylist(), seen["band"].to_pylist()
    named = [band or "not told" for band in bands]
    why = _counts(seen["selected_for"].to_pylist())
    times = pc.min_max(seen["observation_time"]).as_py() if seen.num_rows else {}
    return Facts(
        samples=seen.num_rows,
        quarantine=table.num_rows - seen.num_rows,
        classes=sorted(
            _cross(kinds, class_names(seen), splits),
            key=lambda row: (row[0] != "real", -sum(row[2].values()), row[1]),
        ),
        bands=sorted(_cross(surveys, named, splits), key=lambda row: row[:2]),
        surveys=sorted(set(surveys)),
        label_sources=_counts(seen["label_source"].to_pylist()),
        tiers=_counts(seen["tier"].to_pylist()),
        selected_for=[(name, count, WHY_IN.get(name, "")) for name, count in why.items()],
        programs=_counts(seen["program_id"].to_pylist()),
        embargoed=seen.num_rows - seen["proprietary_until"].null_count,
        source_kinds=_counts(seen["source_kind"].to_pylist()),
        fwhm_sources=_counts(seen["fwhm_source"].to_pylist()),
        mask_flags=_counts(
            flag
            for flags in seen["mask_flags"].to_pylist()
            for flag in (flags or "").split(",")
            if flag
        ),
        reviewers=len(_reviewers(seen)),
        votes={str(count): n for count, n in sorted(Counter(seen["n_votes"].to_pylist()).items())},
        unknown={
            "zero point": seen["zero_point"].null_count,
            "quality score": seen["quality_score"].null_count,
            "difference image": seen["difference_path"].null_count,
        },
        first=times.get("min"),
        last=times.get("max"),
    )


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    """Return how often each value comes, the most frequent first."""
    counted = Counter("not told" if value is None else value for value in values)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _cross(
    first: Sequence[str], second: Sequence[str], splits: Sequence[str]
) -> list[tuple[str, str, Counts]]:
    cells = Counter(zip(first, second, splits, strict=True))
    pairs = dict.fromkeys(zip(first, second, strict=True))
    return [(*pair, {split: cells[*pair, split] for split in SPLITS}) for pair in pairs]


def _reviewers(samples: pa.Table) -> set[Any]:
    """Return who gave the votes that count; nobody where the column was left out."""
    texts = samples["votes"].to_pylist() if "votes" in samples.column_names else []
    return {
        vote.get("validator")
        for text in texts
        for vote in json.loads(text or "[]")
        if vote.get("state", "counts") == "counts"
    }
