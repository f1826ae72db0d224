"""`astrid-training lineage`: where a dataset or a model comes from, and what was made of it."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from astrid_training.database import open_database
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.provenance import Ends, Lineage, LineageNotFoundError, Meant, find_meant, trace
from astrid_training.settings import Settings
from astrid_training.sources import open_sources
from astrid_training.store import open_store
from astrid_training.tracking import TrackingUnavailableError
from astrid_training.urls import mask_url
from deployments.console import Json, print_json, ready, reported, say

__all__ = ["lineage", "link_flow_runs", "lookup"]

WIDTH = 21  # of the words on the left
MAIN_METRICS = ("test_f1", "test_precision", "test_recall", "val_f1", "train_loss")


def lineage(
    wanted: Annotated[
        str,
        typer.Argument(
            help="Of a dataset its id, version, name or a digest, or 12 or more hex digits of one; of a "
            "model its MLflow run, logged model, `name/version`, training or AstrID's id.",
        ),
    ],
    *,
    events: Annotated[
        bool, typer.Option("--events", help="List every label event, not only their number.")
    ] = False,
    sources: Annotated[
        bool, typer.Option("--sources", help="List every source object with its size.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell where a dataset or a model comes from and what was made of it.

    Parameters, label events, source objects, packs, flow run, code, MLflow run, parent and children,
    and the models that were trained on it. What cannot be asked just now is said, and the rest told.
    """
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        found = lookup(settings, wanted, Ends(events=events, sources=sources))
    if as_json:
        print_json(found.to_dict())
        return
    for line in _lines(found):
        say(line)


def lookup(settings: Settings, wanted: str, ends: Ends) -> Lineage:
    """Return the lineage of what is meant, by database, store and MLflow.

    Raises:
        LineageNotFoundError: if neither database nor MLflow knows anything of this name.
        DatabaseUnavailableError: if the database does not answer or is not migrated.
    """
    from astrid_training.mlflow_trail import follow_mlflow  # brings MLflow, which takes seconds

    engine = open_database(settings.database_url)
    meant = find_meant(engine, wanted.removeprefix("models:/")) or _by_mlflow(settings, wanted)
    sources = open_sources(settings)
    found = trace(engine, open_store(settings), sources, meant, ends)
    follow_mlflow(found, settings.mlflow_tracking_uri)
    link_flow_runs(found, settings)
    return found


def _by_mlflow(settings: Settings, wanted: str) -> Meant:
    from astrid_training.mlflow_trail import find_in_mlflow

    nowhere = f"neither dataset nor model {wanted!r}; `astrid-training datasets` lists datasets"
    try:
        meant = find_in_mlflow(settings.mlflow_tracking_uri, wanted)
    except TrackingUnavailableError as error:
        raise LineageNotFoundError(f"the database has {nowhere}, and {error}") from error
    if meant is None:
        raise LineageNotFoundError(f"there is {nowhere}, MLflow's pages models")
    return meant


def link_flow_runs(found: Lineage, settings: Settings) -> None:
    """Say on which page of Prefect each flow run is."""
    for place in [found.flow_run, *(one["flow_run"] for one in found.trainings)]:
        if place["id"] and settings.get("prefect_api_url"):
            place["url"] = f"{mask_url(settings.prefect_ui_url)}/runs/flow-run/{place['id']}"


def _lines(found: Lineage) -> Iterator[str]:
    known = found.dataset
    yield _line(
        "dataset",
        f"{known['name']} {known['version_id']} ({known['status']}), {known['total_samples']} samples, "
        f"by {known['created_by']} at {known['created_at']:%Y-%m-%d %H:%M} UTC",
    )
    yield _line("id", known["id"])
    yield _line("named by", ", ".join([found.meant.by, *_also(found.meant)]))
    for name, digest in known["digests"].items():
        yield _line(f"{name} digest", digest)
    yield _line("fingerprint", known["spec_fingerprint"])
    yield _line("parameters", _changed(found.parameters))
    yield from _ends(found)
    yield _line("flow run", _place(found.flow_run, "id"))
    yield _line("code", found.code_version or "not known")
    yield _line("MLflow run", _place(found.mlflow, "run_id"))
    yield _line("parent", _kin(found.parent) or "none")
    if found.derived_from:
        yield _line("chosen from", _kin(found.derived_from))
    for child in found.children:
        yield _line("child", f"{_kin(child)}, {child['how']}")
    for training in found.trainings:
        yield from _of_training(training, found.meant)
    if not found.trainings:
        yield _line("model", "none was trained on it")
    for sentence in found.unknown:
        yield _line("not known", sentence)


