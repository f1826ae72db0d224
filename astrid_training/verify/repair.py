"""What was found wrong, put right from what still proves how it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.audit import record
from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.database import query
from astrid_training.digests import canonical_json
from astrid_training.ledger import extend_ledger
from astrid_training.packs import put_table
from astrid_training.params import PreprocessSpec, TrainingDataCollectionParams
from astrid_training.presence import objects_of
from astrid_training.records import TrainingDataset
from astrid_training.sample_rows import stage_samples
from astrid_training.samples import read_samples
from astrid_training.splits import Assignment
from astrid_training.users import user_name
from astrid_training.verify.facts import facts_of, is_proved
from astrid_training.verify.findings import Finding, Kind, Places
from astrid_training.verify.ledger import settled
from astrid_training.verify.lineage import check_tracking
from astrid_training.verify.objects import reordered, state_of
from astrid_training.verify.rebuild import build_again, relocated

__all__ = ["Repair", "repair_dataset"]

JSON = ("splits", "classes")


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was put right."""

    where: str
    done: str


def repair_dataset(
    places: Places, dataset: TrainingDataset, findings: Sequence[Finding]
) -> Iterator[Repair]:
    """Put right what can be, of what `verify_dataset` found, and yield what was done.

    Nothing is changed where the table of samples is lost, or cannot be shown to be the one that was
    published. What a dataset holds never changes: pixels and masks are taken back only with the
    digests that they had. Whoever wants to know what is left verifies again.

    Args:
        places: where everything is.
        dataset: its row.
        findings: of it.

    Raises:
        ParityError: if packs were lost and this installation would prepare pixels in another way.
        DatabaseRightsError: if the role may not write what has to be written.
        TrackingUnavailableError: if MLflow does not answer.
    """
    kinds = {one.kind for one in findings}
    if "samples_table" in kinds:
        return
    where = findings[0].where
    samples = read_samples(places.store, dataset.samples_key)
    if not is_proved(facts_of(samples, dataset), dataset):
        return
    lost = frozenset(key for one in findings if one.kind == "packs" for key in one.objects)
    if lost:
        samples, told = _rebuild(places, dataset, samples, lost)
        yield Repair(where, told)
    if "pixels" in kinds:
        samples = _relocate(places, dataset, samples, reordered(places.store, samples))
        yield Repair(where, "found samples in their packs by the digests of their pixels")
    with places.engine.begin() as connection:
        for kind, write, told in (
            ("dataset_row", _write_facts, "wrote its row again from its samples"),
            ("sample_rows", _write_rows, "wrote its rows of training_samples again"),
            ("ledger", _write_ledger, "entered its groups and samples into the ledger again"),
        ):
            if kind in kinds:
                write(connection, places, dataset, samples)
                record(connection, "repaired", str(dataset.id), user_name(), {"what": kind})
                yield Repair(where, told)
    if not any(state_of(places.store, key) != "whole" for key in lost & objects_of(samples)):
        yield from _repair_lineage(places, dataset, where, kinds)


def _repair_lineage(
    places: Places, dataset: TrainingDataset, where: str, kinds: set[Kind]
) -> Iterator[Repair]:
    """Write report and card, and log to MLflow, what is not there or says something else now."""
    before, dataset = dataset, get_dataset(places.engine, str(dataset.id), allow_revoked=True)
    log = "tracking" in kinds and any(check_tracking(places.tracking_uri, dataset, where))
    if log or "report" in kinds or dataset.samples_key != before.samples_key:
        yield Repair(where, _describe(places, dataset, log=log))


def _rebuild(
    places: Places, dataset: TrainingDataset, samples: pa.Table, lost: frozenset[str]
) -> tuple[pa.Table, str]:
    """Build lost packs again and return the table that says where the samples lie now."""
    built = build_again(places, dataset, samples, lost)
    moved = _relocate(places, dataset, samples, relocated(samples, built, lost))
    how = "" if moved.equals(samples) else ", in new packs"
    return moved, f"built {built.num_rows} samples of {len(lost)} lost packs again{how}"


