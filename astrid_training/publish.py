"""A collection becomes a dataset in one transaction, or not at all."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
from sqlalchemy import Connection, Engine

from astrid_training.assemble import Assembled, class_counts, split_counts
from astrid_training.claims import settle_batches
from astrid_training.database import query
from astrid_training.digests import canonical_json, digest_value
from astrid_training.errors import DatasetRevokedError, GateFailedError
from astrid_training.identity import dataset_digests, query_digest, version_id
from astrid_training.ledger import extend_ledger, ledger_head, propose_splits
from astrid_training.migrate import migrations
from astrid_training.negatives import hold_back
from astrid_training.packs import FORMAT_VERSION, PackCache, put_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.processor import fingerprint
from astrid_training.quality import DataQualityReport
from astrid_training.records import FunnelRow, PublishedDataset
from astrid_training.samples import SCHEMA
from astrid_training.scores import assess
from astrid_training.splits import Assignment
from astrid_training.store import Store

__all__ = ["Collected", "CollectionGateError", "publish"]

_LABELS = (
    "anomaly_type",
    "is_anomaly",
    "confidence",
    "p_real",
    "tier",
    "label_source",
    "n_votes",
    "n_validators",
    "agreement",
    "selected_for",
)
_METADATA = (
    "survey",
    "band",
    "observation_time",
    "ra_deg",
    "dec_deg",
    "x",
    "y",
    "fwhm_px",
    "fwhm_source",
    "mask_flags",
    "quality_score",
    "source_kind",
    "science_kind",
    "reference_kind",
    "difference_kind",
    "diff_sign",
    "model_score",
    "science_path",
    "reference_path",
    "difference_path",
)


@dataclass(frozen=True, slots=True)
class Collected:
    """Who collected what, how."""

    params: TrainingDataCollectionParams
    as_of: datetime
    source_digest: str
    created_by: str
    flow_run_id: str
    batch_ids: list[str]
    """Validation batches that this collection was started for."""
    derived_from: UUID | None = None
    """The dataset that the samples were chosen from; None where they were collected."""


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
    engine: Engine, store: Store, packs: PackCache, assembled: Assembled, run: Collected
) -> PublishedDataset:
    """Verify, split, judge and store a dataset, or return the active one if it is the same.

    Every pack is hashed first. Then, in one transaction under a lock that all publishers take:
    groups are looked up in the ledger again, gates are judged, and dataset, samples, rejects,
    ledger and settled batches are written together.

    Raises:
        CollectionGateError: if a gate fails; nothing is written then.
        DatasetRevokedError: if a dataset of this name and content was revoked.
        StoreCorruptError: if a pack is damaged.
        MissingObjectError: if a pack has gone.
    """
    with engine.connect() as connection:
        draft = _draft(connection, assembled, run)
    if draft.same is None:  # an active dataset was verified when it was published
        _verify(packs, assembled.samples)
    with engine.begin() as connection:
        connection.execute(query("publish_lock"))
        draft = _draft(connection, assembled, run)  # others may have published meanwhile
        dataset_id = draft.same or uuid4()
        if draft.same is None:
            _insert_dataset(connection, store, assembled, draft, run, dataset_id)
            _insert_samples(connection, store, draft.samples, dataset_id)
            _insert_rejects(connection, assembled, dataset_id)
            extend_ledger(
                connection, draft.samples, draft.assignments, run.params.split, dataset_id
            )
        if run.batch_ids:
            settle_batches(connection, run.batch_ids, dataset_id)
    return PublishedDataset(
        dataset_id=str(dataset_id),
        version_id=version_id(draft.digests),
        name=run.params.name,
        reused=draft.same is not None,
        total_samples=draft.samples.num_rows,
        splits=split_counts(draft.samples),
        classes=class_counts(draft.samples),
        anomaly_ratio=draft.report.anomaly_ratio,
        quality_score=draft.report.quality_score,
        digests=draft.digests,
        funnel=assembled.funnel,
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A dataset as it would be published now."""

    samples: pa.Table
    assignments: list[Assignment]
    report: DataQualityReport
    digests: dict[str, str]
    same: UUID | None
    """The active dataset that holds exactly this."""


