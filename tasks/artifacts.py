"""What the Prefect UI shows of a collection: its funnel, its report, its refusal."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from astrid_training.freshness import Freshness
from astrid_training.publish import Collected, CollectionGateError
from astrid_training.reconcile import Finding
from astrid_training.records import FunnelRow
from astrid_training.report import write_refusal
from astrid_training.retention import Removed
from astrid_training.retraining import Verdict
from blocks import places

__all__ = [
    "findings_artifact",
    "freshness_artifact",
    "funnel_artifact",
    "refusal_artifact",
    "removed_artifact",
    "report_artifact",
    "retraining_artifact",
]


def funnel_artifact(funnel: list[FunnelRow], name: str) -> None:
    """Show the funnel as a table."""
    create_table_artifact(
        key="funnel",
        table=[asdict(row) for row in funnel],
        description=f"**{name}**: subjects selected, dropped at each step, kept",
    )


def report_artifact(url: str, name: str) -> None:
    """Link the HTML report."""
    create_link_artifact(key="report", link=url, link_text=f"report of {name}")


def findings_artifact(findings: Sequence[Finding]) -> None:
    """Show what was left open and what was done about it."""
    create_table_artifact(
        key="reconciled",
        table=[asdict(one) for one in findings],
        description=f"{len(findings)} left open",
    )


def freshness_artifact(found: Freshness) -> None:
    """Show a row a survey, and what is out of its limits above it."""
    stale = "\n".join(f"- **{one.kind}**: {one.detail}" for one in found.breaches)
    told = stale or "Each survey's datasets keep up with its reviews."
    create_table_artifact(
        key="freshness",
        table=found.table(),
        description=f"At {found.at:%Y-%m-%d %H:%M} UTC\n\n{told}",
    )


def removed_artifact(removed: Sequence[Removed], *, dry_run: bool) -> None:
    """Show what went, kind by kind, or would go."""
    rows = [
        {"kind": one.kind, "number": one.number, "MB": round(one.bytes / 1e6, 1)} for one in removed
    ]
    told = "Would be removed with `dry_run=false`" if dry_run else "Removed"
    create_table_artifact(key="retention", table=rows, description=told)


def retraining_artifact(verdict: Verdict) -> None:
    """Show each reason to train again, and what is decided."""
    rows = [
        {"reason": one.name, "holds": "yes" if one.holds else "no", "what": one.detail}
        for one in verdict.criteria
    ]
    create_table_artifact(key="retraining", table=rows, description=verdict.message)


def refusal_artifact(refusal: CollectionGateError, run: Collected) -> None:
    """Keep the report of a refused collection in the store, for people and machines; show its reasons."""
    asked = run.params.model_dump(mode="json")
    quality = {**refusal.report.to_dict(), "reviews": dict(refusal.notes)}
    key = f"refusals/{run.flow_run_id}.html"
    with TemporaryDirectory() as folder:
        page = Path(folder) / "refusal.html"
        write_refusal(run.params.name, refusal.reasons, refusal.funnel, quality, page, asked)
        places.store().put(key, page.read_bytes())
    record = {
        "name": run.params.name,
        "reasons": refusal.reasons,
        "funnel": [asdict(row) for row in refusal.funnel],
        "quality_report": quality,
        "collection_params": asked,
        "as_of": run.as_of.isoformat(),
    }
    places.store().put(f"refusals/{run.flow_run_id}.json", json.dumps(record).encode())
    funnel_artifact(refusal.funnel, run.params.name)
    reasons = "\n".join(f"- {reason}" for reason in refusal.reasons)
    create_markdown_artifact(
        key="refusal",
        markdown=f"# {run.params.name} was refused\n\n{reasons}\n\nReport: {places.store().url}/{key}",
    )
