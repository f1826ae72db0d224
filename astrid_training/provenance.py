"""Where a dataset or a model comes from, and what was made of it: from either end, everything."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import query, reading
from astrid_training.errors import DatasetNotFoundError, MissingObjectError, UnusablePathError
from astrid_training.presence import objects_of
from astrid_training.records import TrainingDataset, TrainingRun
from astrid_training.samples import read_samples
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import ObjectInfo, Store, StoreUnavailableError
from astrid_training.trainings import training_runs
from astrid_training.urls import mask_url

__all__ = ["Ends", "Lineage", "LineageNotFoundError", "Meant", "find_meant", "trace"]

PREFIX = re.compile(r"[0-9a-f]{12,64}")
MOST_LOOKED_UP = 2000  # source files whose size is asked for unless the list is wanted
AT_ONCE = 8  # the object store's client saturates here


class LineageNotFoundError(DatasetNotFoundError):
    """Nothing that is known has this name."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What somebody who names a dataset or a model means."""

    dataset_id: str
    by: str
    """What of it was named: id, version, name, … digest; training, or what MLflow tells."""
    training_id: str | None = None
    """Row of training_runs, where a model was named that has one."""
    mlflow_run_id: str | None = None
    """Where a model was named that only MLflow knows."""
    others: tuple[str, ...] = ()
    """Versions that the same text means, too."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What is wanted in full."""

    events: bool = False
    sources: bool = False


@dataclass(slots=True)
class Lineage:
    """What is known of a dataset, up to where it came from and down to what was made of it."""

    meant: Meant
    dataset: dict[str, Any]
    parameters: dict[str, Any]
    labels: dict[str, Any]
    sources: dict[str, Any]
    packs: dict[str, Any]
    flow_run: dict[str, Any]
    code_version: str | None
    mlflow: dict[str, Any]
    parent: dict[str, Any] | None
    derived_from: dict[str, Any] | None
    children: list[dict[str, Any]]
    trainings: list[dict[str, Any]]
    unknown: list[str] = field(default_factory=list)
    """Sentences: what could not be asked, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values but for times."""
        return asdict(self)


def find_meant(engine: Engine, wanted: str) -> Meant | None:
    """Return which dataset or model of the database is meant; None if it has none of this name.

    Args:
        engine: of the database.
        wanted: of a dataset its id, version, name or a digest, or at least 12 hex digits of those; of a
            model its training's id, MLflow's run or logged model, `name/version`, or AstrID's id.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
    """
    text = wanted.partition("\0")[0]  # no text of the database holds a NUL
    short = text.replace("-", "").lower()
    asked = {"wanted": text, "prefix": short if PREFIX.fullmatch(short) else None}
    with reading(engine) as connection:
        datasets = connection.execute(query("lineage_datasets"), asked).all()
        if datasets:
            first, *rest = datasets
            others = tuple(f"{row.name} {row.version_id}" for row in rest if row.by == first.by)
            return Meant(str(first.id), first.by, others=others)
        training = connection.execute(query("lineage_trainings"), {"wanted": text}).first()
    if training is None:
        return None
    return Meant(str(training.dataset_id), "training", training_id=str(training.id))


def trace(
    engine: Engine, store: Store, sources: Sources | None, meant: Meant, ends: Ends
) -> Lineage:
    """Return what database and store know of the dataset.

    Args:
        engine: of the database.
        store: where samples and packs lie.
        sources: where the survey's files lie; None: their sizes are not asked for.
        meant: by `find_meant`.
        ends: what is wanted in full.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
        DatasetNotFoundError: if there is none of that id.
    """
    manager = TrainingDatasetManager(engine)
    dataset = manager.get_dataset(meant.dataset_id, allow_revoked=True)
    unknown: list[str] = []
    told, files, packs = _of_samples(store, sources, dataset, ends, unknown)
    return Lineage(
        meant=meant,
        dataset=_dataset(dataset),
        parameters=dataset.collection_params,
        labels=told,
        sources=files,
        packs=packs,
        flow_run={"id": dataset.flow_run_id},
        code_version=dataset.code_version,
        mlflow={"run_id": dataset.mlflow_run_id},
        parent=_brief(manager.parent(dataset)),
        derived_from=_brief(_origin(manager, dataset)),
        children=_children(engine, dataset),
        trainings=[_training(run) for run in training_runs(engine, str(dataset.id))],
        unknown=unknown,
    )


def _dataset(dataset: TrainingDataset) -> dict[str, Any]:
    names = ("name", "version_id", "status", "created_at", "created_by", "as_of", "total_samples")
    more = ("splits", "quality_score", "spec_fingerprint", "digests")
    return {"id": str(dataset.id), **{n: getattr(dataset, n) for n in (*names, *more)}}


def _brief(dataset: TrainingDataset | None) -> dict[str, Any] | None:
    if dataset is None:
        return None
    names = ("name", "version_id", "status", "created_at", "mlflow_run_id")
    return {"id": str(dataset.id), **{name: getattr(dataset, name) for name in names}}


