"""What is said of a dataset to people and to MLflow: files in a folder, made from its samples.

Whoever logs them needs neither samples nor pixels.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.cards.stored import CARD, CROISSANT, documents, put_documents
from astrid_training.contact_sheet import choose, pictures
from astrid_training.healpix import tile_numbers
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.records import TrainingDataset, report_key
from astrid_training.report import ReportContext, write_report
from astrid_training.samples import class_names
from astrid_training.store import Store
from astrid_training.tracking import safe_name

__all__ = [
    "COMPARISON",
    "DISTRIBUTIONS",
    "PLOTS",
    "REPORT",
    "SAMPLES",
    "Description",
    "describe_dataset",
    "keep_description",
]

REPORT, DISTRIBUTIONS, PLOTS, SAMPLES = "report.html", "distributions.json", "plots", "samples"
COMPARISON = "comparison.json"
"""Names in the folder."""
SKY_ORDER = 3  # HEALPix pixels of 7.3 degrees
MOST_IMAGES = 10


@dataclass(frozen=True, slots=True)
class Description:
    """What was written of a dataset, and what of its samples stands in parameters."""

    folder: Path
    params: Mapping[str, Any]
    """time_range_days (first observation to last), survey_sources, anomaly_types (of the real ones)."""
    schema: pa.Schema
    """Of the samples table, with its quality metrics."""
    differences: Mapping[str, int] = field(default_factory=dict)
    """From its parent, see `Comparison.numbers`; empty where it has none."""


def describe_dataset(
    dataset: TrainingDataset,
    samples: pa.Table,
    packs: PackCache,
    folder: Path,
    context: ReportContext | None = None,
) -> Description:
    """Write report, card, distributions, plots of them and pictures of a few samples into `folder`.

    The same dataset gives the same bytes.

    Args:
        dataset: its row in the database.
        samples: its samples table.
        packs: where its stamps and masks are.
        folder: where the files go; made if it is not there.
        context: what the report tells beside.

    Raises:
        MissingObjectError: if a pack that is shown is not there.
    """
    from astrid_training.plots import write_plots  # matplotlib is for whoever draws

    write_report(dataset, samples, packs, folder / REPORT, context)
    for name, data in documents(dataset, samples, packs.store).items():
        (folder / name).write_bytes(data)
    document = json.dumps(_distributions(samples), indent=2, sort_keys=True)
    (folder / DISTRIBUTIONS).write_text(document, encoding="utf-8")
    write_plots(samples, folder / PLOTS)
    _write_pictures(samples, packs, PreprocessSpec(**dataset.preprocess_spec), folder / SAMPLES)
    differences = _write_comparison(context, folder / COMPARISON)
    return Description(
        folder,
        {
            "time_range_days": _days(samples),
            "survey_sources": sorted(samples["survey"].unique().to_pylist()),
            "anomaly_types": _real_classes(samples),
        },
        samples.schema,
        differences,
    )


def keep_description(dataset: TrainingDataset, described: Description, store: Store) -> None:
    """Put report and card into the store, where people and the API look for them."""
    store.put(report_key(dataset.id), (described.folder / REPORT).read_bytes())
    card = {name: (described.folder / name).read_bytes() for name in (CARD, CROISSANT)}
    put_documents(dataset.id, card, store)


def _write_comparison(context: ReportContext | None, to: Path) -> dict[str, int]:
    """Write what differs from the parent and return its numbers; none where there is nothing to compare."""
    found = (
        context.parent.comparison if context is not None and context.parent is not None else None
    )
    if found is None:
        return {}
    to.write_text(json.dumps(found.to_dict(), indent=2), encoding="utf-8")
    return found.numbers()


def _distributions(samples: pa.Table) -> dict[str, Any]:
    """Return how samples spread over splits, classes, surveys, months and scores."""
    classes = class_names(samples)
    splits: list[str] = samples["split"].to_pylist()
    named = {"split": splits, "class": classes, "month": _months(samples)}
    named |= {name: samples[name].to_pylist() for name in ("survey", "band", "tier")}
    document: dict[str, Any] = {
        name: dict(Counter(str(value) for value in values)) for name, values in named.items()
    }
    pairs = Counter(zip(splits, classes, strict=True))
    document["split_and_class"] = {
        split: {name: count for (of, name), count in pairs.items() if of == split}
        for split in set(splits)
    }
    document["confidence"] = _histogram(samples["confidence"], 0.5)
    document["quality_score"] = _histogram(samples["quality_score"], 0.0)
    document["sky"] = _sky(samples)
    return document


def _write_pictures(samples: pa.Table, packs: PackCache, spec: PreprocessSpec, to: Path) -> None:
    """Write pictures of a few training samples, spread over the classes."""
    train = samples.filter(pc.field("split") == "train")
    n_classes = max(1, len(set(class_names(train))))
    chosen = choose(train, max(1, MOST_IMAGES // n_classes)).slice(0, MOST_IMAGES)
    to.mkdir(parents=True, exist_ok=True)
    for stamp in pictures(chosen, packs, spec):
        name = f"{safe_name(stamp.name)}-{stamp.sample_key[:12]}.png"
        (to / name).write_bytes(stamp.png)


def _days(samples: pa.Table) -> float:
    times = [time for time in samples["observation_time"].to_pylist() if time is not None]
    return round((max(times) - min(times)).total_seconds() / 86_400, 3) if times else 0.0


def _real_classes(samples: pa.Table) -> list[str]:
    return sorted(set(class_names(samples.filter(pc.field("is_anomaly")))))


def _months(samples: pa.Table) -> list[str]:
    times = samples["observation_time"].to_pylist()
    return ["unknown" if time is None else f"{time:%Y-%m}" for time in times]


def _sky(samples: pa.Table) -> dict[str, Any]:
    """Return samples by HEALPix pixel, in the ring scheme."""
    tiles = tile_numbers(SKY_ORDER, samples["ra_deg"].to_numpy(), samples["dec_deg"].to_numpy())
    counts = Counter(tiles.tolist())
    return {"nside": 2**SKY_ORDER, "scheme": "ring", "counts": {str(n): counts[n] for n in counts}}


def _histogram(column: pa.ChunkedArray, start: float) -> dict[str, Any]:
    """Return counts in ten equal bins from `start` to 1, and how many values are unknown."""
    values = column.drop_null().to_numpy()
    counts, edges = np.histogram(values, bins=10, range=(start, 1.0))
    return {
        "edges": np.round(edges, 6).tolist(),
        "counts": counts.tolist(),
        "unknown": column.null_count,
    }