def _draft(connection: Connection, assembled: Assembled, run: Collected) -> _Draft:
    policy = run.params.split
    head = ledger_head(connection, policy)
    proposed = propose_splits(connection, assembled.samples, policy)
    assignments = hold_back(assembled.samples, proposed, run.params.negatives, policy.salt)
    of_detections = [one for one in assembled.rejects if assembled.detections[one.sample_key]]
    samples, report = assess(
        _with_splits(assembled.samples, assignments),
        of_detections,
        run.params,
        assembled.notes,
    )
    if not report.passed:
        raise CollectionGateError(report, assembled.funnel, assembled.notes)
    asked = query_digest(run.params, run.as_of, len(migrations()), head)
    digests = {
        "query": digest_value([asked, str(run.derived_from)]) if run.derived_from else asked,
        "source": run.source_digest,
        **dataset_digests(samples),
    }
    same = connection.execute(query("dataset_same"), _identity(run, digests)).scalar()
    if same is None:
        _check_not_revoked(connection, run, digests)
    return _Draft(samples, assignments, report, digests, same)


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


def _verify(packs: PackCache, samples: pa.Table) -> None:
    for kind in ("images", "flags", "significance", "masks"):
        column = f"{kind.removesuffix('s')}_pack"
        if column in samples.column_names:
            for digest in sorted(set(samples[column].to_pylist())):
                packs.verify(kind, digest)


def _with_splits(samples: pa.Table, assignments: list[Assignment]) -> pa.Table:
    for name in ("group_key", "split"):
        values = pa.array([getattr(one, name) for one in assignments], pa.string())
        samples = samples.set_column(samples.column_names.index(name), name, values)
    return samples


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
            "total_samples": samples.num_rows,
            "anomaly_ratio": report.anomaly_ratio,
            "quality_score": report.quality_score,
            "created_by": run.created_by,
            "version_id": version_id(draft.digests),
            "parent_id": parent,
            "as_of": run.as_of,
            "format_version": FORMAT_VERSION,
            "preprocess_spec": run.params.preprocess.model_dump_json(),
            "spec_fingerprint": fingerprint(run.params.preprocess),
            **{f"{name}_digest": digest for name, digest in draft.digests.items()},
            "split_policy": run.params.split.salt,
            "splits": json.dumps(split_counts(samples)),
            "classes": json.dumps(class_counts(samples)),
            "funnel": json.dumps([asdict(row) for row in assembled.funnel]),
            "quality_report": json.dumps({**report.to_dict(), "reviews": assembled.notes}),
            "samples_key": f"samples/{put_table(store, 'samples', _published(samples))}.parquet",
            "flow_run_id": run.flow_run_id,
            "derived_from": run.derived_from,
        },
    )


def _published(samples: pa.Table) -> pa.Table:
    """Return the table as readers know it: the fixed columns first, then the metrics."""
    samples = samples.rename_columns({"pack_row": "image_row"})
    rest = sorted(set(samples.column_names) - set(SCHEMA.names))
    fixed = [samples[field.name].cast(field.type) for field in SCHEMA]
    return pa.table([*fixed, *(samples[name] for name in rest)], names=[*SCHEMA.names, *rest])


def _insert_samples(
    connection: Connection, store: Store, samples: pa.Table, dataset_id: UUID
) -> None:
    rows = samples.to_pylist()
    connection.execute(
        query("samples_add"),
        {
            "dataset_id": dataset_id,
            "observation_ids": [row["observation_id"] for row in rows],
            "detection_ids": [row["detection_id"] for row in rows],
            "image_paths": [
                f"{store.url}/images/{row['image_pack']}.npy#{row['pack_row']}" for row in rows
            ],
            "mask_paths": [
                f"{store.url}/masks/{row['mask_pack']}.npy#{row['mask_row']}" for row in rows
            ],
            "labels": [
                _json(row, _LABELS, subject=row["sample_key"], votes=json.loads(row["votes"]))
                for row in rows
            ],
            "metadata": [_json(row, _METADATA) for row in rows],
            "sample_keys": [row["sample_key"] for row in rows],
            "splits": [row["split"] for row in rows],
            "weights": [row["weight"] for row in rows],
            "group_keys": [row["group_key"] for row in rows],
        },
    )


def _json(row: Mapping[str, Any], columns: tuple[str, ...], **more: object) -> str:
    values = {name: row[name] for name in columns} | more
    if "observation_time" in values:
        values["observation_time"] = values["observation_time"].isoformat()
    return canonical_json(values).decode()


def _insert_rejects(connection: Connection, assembled: Assembled, dataset_id: UUID) -> None:
    rejects = assembled.rejects
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