def _ends(found: Lineage) -> Iterator[str]:
    labels, sources = found.labels, found.sources
    if "events" in labels:
        first, last = (_minute(labels[name]) for name in ("first", "last"))
        span = f", {first} to {last} UTC" if labels["events"] else ""
        yield _line("label events", f"{labels['events']} by {labels['reviewers']} reviewers{span}")
    for one in labels.get("list", ()):
        sign = "real" if one["is_valid"] else "bogus"
        what = f"{one['validator']}: {sign}, {one['label']}, {one.get('level')}, {one.get('state')}"
        yield _line("", f"{_minute(one.get('at'))}  {one.get('event_id')}  {what}")
    if "objects" in sources:
        size = f", {sources['bytes'] / 1e6:.1f} MB" if "bytes" in sources else ""
        gone = f", {sources['missing']} not there any more" if sources.get("missing") else ""
        yield _line("source objects", f"{sources['objects']}{size}{gone}")
    for one in sources.get("list", ()):
        size = f"{one['bytes'] / 1e6:.2f} MB" if "bytes" in one else "not there"
        yield _line("", f"{one['role']:<12}{size:>10}  {one['path']}")
    for folder, some in found.packs.items():
        count = f"{some['objects']} object{'' if some['objects'] == 1 else 's'}"
        yield _line(f"store: {folder}", f"{count}, {some['bytes'] / 1e6:.1f} MB")


def _of_training(training: dict[str, Any], meant: Meant) -> Iterator[str]:
    asked = (
        training["training_run_id"] == meant.training_id
        if meant.training_id
        else training["mlflow"]["run_id"] == meant.mlflow_run_id
    )
    named = meant.training_id or meant.mlflow_run_id
    who = ", ".join(training["registered"]) or "not registered"
    yield _line(
        "model", f"{who}, {training['status']}{', the one asked for' if named and asked else ''}"
    )
    metrics = training["metrics"] or {}
    shown = [f"{name} {metrics[name]:.4g}" for name in MAIN_METRICS if name in metrics]
    yield _line("  metrics", ", ".join(shown) or f"{len(metrics)}; --json has them")
    yield _line("  MLflow run", _place(training["mlflow"], "run_id"))
    yield _line("  logged model", training["mlflow"]["model_id"] or "none")
    yield _line("  training", training["training_run_id"] or "known to MLflow alone")
    yield _line("  flow run", _place(training["flow_run"], "id"))
    yield _line("  code", training["code_version"] or "not known")
    yield _line("  AstrID's row", training["astrid_model_id"] or "none")


def _minute(time: str | None) -> str:
    return (time or "")[:16].replace("T", " ")


def _line(name: str, text: str) -> str:
    return f"{name:<{WIDTH}}{text}"


def _also(meant: Meant) -> list[str]:
    return [f"which means {other}, too" for other in meant.others]


def _changed(parameters: dict[str, Any]) -> str:
    usual = TrainingDataCollectionParams().model_dump(mode="json")
    changed = {n: one for n, one in parameters.items() if _plain(one) != _plain(usual.get(n))}
    told = ", ".join(f"{name}={one}" for name, one in changed.items())
    return f"{told}; the others as they are by default (--json has all)" if told else "the defaults"


def _plain(value: object) -> object:
    """Return a JSON value as it compares after a way through the database, which writes 1e30 as an integer."""
    return json.loads(json.dumps(value), parse_int=float)


def _place(place: dict[str, Any], name: str) -> str:
    page = f"  {place['url']}" if place.get("url") else ""
    return f"{place[name]}{page}" if place.get(name) else "none"


def _kin(dataset: dict[str, Any] | None) -> str:
    if dataset is None:
        return ""
    return f"{dataset['name']} {dataset['version_id']} ({dataset['status']}) {dataset['id']}"
