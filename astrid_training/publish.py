"""A collection becomes a dataset in one transaction, or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine

from astrid_training.assemble import Assembled, class_counts, funnel_of, split_counts
from astrid_training.audit import Action, record
from astrid_training.claims import settle_batches
from astrid_training.database import query
from astrid_training.digests import digest_value
from astrid_training.division import Divided, divide, recall_division
from astrid_training.errors import (
    DatasetRevokedError,
    GateFailedError,
    MissingObjectError,
    StoreCorruptError,
)
from astrid_training.identity import dataset_digests, query_digest, version_id
from astrid_training.leaks import check_leaks
from astrid_training.ledger import extend_ledger, ledger_head
from astrid_training.memory import give_back
from astrid_training.migrate import migrations
from astrid_training.packs import FORMAT_VERSION, PackCache, put_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.presence import check_objects, objects_of
from astrid_training.quality import DataQualityReport
from astrid_training.records import FunnelRow, Leaks, PublishedDataset, Reject
from astrid_training.sample_rows import insert_samples
from astrid_training.samples import SCHEMA, read_samples
from astrid_training.scores import assess
from astrid_training.splits import QUARANTINE, Assignment
from astrid_training.store import Store
from astrid_training.version import code_version

__all__ = ["Collected", "CollectionGateError", "publish"]


@dataclass(frozen=True, slots=True)
class Collected:
    """Who collected what, how."""

    params: TrainingDataCollectionParams
    as_of: datetime
    source_digest: str
    spec_fingerprint: str
    """Of the recipe that the pixels were made by."""
    created_by: str
    flow_run_id: str
    batch_ids: list[str]
    """Validation batches that this collection was started for."""
    derived_from: UUID | None = None
    """The dataset that the samples were chosen from; None where they were collected."""
    trigger: str | None = None
    """What started the run; None: nobody told."""


class CollectionGateError(GateFailedError):
    """A gate failed; carries what the report of the refusal needs."""

    def __init__(
        self, report: DataQualityReport, funnel: list[FunnelRow], notes: Mapping[str, Any]
    ) -> None:
        super().__init__([gate.detail for gate in report.gates if not gate.passed])
        self.report = report
        self.funnel = funnel
        self.notes = notes
        """What became of the reviews."""


def publish(
    engine: Engine,
    store: Store,
    packs: PackCache,
    assembled: Assembled,
    run: Collected,
    leaks: Leaks | None = None,
) -> PublishedDataset:
    """Verify, divide, judge and store a dataset, or return the active one if it is the same.

    Every object is looked up first, and hashed unless that was done of late. A dataset that is the
    same and has lost some of its own is superseded. Then, in one transaction under a lock that all
    publishers take: groups are looked up in the ledger again, and if they have changed, the leak gate looks again;
    gates are judged, and dataset, samples, rejects, ledger and settled batches are written together.

    Args:
        engine: of the database.
        store: gets the table of samples.
        packs: where the samples' pixels lie.
        assembled: all that was built, and all that left.
        run: who collected, how.
        leaks: what the leak gate found of the samples; None: it looks now.

    Raises:
        CollectionGateError: if a gate fails; nothing is written then.
        LeaksFoundError: if something is in two splits all the same; nothing is written then.
        DatasetRevokedError: if a dataset of this name and content was revoked.
        StoreCorruptError: if a pack is damaged.
        MissingObjectError: if a pack has gone.
    """
    with engine.connect() as connection:
        draft = _draft(connection, packs, assembled, run, leaks)
        twin = _twin(connection, run, draft.digests)
    give_back()
    looked_at: dict[UUID | None, bool] = {}
    while True:
        # what looks takes a connection of its own: none is held meanwhile, nor the lock
        named = twin and twin.id
        looked_at[named] = twin is not None and _is_whole(engine, store, twin.samples_key)
        if not looked_at[named]:
            check_objects(engine, store, objects_of(draft.samples))
        with engine.begin() as connection:
            connection.execute(query("publish_lock"))
            if ledger_head(connection, run.params.split) != draft.ledger_head:
                # others have published meanwhile; what was read before is still all there
                draft = _draft(connection, packs, assembled, run, draft.leaks)
            twin = _twin(connection, run, draft.digests)
            named = twin and twin.id
            if named in looked_at:
                same = named if looked_at[named] else None
                return _settle(connection, store, assembled, draft, run, same)


def _settle(
    connection: Connection,
    store: Store,
    assembled: Assembled,
    draft: "_Draft",
    run: Collected,
    same: UUID | None,
) -> PublishedDataset:
    """Write the dataset, or say that `same` was looked at; settle the batches either way."""
    dataset_id = same or uuid4()
    if same is None:
        _check_not_revoked(connection, run, draft.digests)
        _insert_dataset(connection, store, assembled, draft, run, dataset_id)
        insert_samples(connection, draft.samples, dataset_id, store.url)
        _insert_rejects(connection, assembled, draft.rejects, dataset_id)
        _extend_ledger(connection, draft, run, dataset_id)
        told = {"name": run.params.name, "flow_run_id": run.flow_run_id, "trigger": run.trigger}
        deed: Action = "derived" if run.derived_from else "collected"
        record(connection, deed, str(dataset_id), run.created_by, told)
    else:
        seen = {"dataset_id": str(same), "as_of": run.as_of}
        connection.execute(query("dataset_looked_at"), seen)
    if run.batch_ids:
        settle_batches(connection, run.batch_ids, dataset_id)
    return PublishedDataset(
        dataset_id=str(dataset_id),
        version_id=version_id(draft.digests),
        name=run.params.name,
        reused=same is not None,
        total_samples=draft.kept,
        splits=split_counts(draft.samples),
        classes=class_counts(draft.samples),
        anomaly_ratio=draft.report.anomaly_ratio,
        quality_score=draft.report.quality_score,
        digests=draft.digests,
        funnel=draft.funnel,
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A dataset as it would be published now."""

    samples: pa.Table
    """Kept ones, and those in quarantine."""
    kept: int
    """Samples in train, val or test."""
    assignments: dict[str, Assignment]
    """By sample_key."""
    rejects: list[Reject]
    """All that left; those in quarantine among them."""
    funnel: list[FunnelRow]
    report: DataQualityReport
    leaks: Leaks
    digests: dict[str, str]
    ledger_head: int
    """Of the ledger that the samples were divided by, which only ever grows."""


