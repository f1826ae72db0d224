"""A collection becomes a dataset in one transaction, or not at all."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Engine, text

from astrid_training.assemble import Assembled, class_counts, split_counts
from astrid_training.claims import settle_batches
from astrid_training.database import query
from astrid_training.digests import canonical_json, digest_bytes, digest_many, digest_value
from astrid_training.errors import GateFailedError
from astrid_training.migrate import migrations
from astrid_training.packs import FORMAT_VERSION, PackCache, put_table
from astrid_training.params import SplitPolicy, TrainingDataCollectionParams
from astrid_training.processor import fingerprint
from astrid_training.quality import DataQualityReport
from astrid_training.records import FunnelRow, PublishedDataset
from astrid_training.samples import SCHEMA
from astrid_training.scores import assess
from astrid_training.selection import ledger_members
from astrid_training.splits import QUARANTINE, Assignment, assign_splits
from astrid_training.store import Store
from astrid_training.taxonomy import taxonomy

__all__ = ["Collected", "Refusal", "publish"]


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


class Refusal(GateFailedError):
    """A gate failed; carries what the report needs."""

    def __init__(
        self, reasons: list[str], report: DataQualityReport, funnel: list[FunnelRow]
    ) -> None:
        super().__init__(reasons)
        self.report = report
        self.funnel = funnel


def publish(
    engine: Engine, store: Store, packs: PackCache, assembled: Assembled, run: Collected
) -> PublishedDataset:
    """Verify, split, judge and store a dataset, or return the active one if it is the same.

    Every pack is hashed first. Then, in one transaction under the split policy's lock: groups are
    looked up in the ledger again, gates are judged, and dataset, samples, rejects, ledger and
    settled batches are written together.

    Raises:
        Refusal: if a gate fails; nothing is written then.
        StoreCorruptError: if a pack is damaged.
        MissingObjectError: if a pack has gone.
    """
    _verify(packs, assembled.samples)
    with engine.begin() as connection:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
            {"key": "astrid-training publish"},
        )
        ledger_head = connection.execute(query("ledger_head"), {"policy": run.params.split.salt})
        samples, assignments = _split(connection, assembled.samples, run.params.split)
        samples, report = assess(samples, run.params, assembled)
        if not report.passed:
            raise Refusal(report.failures, report, assembled.funnel)
        digests = _digests(samples, run, ledger_head.scalar_one())
        same = connection.execute(query("dataset_same"), _same_key(run, digests)).scalar()
        dataset_id = same or _insert(connection, store, assembled, samples, run, digests, report)
        if same is None:
            _extend_ledger(connection, samples, assignments, run.params.split, dataset_id)
        if run.batch_ids:
            settle_batches(connection, run.batch_ids, dataset_id)
    return PublishedDataset(
        dataset_id=str(dataset_id),
        version_id=_version(digests),
        name=run.params.name,
        reused=same is not None,
        total_samples=samples.num_rows,
        splits=split_counts(samples),
        classes=class_counts(samples),
        anomaly_ratio=report.anomaly_ratio,
        quality_score=report.quality_score,
        digests=digests,
        funnel=assembled.funnel,
    )


def _verify(packs: PackCache, samples: pa.Table) -> None:
    for kind in ("image", "flag", "mask"):
        for digest in sorted(set(samples[f"{kind}_pack"].to_pylist())):
            packs.verify(f"{kind}s", digest)


def _split(
    connection: Connection, samples: pa.Table, policy: SplitPolicy
) -> tuple[pa.Table, list[Assignment]]:
    """Return the samples with their final group and split."""
    dec = samples["dec_deg"].to_numpy()
    first_seen = zip(
        samples["observation_time"].to_pylist(), samples["sample_key"].to_pylist(), strict=True
    )
    assignments = assign_splits(
        samples["ra_deg"].to_numpy(),
        dec,
        samples["fwhm_arcsec"].to_numpy(),
        list(first_seen),
        ledger_members(connection, policy, dec),
        policy,
    )
    for name in ("group_key", "split"):
        values = pa.array([getattr(one, name) for one in assignments], pa.string())
        samples = samples.set_column(samples.column_names.index(name), name, values)
    return samples, assignments


def _digests(samples: pa.Table, run: Collected, ledger_head: int) -> dict[str, str]:
    rows = samples.select(
        ["sample_key", "image_digest", "mask_digest", "anomaly_type", "p_real", "split", "votes"]
    ).to_pylist()
    labels = [f"{row['anomaly_type']}|{row['p_real']:.6f}" for row in rows]
    asked = run.params.model_dump(mode="json", exclude={"as_of"})
    return {
        "query": digest_value([asked, run.as_of.isoformat(), len(migrations()), ledger_head]),
        "source": run.source_digest,
        "label": digest_many(
            [
                taxonomy().digest,
                *(
                    f"{row['sample_key']}|{label}|{_event_ids(row['votes'])}"
                    for row, label in zip(rows, labels, strict=True)
                ),
            ]
        ),
        "content": digest_many(
            f"{row['sample_key']}|{row['image_digest']}|{row['mask_digest']}|{label}"
            for row, label in zip(rows, labels, strict=True)
        ),
        "split": digest_many(f"{row['sample_key']}|{row['split']}" for row in rows),
    }


def _event_ids(votes: str) -> str:
    return ",".join(sorted(vote["event_id"] for vote in json.loads(votes)))


def _version(digests: Mapping[str, str]) -> str:
    return digest_bytes(f"{digests['content']}|{digests['split']}".encode())[:16]


def _same_key(run: Collected, digests: Mapping[str, str]) -> dict[str, str]:
    return {
        "name": run.params.name,
        "content_digest": digests["content"],
        "split_digest": digests["split"],
    }


def _insert(
    connection: Connection,
    store: Store,
    assembled: Assembled,
    samples: pa.Table,
    run: Collected,
    digests: Mapping[str, str],
    report: DataQualityReport,
) -> Any:
    dataset_id = uuid4()
    parent = connection.execute(query("dataset_supersede"), {"name": run.params.name}).scalar()
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
            "version_id": _version(digests),
            "parent_id": parent,
            "as_of": run.as_of,
            "format_version": FORMAT_VERSION,
            "preprocess_spec": run.params.preprocess.model_dump_json(),
            "spec_fingerprint": fingerprint(run.params.preprocess),
            **{f"{name}_digest": digest for name, digest in digests.items()},
            "split_policy": run.params.split.salt,
            "splits": json.dumps(split_counts(samples)),
            "classes": json.dumps(class_counts(samples)),
            "funnel": json.dumps([asdict(row) for row in assembled.funnel]),
            "quality_report": json.dumps(report.to_dict()),
            "samples_key": f"samples/{put_table(store, 'samples', _published(samples))}.parquet",
            "flow_run_id": run.flow_run_id,
        },
    )
    _insert_samples(connection, store, samples, dataset_id)
    _insert_rejects(connection, assembled, dataset_id)
    return dataset_id


def _published(samples: pa.Table) -> pa.Table:
    """Return the table as readers know it: the fixed columns first, then the metrics."""
    samples = samples.rename_columns({"pack_row": "image_row"})
    rest = sorted(set(samples.column_names) - set(SCHEMA.names))
    columns = samples.select([*SCHEMA.names, *rest])
    for position, field in enumerate(SCHEMA):
        columns = columns.set_column(position, field, columns[field.name].cast(field.type))
    return columns


def _insert_samples(
    connection: Connection, store: Store, samples: pa.Table, dataset_id: Any
) -> None:
    rows = samples.to_pylist()
    connection.execute(
        query("samples_add"),
        {
            "dataset_id": dataset_id,
            "observation_ids": [row["observation_id"] for row in rows],
            "detection_ids": [row["detection_id"] for row in rows],
            "image_paths": [
                _path(store, "images", row["image_pack"], row["pack_row"]) for row in rows
            ],
            "mask_paths": [
                _path(store, "masks", row["mask_pack"], row["mask_row"]) for row in rows
            ],
            "labels": [_json(row, LABEL_COLUMNS) for row in rows],
            "metadata": [_json(row, METADATA_COLUMNS) for row in rows],
            "sample_keys": [row["sample_key"] for row in rows],
            "splits": [row["split"] for row in rows],
            "weights": [row["weight"] for row in rows],
            "group_keys": [row["group_key"] for row in rows],
        },
    )


LABEL_COLUMNS = (
    "anomaly_type",
    "is_anomaly",
    "confidence",
    "p_real",
    "tier",
    "label_source",
    "n_votes",
    "n_validators",
)
METADATA_COLUMNS = (
    "survey",
    "band",
    "observation_time",
    "ra_deg",
    "dec_deg",
    "x",
    "y",
    "fwhm_px",
    "fwhm_source",
    "quality_score",
    "source_kind",
    "diff_sign",
    "model_score",
    "science_path",
    "reference_path",
    "difference_path",
)


def _path(store: Store, kind: str, digest: str, row: int) -> str:
    return f"{store.url}/{kind}/{digest}.npy#{row}"


def _json(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    values = {name: row[name] for name in columns}
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = value.isoformat()
    return canonical_json(values).decode()


def _insert_rejects(connection: Connection, assembled: Assembled, dataset_id: Any) -> None:
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


def _extend_ledger(
    connection: Connection,
    samples: pa.Table,
    assignments: list[Assignment],
    policy: SplitPolicy,
    dataset_id: Any,
) -> None:
    """Write the new groups, and where the members of all groups lie; quarantined ones stay open."""
    groups = {one.group_key: one.split for one in assignments if not one.known}
    connection.execute(
        query("ledger_add"),
        {
            "policy": policy.salt,
            "dataset_id": dataset_id,
            "group_keys": sorted(groups),
            "splits": [groups[key] for key in sorted(groups)],
        },
    )
    settled = np.array([one.split != QUARANTINE for one in assignments], bool)
    members = samples.select(["sample_key", "group_key", "ra_deg", "dec_deg"]).filter(settled)
    connection.execute(
        query("ledger_members_add"),
        {
            "policy": policy.salt,
            "sample_keys": members["sample_key"].to_pylist(),
            "group_keys": members["group_key"].to_pylist(),
            "ra_deg": members["ra_deg"].to_pylist(),
            "dec_deg": members["dec_deg"].to_pylist(),
        },
    )
