"""Commands that look at published datasets; none of them needs the Prefect server."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.records import TrainingDataset
from astrid_training.store import open_store
from astrid_training.trainings import training_runs
from deployments.console import Json, print_json, ready, reported, say, say_document

__all__ = ["datasets", "quality", "report", "show"]

Dataset = Annotated[str, typer.Argument(help="Id, version or name of a dataset.")]


def datasets(
    *,
    name: Annotated[str | None, typer.Option(help="Only datasets of this name.")] = None,
    status: Annotated[str | None, typer.Option(help="active, superseded or revoked.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most datasets listed.")] = 100,
    as_json: Json = False,
) -> None:
    """List published datasets, newest first."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        found = manager.list_datasets({"name": name, "status": status}, limit=limit)
    if as_json:
        print_json([summary(one) for one in found])
    for one in found:
        say(
            f"{one.name:<28}{one.version_id}  {one.status:<11}{one.total_samples:>8} samples  "
            f"quality {one.quality_score:.3f}  {one.created_at:%Y-%m-%d %H:%M}  {one.id}"
        )


def summary(dataset: TrainingDataset) -> dict[str, Any]:
    """Return what a list tells of a dataset."""
    names = ("name", "version_id", "status", "total_samples", "splits", "classes", "anomaly_ratio")
    more = ("quality_score", "created_at", "created_by", "parent_id", "digests")
    return {"dataset_id": str(dataset.id), **{n: getattr(dataset, n) for n in (*names, *more)}}


def show(dataset: Dataset, *, as_json: Json = False) -> None:
    """Tell all that is stored about a dataset, with its trainings."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        engine = open_database(settings.database_url)
        found = TrainingDatasetManager(engine).get_dataset(dataset, allow_revoked=True)
        trainings = [asdict(run) for run in training_runs(engine, str(found.id))]
    if as_json:
        print_json({**asdict(found), "trainings": trainings})
        return
    known = asdict(found)
    known["funnel"] = {f"{row.step}: {row.reason}": row.count for row in found.funnel}
    del known["quality_report"]  # `quality` tells it
    say_document({**known, "trainings": trainings})


def quality(dataset: Dataset, *, as_json: Json = False) -> None:
    """Tell the quality report of a dataset."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        found = manager.get_dataset(dataset, allow_revoked=True).quality_report
    if as_json:
        print_json(found)
        return
    say_document(found)


def report(
    dataset: Dataset,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    as_json: Json = False,
) -> None:
    """Write the HTML report of a dataset."""
    from astrid_training.packs import PackCache  # only this command needs pixels
    from astrid_training.report import write_report  # brings matplotlib
    from astrid_training.samples import read_samples  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        found = manager.get_dataset(dataset, allow_revoked=True)
        store = open_store(settings)
        packs = PackCache(store, settings.home / "cache")
        page = write_report(found, read_samples(store, found.samples_key), packs, output)
    say(f"wrote {page}")
    if as_json:
        print_json({"report": str(page)})