def _draft(
    connection: Connection,
    packs: PackCache,
    assembled: Assembled,
    run: Collected,
    leaks: Leaks | None,
) -> _Draft:
    params = run.params
    divided, leaks = _divided(connection, packs, assembled.samples, params, leaks)
    kept, quarantined = _parts(divided.samples, leaks)
    rejects = sorted([*assembled.rejects, *leaks.set_aside], key=lambda one: one.sample_key)
    first, keys = assembled.funnel[0], kept["sample_key"].to_pylist()
    funnel = funnel_of(first.step, sorted(assembled.detections), keys, rejects)
    of_detections = [one for one in assembled.rejects if assembled.detections[one.sample_key]]
    kept, report = assess(kept, of_detections, params, assembled.notes)
    if not report.passed:
        raise CollectionGateError(report, funnel, assembled.notes)
    samples = kept
    if quarantined.num_rows:
        samples = pa.concat_tables([kept, quarantined], promote_options="default")
        samples = samples.sort_by("sample_key")
    asked = query_digest(params, run.as_of, len(migrations()), divided.ledger_head)
    digests = {
        "query": digest_value([asked, str(run.derived_from)]) if run.derived_from else asked,
        "source": run.source_digest,
        **dataset_digests(samples),
    }
    return _Draft(
        samples=samples,
        kept=kept.num_rows,
        assignments=dict(
            zip(divided.samples["sample_key"].to_pylist(), divided.assignments, strict=True)
        ),
        rejects=rejects,
        funnel=funnel,
        report=report,
        leaks=leaks,
        digests=digests,
        ledger_head=divided.ledger_head,
    )


def _divided(
    connection: Connection,
    packs: PackCache,
    samples: pa.Table,
    params: TrainingDataCollectionParams,
    leaks: Leaks | None,
) -> tuple[Divided, Leaks]:
    """Return the samples divided by the ledger as it is now, and what the leak gate finds of that.

    While the ledger is as the gate saw it, that is what the gate saw.
    """
    if leaks is not None and leaks.ledger_head == ledger_head(connection, params.split):
        seen = recall_division(packs.store, leaks, samples, params.split)
        if seen is not None:
            return seen, leaks
    divided = divide(connection, samples, params)
    if leaks is None or leaks.division != divided.digest:
        leaks = check_leaks(divided, packs, params.preprocess)
    return divided, leaks


class _Twin(NamedTuple):
    """The active dataset of this name that holds exactly this, prepared in the same way."""

    id: UUID
    samples_key: str


def _twin(connection: Connection, run: Collected, digests: Mapping[str, str]) -> _Twin | None:
    prepared = {**_identity(run, digests), "spec_fingerprint": run.spec_fingerprint}
    row = connection.execute(query("dataset_same"), prepared).one_or_none()
    return None if row is None else _Twin(row.id, row.samples_key)


