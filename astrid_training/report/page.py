"""The report of a dataset, or of a refused one: one HTML file that needs nothing else."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined

from astrid_training.contact_sheet import BOGUS_COLOUR, IGNORE_COLOUR, TARGET_COLOUR
from astrid_training.packs import PackCache
from astrid_training.params import PreprocessSpec
from astrid_training.quality import METRICS
from astrid_training.quality_report import WEIGHTS
from astrid_training.reasons import explain
from astrid_training.records import FunnelRow, TrainingDataset
from astrid_training.report.context import ReportContext
from astrid_training.report.distributions import (
    observing_conditions,
    quality_charts,
    short,
)
from astrid_training.report.sheets import class_sheets, theme_sheets
from astrid_training.report.sky_map import sky_map
from astrid_training.report.tables import (
    absent_surveys,
    against_model,
    asked_for,
    class_cells,
    drift_lines,
    examples_by_line,
    funnel_lines,
    shown_twice,
    split_columns,
    survey_cells,
    trust,
)
from astrid_training.report.timeline import timeline

__all__ = ["write_refusal", "write_report"]


def write_report(
    dataset: TrainingDataset,
    samples: pa.Table,
    packs: PackCache,
    path: Path,
    context: ReportContext | None = None,
) -> Path:
    """Write the report of a published dataset and return `path`.

    The same dataset gives the same bytes.

    Args:
        dataset: its row in the database.
        samples: its samples table.
        packs: where its stamps and masks are.
        path: the HTML file, made or replaced.
        context: what the database knows beside; None: nothing, and nothing of it is shown.

    Raises:
        MissingObjectError: if a pack that is shown is not there.
    """
    spec = PreprocessSpec(**dataset.preprocess_spec)
    asked, splits = dataset.collection_params, split_columns(samples)
    quality, funnel = _quality(dataset.quality_report), funnel_lines(dataset.funnel)
    context = context or ReportContext()
    compared = context.parent.comparison if context.parent else None
    threshold = float(asked.get("confidence_threshold") or 0)
    return _write(
        path,
        "report.html.j2",
        dataset=dataset,
        quality=quality,
        trust=trust(dataset),
        about=_about(samples),
        leaks=dataset.quality_report.get("leaks"),
        twice=shown_twice(samples),
        funnel=funnel,
        parent=context.parent,
        drifts=drift_lines(compared) if compared else [],
        rejects=examples_by_line(funnel, context.rejects),
        splits=splits,
        classes=class_cells(samples),
        surveys=survey_cells(samples),
        absent=absent_surveys(samples, asked),
        against=against_model(samples),
        sky=sky_map(samples, splits),
        time=timeline(samples, splits),
        drawn=quality_charts(samples, quality["references"], threshold),
        conditions=observing_conditions(samples),
        themes=theme_sheets(samples, packs, spec),
        sheets=class_sheets(samples, packs, spec),
        channels=spec.channels,
        asked={name: json.dumps(value) for name, value in asked_for(asked).items()},
        params=json.dumps(asked, indent=2, sort_keys=True),
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


def _about(samples: pa.Table) -> dict[str, Any]:
    """Return what the first sentence says."""
    seen = pc.min_max(samples["observation_time"]).as_py()
    return {
        "groups": len(samples["group_key"].unique()),
        "surveys": sorted(samples["survey"].unique().to_pylist()),
        "start": seen["min"],
        "end": seen["max"],
    }


def _quality(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates show of a quality report."""
    components: Mapping[str, float] = report.get("components", {})
    observing: Mapping[str, Any] = report.get("observing") or {}
    return {
        "samples": report.get("total_samples"),
        "score": report.get("quality_score"),
        "anomaly_ratio": report.get("anomaly_ratio"),
        "label_consistency": report.get("label_consistency"),
        "components": [
            (name, components[name], WEIGHTS.get(name)) for name in _ordered(components, WEIGHTS)
        ],
        "gates": list(report.get("gates", ())),
        "issues": list(report.get("issues", ())),
        "reviews": report.get("reviews"),
        "overrides": list(report.get("overrides", ())),
        "consistency": report.get("consistency") or {},
        "human": report.get("human_image_quality") or {},
        "observing": {
            name: observing[name]
            for name in _ordered(observing, (metric.name for metric in METRICS))
        },
        "references": report.get("references") or {},
    }


def _ordered(names: Iterable[str], usual: Iterable[str]) -> list[str]:
    """Return the names in their usual order, which the database does not keep, then the others."""
    there, known = set(names), list(usual)
    return [*(name for name in known if name in there), *sorted(there - set(known))]


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
    templates.filters["meaning"] = explain
    templates.filters["number"] = lambda value: "unknown" if value is None else f"{value:.3f}"
    templates.filters["short"] = short
    templates.filters["count"] = lambda value: f"{value:,}"
    templates.filters["percent"] = lambda value: "unknown" if value is None else f"{value:.1%}"
    return templates
