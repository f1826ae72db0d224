"""The report of a dataset, or of a refused one: one HTML file that needs nothing else."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from astrid_training.contact_sheet import (
    BOGUS_COLOUR,
    IGNORE_COLOUR,
    TARGET_COLOUR,
    Stamp,
    choose,
    pictures,
)
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.quality_report import WEIGHTS
from astrid_training.reasons import explain
from astrid_training.records import FunnelRow, TrainingDataset
from astrid_training.samples import SPLITS, class_names

__all__ = ["FunnelLine", "funnel_lines", "write_refusal", "write_report"]

STAMPS_PER_GROUP = 3
"""Pictures of each class in each split."""


@dataclass(frozen=True, slots=True)
class FunnelLine:
    """One line of the funnel as it is read from top to bottom."""

    step: str
    reason: str
    meaning: str
    """What the reason means and what to do about it; empty for selected and kept."""
    count: int
    """Subjects that were selected, that left, or that are kept."""
    remaining: int
    """Subjects still there after this line."""


def write_report(dataset: TrainingDataset, samples: pa.Table, packs: PackCache, path: Path) -> Path:
    """Write the report of a published dataset and return `path`.

    The same dataset gives the same bytes.

    Args:
        dataset: its row in the database.
        samples: its samples table.
        packs: where its stamps and masks are.
        path: the HTML file, made or replaced.

    Raises:
        MissingObjectError: if a pack that is shown is not there.
    """
    spec = PreprocessSpec(**dataset.preprocess_spec)
    stamps = pictures(choose(samples, STAMPS_PER_GROUP), packs, spec)
    return _write(
        path,
        "report.html.j2",
        dataset=dataset,
        quality=_quality(dataset.quality_report),
        leaks=dataset.quality_report.get("leaks"),
        funnel=funnel_lines(dataset.funnel),
        splits=_columns(samples),
        classes=_cross(samples, class_names(samples)),
        bands=_cross(samples, _bands(samples)),
        sheets=_sheets(stamps),
        channels=spec.channels,
        params=json.dumps(dataset.collection_params, indent=2, sort_keys=True),
    )


def write_refusal(
    name: str,
    reasons: Sequence[str],
    funnel: Sequence[FunnelRow],
    report: Mapping[str, Any],
    path: Path,
    params: Mapping[str, Any] | None = None,
) -> Path:
    """Write why a collection became no dataset and return `path`.

    Args:
        name: of the dataset that was asked for.
        reasons: one sentence per failed gate, with its cure.
        funnel: what became of the selected subjects.
        report: `DataQualityReport.to_dict()`, with `reviews` where they are known.
        path: the HTML file, made or replaced.
        params: the collection's parameters.
    """
    return _write(
        path,
        "refusal.html.j2",
        name=name,
        reasons=list(reasons),
        quality=_quality(report),
        funnel=funnel_lines(funnel),
        params=json.dumps(params, indent=2, sort_keys=True) if params else None,
    )


def funnel_lines(funnel: Sequence[FunnelRow]) -> list[FunnelLine]:
    """Return the funnel from selected, through every drop, to kept.

    The numbers add up when the last line's count is what remains.
    """
    ends = {"selected", "kept"}
    remaining = sum(row.count for row in funnel if row.reason == "selected")
    lines = []
    for row in funnel:
        remaining -= 0 if row.reason in ends else row.count
        meaning = "" if row.reason in ends else explain(row.reason)
        lines.append(FunnelLine(row.step, row.reason, meaning, row.count, remaining))
    return lines


def _quality(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template shows of a quality report."""
    components: Mapping[str, float] = report.get("components", {})
    return {
        "samples": report.get("total_samples"),
        "score": report.get("quality_score"),
        "anomaly_ratio": report.get("anomaly_ratio"),
        "label_consistency": report.get("label_consistency"),
        "components": [(name, value, WEIGHTS.get(name)) for name, value in components.items()],
        "gates": list(report.get("gates", ())),
        "issues": list(report.get("issues", ())),
        "reviews": report.get("reviews"),
        "overrides": list(report.get("overrides", ())),
        "consistency": report.get("consistency") or {},
        "human": report.get("human_image_quality") or {},
        "observing": report.get("observing") or {},
        "references": report.get("references") or {},
    }


def _columns(samples: pa.Table) -> list[str]:
    present = set(samples["split"].to_pylist())
    return [*SPLITS, *sorted(present - set(SPLITS))]


def _bands(samples: pa.Table) -> list[str]:
    pairs = zip(samples["survey"].to_pylist(), samples["band"].to_pylist(), strict=True)
    return [f"{survey}, band {band}" if band else survey for survey, band in pairs]


def _cross(samples: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of counts by split, the real ones first, the most frequent first."""
    splits, kinds = samples["split"].to_pylist(), samples["is_anomaly"].to_pylist()
    cells = Counter(zip(kinds, names, splits, strict=True))
    totals = Counter(zip(kinds, names, strict=True))
    order = sorted(totals, key=lambda key: (not key[0], -totals[key], key[1]))
    return [
        {
            "kind": "real" if kind else "rejected",
            "name": name,
            "counts": [cells[kind, name, split] for split in _columns(samples)],
            "total": totals[kind, name],
        }
        for kind, name in order
    ]


def _sheets(stamps: Sequence[Stamp]) -> list[dict[str, Any]]:
    """Return the pictures by class, and within a class by split in the usual order."""
    order = {split: number for number, split in enumerate(SPLITS)}
    sheets = []
    for (is_anomaly, name), group in groupby(stamps, key=lambda s: (s.is_anomaly, s.name)):
        ordered = sorted(group, key=lambda s: (order.get(s.split, len(order)), s.sample_key))
        splits = [(split, list(of)) for split, of in groupby(ordered, key=lambda s: s.split)]
        kind = "real" if is_anomaly else "rejected"
        sheets.append({"name": name, "kind": kind, "splits": splits})
    return sheets


def _write(path: Path, template: str, **values: Any) -> Path:  # noqa: ANN401 - what a template takes
    colours = {"target": TARGET_COLOUR, "bogus": BOGUS_COLOUR, "ignore": IGNORE_COLOUR}
    page = _templates().get_template(template).render(colours=colours, **values)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("astrid_training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["data_uri"] = lambda png: f"data:image/png;base64,{b64encode(png).decode()}"
    templates.filters["words"] = lambda text: text.replace("_", " ")
    templates.filters["number"] = lambda value: "unknown" if value is None else f"{value:.3f}"
    templates.filters["percent"] = lambda value: "unknown" if value is None else f"{value:.1%}"
    return templates