def _is_whole(engine: Engine, store: Store, samples_key: str) -> bool:
    try:
        check_objects(engine, store, objects_of(read_samples(store, samples_key)))
    except (MissingObjectError, StoreCorruptError):
        return False
    return True


def _parts(samples: pa.Table, leaks: Leaks) -> tuple[pa.Table, pa.Table]:
    """Return the samples that are kept, and those in quarantine; the others are set aside."""
    if not leaks.set_aside:
        return samples, samples.slice(0, 0)
    away = pa.array([reject.sample_key for reject in leaks.set_aside], pa.string())
    kept = samples.filter(pc.invert(pc.is_in(samples["sample_key"], value_set=away)))
    return kept, samples.filter(pc.equal(samples["split"], QUARANTINE))


def _extend_ledger(connection: Connection, draft: _Draft, run: Collected, dataset_id: UUID) -> None:
    assignments = [draft.assignments[key] for key in draft.samples["sample_key"].to_pylist()]
    policy, side = run.params.split, run.params.preprocess.stamp_size
    extend_ledger(connection, draft.samples, assignments, policy, side, dataset_id)


def _check_not_revoked(connection: Connection, run: Collected, digests: Mapping[str, str]) -> None:
    """Return if nobody revoked exactly this: a schedule must not bring back what a person withdrew.

    Raises:
        DatasetRevokedError: if somebody did.
    """
    twin = connection.execute(query("dataset_revoked_same"), _identity(run, digests)).one_or_none()
    if twin is not None:
        raise DatasetRevokedError(
            f"exactly this content was dataset {run.params.name} {twin.version_id}, which was revoked; "
            "correct what was wrong with it, or collect it under another name"
        )


def _identity(run: Collected, digests: Mapping[str, str]) -> dict[str, str]:
    return {
        "name": run.params.name,
        "content_digest": digests["content"],
        "split_digest": digests["split"],
    }


def _insert_dataset(
    connection: Connection,
    store: Store,
    assembled: Assembled,
    draft: _Draft,
    run: Collected,
    dataset_id: UUID,
) -> None:
    samples, report = draft.samples, draft.report
    stepping = {
        "name": run.params.name,
        "reason": f"version {version_id(draft.digests)} was published",
        "by": run.created_by,
    }
    parent = connection.execute(query("dataset_supersede"), stepping).scalar()
    connection.execute(
        query("dataset_add"),
        {
            "id": dataset_id,
            "name": run.params.name,
            "description": run.params.description,
            "collection_params": run.params.model_dump_json(),
            "total_samples": draft.kept,
            "anomaly_ratio": report.anomaly_ratio,
            "quality_score": report.quality_score,
            "created_by": run.created_by,
            "version_id": version_id(draft.digests),
            "parent_id": parent,
            "as_of": run.as_of,
            "format_version": FORMAT_VERSION,
            "preprocess_spec": run.params.preprocess.model_dump_json(),
            "spec_fingerprint": run.spec_fingerprint,
            **{f"{name}_digest": digest for name, digest in draft.digests.items()},
            "split_policy": run.params.split.salt,
            "splits": json.dumps(split_counts(samples)),
            "classes": json.dumps(class_counts(samples)),
            "funnel": json.dumps([asdict(row) for row in draft.funnel]),
            "quality_report": json.dumps(
                {**report.to_dict(), "reviews": assembled.notes, "leaks": draft.leaks.proof}
            ),
            "samples_key": f"samples/{put_table(store, 'samples', _published(samples))}.parquet",
            "flow_run_id": run.flow_run_id,
            "derived_from": run.derived_from,
            "code_version": code_version(),
        },
    )


def _published(samples: pa.Table) -> pa.Table:
    """Return the table as readers know it: the fixed columns first, then the metrics."""
    samples = samples.rename_columns({"pack_row": "image_row"})
    rest = sorted(set(samples.column_names) - set(SCHEMA.names))
    fixed = [samples[field.name].cast(field.type) for field in SCHEMA]
    return pa.table([*fixed, *(samples[name] for name in rest)], names=[*SCHEMA.names, *rest])


def _insert_rejects(
    connection: Connection, assembled: Assembled, rejects: Sequence[Reject], dataset_id: UUID
) -> None:
    connection.execute(
        query("rejects_add"),
        {
            "dataset_id": dataset_id,
            "sample_keys": [reject.sample_key for reject in rejects],
            "detection_ids": [assembled.detections[reject.sample_key] for reject in rejects],
            "steps": [reject.step for reject in rejects],
            "reasons": [reject.reason for reject in rejects],
            "details": [reject.detail for reject in rejects],
        },
    )