def _origin(manager: TrainingDatasetManager, dataset: TrainingDataset) -> TrainingDataset | None:
    if dataset.derived_from is None:
        return None
    return manager.get_dataset(str(dataset.derived_from), allow_revoked=True)


def _children(engine: Engine, dataset: TrainingDataset) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.execute(query("dataset_children"), {"dataset_id": str(dataset.id)})
        found = [dict(row) for row in rows.mappings()]
    for one in found:
        one["how"] = "supersedes it" if one.pop("follows") else "chosen from it"
        one["id"] = str(one["id"])
    return found


def _training(run: TrainingRun) -> dict[str, Any]:
    registered = run.registered_name and f"{run.registered_name}/{run.registered_version}"
    return {
        "training_run_id": str(run.id),
        "status": run.status,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "params": run.training_params,
        "metrics": run.performance_metrics,
        "flow_run": {"id": run.flow_run_id},
        "code_version": run.code_version,
        "mlflow": {"run_id": run.mlflow_run_id, "model_id": run.mlflow_model_id},
        "registered": [registered] if registered else [],
        "astrid_model_id": None if run.model_id is None else str(run.model_id),
    }


def _of_samples(
    store: Store,
    sources: Sources | None,
    dataset: TrainingDataset,
    ends: Ends,
    unknown: list[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return label events, source objects and packs, as far as the samples table tells of them."""
    events: dict[str, Any] = {"digest": dataset.digests["label"]}
    files: dict[str, Any] = {"digest": dataset.digests["source"]}
    try:
        samples = read_samples(store, dataset.samples_key)
        packs = _packs(store, dataset, samples)
    except (MissingObjectError, StoreUnavailableError) as error:
        unknown.append(f"label events, source objects and packs are not known: {error}")
        return events, files, {}
    events |= label_events(samples, in_full=ends.events)
    files |= _source_objects(samples, sources, unknown, in_full=ends.sources)
    return events, files, packs


def label_events(samples: pa.Table, *, in_full: bool = False) -> dict[str, Any]:
    """Return how many reviews are behind the labels, by whom, from when to when.

    Args:
        samples: the samples table.
        in_full: also the list of them, by time.
    """
    events = [
        {"sample_key": key, **event}
        for key, votes in zip(
            samples["sample_key"].to_pylist(), samples["votes"].to_pylist(), strict=True
        )
        for event in json.loads(votes or "[]")
    ]
    events.sort(key=lambda one: (one.get("at") or "", one.get("event_id") or ""))
    times = [one["at"] for one in events if one.get("at")]
    told: dict[str, Any] = {
        "events": len(events),
        "states": dict(Counter(one.get("state", "counts") for one in events)),
        "reviewers": len({one["validator"] for one in events}),
        "first": times[0] if times else None,
        "last": times[-1] if times else None,
    }
    return told | ({"list": events} if in_full else {})


def _source_objects(
    samples: pa.Table, sources: Sources | None, unknown: list[str], *, in_full: bool
) -> dict[str, Any]:
    """Return how many files the pixels were cut from, and how large they are now."""
    roles = {path: role for role in ROLES for path in _paths(samples, f"{role}_path")}
    told: dict[str, Any] = {"objects": len(roles), "by_role": dict(Counter(roles.values()))}
    if sources is None or (len(roles) > MOST_LOOKED_UP and not in_full):
        unknown.append(
            "sizes of source objects were not asked for: `astrid-training lineage --sources` asks"
        )
        found: Mapping[str, ObjectInfo | None] = {}
    else:
        found = _looked_up(sources, sorted(roles))
        there = [info for info in found.values() if info is not None]
        told |= {"bytes": sum(info.size for info in there), "missing": len(found) - len(there)}
    if in_full:
        told["list"] = [_file(path, roles[path], found.get(path)) for path in sorted(roles)]
    return told


def _paths(samples: pa.Table, column: str) -> Sequence[str]:
    paths: list[str] = pc.unique(samples[column]).drop_null().to_pylist()
    return paths


def _looked_up(sources: Sources, paths: Sequence[str]) -> dict[str, ObjectInfo | None]:
    def look(path: str) -> ObjectInfo | None:
        try:
            return sources.head(path)
        except (UnusablePathError, OSError):
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(paths, pool.map(look, paths), strict=True))


def _file(path: str, role: str, info: ObjectInfo | None) -> dict[str, Any]:
    known = {} if info is None else {"bytes": info.size, "etag": info.etag}
    return {"path": mask_url(path), "role": role, **known}


def _packs(store: Store, dataset: TrainingDataset, samples: pa.Table) -> dict[str, Any]:
    keys = [dataset.samples_key, *sorted(objects_of(samples))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        infos = list(pool.map(store.head, keys))
    told: dict[str, Any] = {}
    for key, info in zip(keys, infos, strict=True):
        folder = told.setdefault(key.partition("/")[0], {"objects": 0, "bytes": 0, "keys": []})
        folder["objects"] += 1
        folder["bytes"] += 0 if info is None else info.size
        folder["keys"].append(key if info else f"{key} (missing)")
    return told