def _relocate(
    places: Places, dataset: TrainingDataset, samples: pa.Table, moved: pa.Table
) -> pa.Table:
    """Let the dataset have the table `moved`, which says where its samples lie now, and return it."""
    if not moved.equals(samples):
        key = f"samples/{put_table(places.store, 'samples', moved)}.parquet"
        values = {"dataset_id": dataset.id, "samples_key": key}
        with places.engine.begin() as connection:
            connection.execute(query("publish_lock"))
            connection.execute(query("verify_set_samples_key"), values)
            _write_rows(connection, places, dataset, moved)
            told = {"what": "samples_key", "before": dataset.samples_key}
            record(connection, "repaired", str(dataset.id), user_name(), told)
    return moved


def _write_facts(
    connection: Connection, _places: Places, dataset: TrainingDataset, samples: pa.Table
) -> None:
    facts: dict[str, Any] = facts_of(samples, dataset)
    facts |= {name: canonical_json(facts[name]).decode() for name in JSON}
    connection.execute(query("verify_set_facts"), {"dataset_id": dataset.id, **facts})


def _write_rows(
    connection: Connection, places: Places, dataset: TrainingDataset, samples: pa.Table
) -> None:
    one = {"dataset_id": dataset.id}
    stage_samples(connection, samples.rename_columns({"image_row": "pack_row"}), places.store.url)
    if connection.execute(query("verify_count_foreign_rows"), one).scalar_one():
        connection.execute(query("verify_delete_foreign_rows"), one)
    connection.execute(query("verify_mend_rows"), one)
    connection.execute(query("samples_add"), one)
    connection.execute(query("samples_unstage"))


def _write_ledger(
    connection: Connection, _places: Places, dataset: TrainingDataset, samples: pa.Table
) -> None:
    """Enter groups and members that are not there, and give groups the split they were published with.

    The tile of a group that was cut cannot be told any more: such a group is entered as a whole.
    """
    params = TrainingDataCollectionParams.model_validate(dataset.collection_params)
    mine = settled(samples)
    groups, splits = (mine[name].to_pylist() for name in ("group_key", "split"))
    given = [Assignment(*one, known=False) for one in zip(groups, splits, strict=True)]
    side = PreprocessSpec(**dataset.preprocess_spec).stamp_size
    connection.execute(query("publish_lock"))
    extend_ledger(connection, mine, given, params.split, side, dataset.id)
    as_published = dict(zip(groups, splits, strict=True))
    keys = sorted(as_published)
    values = {"group_keys": keys, "splits": [as_published[key] for key in keys]}
    connection.execute(query("verify_set_splits"), {"policy": params.split.salt, **values})


def _describe(places: Places, dataset: TrainingDataset, *, log: bool) -> str:
    """Write report and card, log the dataset to MLflow where that is asked, and return what was done."""
    # these bring MLflow, templates and plots, which only this needs
    from astrid_training.description import describe_dataset, keep_description
    from astrid_training.lineage import log_training_dataset_info
    from astrid_training.report import report_context

    samples = read_samples(places.store, dataset.samples_key)
    context = report_context(places.engine, places.store, dataset, samples)
    manager = TrainingDatasetManager(places.engine)
    with TemporaryDirectory() as folder:
        described = describe_dataset(dataset, samples, places.packs, Path(folder), context)
        keep_description(dataset, described, places.store)
        if not log:
            return "wrote its report and card again"
        _forget_run(places.tracking_uri, dataset.mlflow_run_id)
        run_id = log_training_dataset_info(
            dataset,
            described,
            places.tracking_uri,
            source_uri=f"{places.store.url}/{dataset.samples_key}",
            parent=manager.parent(dataset),
        )
    manager.set_mlflow_run(str(dataset.id), run_id)
    return f"wrote its report and card again, and logged it to MLflow as run {run_id}"


def _forget_run(uri: str, run_id: str | None) -> None:
    """Move a run that says something else to MLflow's deleted ones, whence it can be restored."""
    from mlflow.exceptions import MlflowException

    from astrid_training.tracking import tracking

    if run_id is None:
        return
    with tracking(uri) as client:
        try:
            client.delete_run(run_id)
        except MlflowException as error:
            if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise
