"""Commands that look at published datasets; none of them needs the Prefect server."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from astrid_training.catalogue import STATUSES, TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.records import TrainingDataset
from astrid_training.store import open_store
from astrid_training.trainings import training_runs
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say, say_document

__all__ = ["datasets", "quality", "report", "revoke", "show", "training_for_people"]

FIGURES = (
    *("best_step", "train_loss", "val_loss", "val_f1"),
    *("test_loss", "test_precision", "test_recall", "test_f1", "test_gold_f1", "test_pixel_f1"),
    *("test_roc_auc", "test_pr_auc", "test_ece"),
)
"""Of a training, in the order in which people are told them."""

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
Dataset = Annotated[str, typer.Argument(help="Id, version or name of a dataset.")]


def datasets(
    *,
    name: Annotated[str | None, typer.Option(help="Only datasets of this name.")] = None,
    status: Annotated[str | None, typer.Option(help="active, superseded or revoked.")] = None,
    created_by: Annotated[str | None, typer.Option(help="Only those that this user made.")] = None,
    survey: Annotated[
        str | None, typer.Option(help="Only those with samples of this survey.")
    ] = None,
    least_quality: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least quality score.")
    ] = None,
    created_from: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Made at this time, UTC, or later.")
    ] = None,
    created_to: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Made before this time, UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most datasets listed.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: Json = False,
) -> None:
    """List published datasets, newest first."""
    settings = ready(as_json=as_json)
    filters = {
        "name": name,
        "status": status,
        "created_by": created_by,
        "survey": survey,
        "least_quality": least_quality,
        "created_from": created_from,
        "created_to": created_to,
    }
    if status is not None and status not in STATUSES:
        fail(f"no status {status!r}; use {', '.join(STATUSES)}", USAGE, as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        page = manager.page(filters, limit=limit, offset=offset)
    if as_json:
        print_json([summary(one) for one in page.datasets])
    for one in page.datasets:
        say(
            f"{one.name:<28}{one.version_id}  {one.status:<11}{one.total_samples:>8} samples  "
            f"quality {one.quality_score:.3f}  {one.created_at:%Y-%m-%d %H:%M}  {one.id}"
        )
    end = offset + len(page.datasets)
    if page.total > len(page.datasets):
        more = f"; --offset {end} shows the next" if end < page.total else ""
        say(f"{len(page.datasets)} of {page.total}{more}")


def summary(dataset: TrainingDataset) -> dict[str, Any]:
    """Return what a list tells of a dataset."""
    names = ("name", "version_id", "status", "total_samples", "splits", "classes", "anomaly_ratio")
    more = ("quality_score", "created_at", "created_by", "parent_id", "derived_from", "digests")
    return {"dataset_id": str(dataset.id), **{n: getattr(dataset, n) for n in (*names, *more)}}


def show(dataset: Dataset, *, as_json: Json = False) -> None:
    """Tell all that is stored about a dataset, with its trainings."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        engine = open_database(settings.database_url)
        manager = TrainingDatasetManager(engine)
        found = manager.get_dataset(dataset, allow_revoked=True)
        happened = {
            "events": [asdict(event) for event in manager.events(str(found.id))],
            "trainings": [asdict(run) for run in training_runs(engine, str(found.id))],
        }
    if as_json:
        print_json({**asdict(found), **happened})
        return
    known = asdict(found)
    known["funnel"] = {f"{row.step}: {row.reason}": row.count for row in found.funnel}
    del known["quality_report"]  # `quality` tells it
    happened["trainings"] = [training_for_people(run) for run in happened["trainings"]]
    say_document({**known, **happened})


def training_for_people(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of training_runs with those of its many figures that people look at first."""
    metrics = run["performance_metrics"] or {}
    return {**run, "performance_metrics": {n: metrics[n] for n in FIGURES if n in metrics}}


def quality(dataset: Dataset, *, as_json: Json = False) -> None:
    """Tell the quality report of a dataset."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        found = manager.get_dataset(dataset, allow_revoked=True)
    told = {**found.quality_report, "metrics": found.metrics}
    if as_json:
        print_json(told)
        return
    say_document(told)


def revoke(
    dataset: Dataset,
    *,
    reason: Annotated[str, typer.Option(help="Why, for those who will ask.")],
    as_json: Json = False,
) -> None:
    """Withdraw a dataset: it stays, but loads only for those who insist."""
    if not reason.strip():
        fail("--reason is empty; say why, for those who will ask", USAGE, as_json=as_json)
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        found = manager.get_dataset(dataset, allow_revoked=True)
        event = manager.revoke(str(found.id), reason)
        kin = manager.kin(found)
    if as_json:
        also = [summary(one) for one in kin]
        print_json({"dataset_id": str(found.id), **asdict(event), "look_at": also})
    say(
        f"{found.name} {found.version_id} is revoked, by {event.by} at {event.at:%Y-%m-%d %H:%M} UTC: "
        f"{event.reason}"
    )
    for one in kin:
        why = "chosen from it" if one.derived_from == found.id else "the same content"
        say(f"look at {one.name} {one.version_id} ({one.id}) too: {why}")


def report(
    dataset: Dataset,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    as_json: Json = False,
) -> None:
    """Write the HTML report of a dataset."""
    from astrid_training.packs import PackCache  # only this command needs pixels
    from astrid_training.report import report_context, write_report  # brings templates and pictures
    from astrid_training.samples import read_samples  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        engine = open_database(settings.database_url)
        found = TrainingDatasetManager(engine).get_dataset(dataset, allow_revoked=True)
        store = open_store(settings)
        samples, packs = (
            read_samples(store, found.samples_key),
            PackCache(store, settings.home / "cache"),
        )
        page = write_report(
            found, samples, packs, output, report_context(engine, store, found, samples)
        )
    say(f"wrote {page}")
    if as_json:
        print_json({"report": str(page)})
