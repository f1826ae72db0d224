"""The small values that pass between steps. Pixels never do: they stay in the store."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

__all__ = [
    "BatchRef",
    "BuiltBatch",
    "DatasetEvent",
    "DatasetPage",
    "Downloaded",
    "FunnelRow",
    "Leaks",
    "MaskRef",
    "Plan",
    "PublishedDataset",
    "QualityRef",
    "RefusedFile",
    "Reject",
    "Selection",
    "SourceFile",
    "StampsRef",
    "StepMetrics",
    "TrainingDataset",
    "TrainingRun",
    "TrainingSample",
    "count_rejects",
    "outcome_key",
    "report_key",
]


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """How many subjects left at one step for one reason; reason `kept` for those that stayed."""

    step: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A subject that left the pipeline, and why."""

    sample_key: str
    step: str
    reason: str
    """A short code, the same for all subjects that left for the same cause."""
    detail: str = ""
    """The facts, for people."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What fetch_validated_detections found: a table in the store, one row a subject."""

    digest: str
    """The object is `selections/<digest>.parquet`; its columns are in `selection.SELECTION`."""
    as_of: datetime
    selected: int
    """Subjects that people reviewed; kept ones and drops together."""
    kept: int
    warnings: list[str] = field(default_factory=list)
    """Sentences of what slowed it, each with its cure; nothing of the samples depends on it."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the survey, as it was when it was read."""

    path: str
    """As the database names it: a key, an s3:// or file:// address, or an absolute path."""
    etag: str
    size: int
    """Bytes."""
    sha256: str = ""
    """Of a file that was fetched whole; else empty."""
    extents: tuple[tuple[int, int], ...] = ()
    """The bytes of it that are needed, each from the first to before the last; none: all."""


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file of the survey that is not worth fetching again while it is the same file."""

    path: str
    etag: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class BatchRef:
    """One unit of work: samples of whole exposures, as tables in the store."""

    targets: str
    """`targets/<digest>.parquet`: where to cut what; `stamps/…` when the images are built."""
    labels: str
    """`labels/<digest>.parquet`: what people say of each sample."""
    samples: int
    exposures: int
    source_bytes: int
    """What has to be fetched; 0 when the images are built."""
    built: bool
    """True when the images are in the store already and only masks and quality are missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a selection becomes samples."""

    batches: list[BatchRef]
    rejects: list[Reject]
    reused_samples: int
    """Samples whose images earlier runs built."""
    source_digest: str
    """Of all source files: path, size and ETag."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The source files of a batch, on this machine as far as they are needed."""

    files: list[SourceFile]
    rejects: list[Reject]
    """One for each sample that lost a file, whatever the cause."""
    refused: list[RefusedFile]
    """The files that were bad in themselves; neither missing nor changed ones."""


@dataclass(frozen=True, slots=True)
class StampsRef:
    """Stamps in the store."""

    stamps: str
    """`stamps/<digest>.parquet`: sample_key, image_pack, flag_pack, significance_pack,
    measure_table, pack_row."""
    rows: int
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class MaskRef:
    """Masks in the store."""

    masks: str
    """`mask_tables/<digest>.parquet`: the stamps' columns, mask_pack, mask_row, mask_digest,
    mask_flags."""
    rows: int
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class QualityRef:
    """Metrics in the store: the end of a batch."""

    samples: str
    """`built/<digest>.parquet`: the masks' columns and every measurement, one row a sample."""
    rows: int
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one step of a run took, all batches together."""

    step: str
    """One of `run_metrics.STEPS`; `whole` is the run from its first step to its end."""
    wall_s: float
    """Of batches that run side by side the sum."""
    cpu_s: float
    """Of the flow's process, or of the cluster's process that runs the batch."""
    worker_cpu_s: float
    """Of worker processes."""
    fetched_bytes: int
    """From stores and web servers; what is read in place is not fetched."""
    written_bytes: int
    samples_in: int
    samples_out: int
    rejects: int
    runs: int
    """Once for each batch, or once."""
    cached: int
    """Of the runs: those whose result was there already."""
    retries: int

    @property
    def samples_per_s(self) -> float:
        """Samples that came in, for each second of one run after the other."""
        return self.samples_in / self.wall_s if self.wall_s else 0.0


@dataclass(frozen=True, slots=True)
class BuiltBatch:
    """What one batch left in the store."""

    samples: str
    """`built/<digest>.parquet`, as in `QualityRef`."""
    rows: int
    rejects: list[Reject]
    """Of all four steps."""
    steps: list[StepMetrics]
    """What each of them took; nothing of what is made of the batch depends on it."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """What the leak gate found of one division of samples."""

    division: str
    """`divisions/<digest>.parquet`: sample_key and the fields of `splits.Assignment`, before anything
    is set aside. Of another division this proves nothing."""
    ledger_head: int
    """Of the ledger that they were divided by."""
    set_aside: list[Reject]
    """Samples that leave so that nothing leaks; those with reason bridge stay as quarantine."""
    proof: dict[str, Any]
    """Counts, stored with the dataset as `quality_report["leaks"]`."""


@dataclass(frozen=True, slots=True)
class PublishedDataset:
    """The outcome of a collection."""

    dataset_id: str
    version_id: str
    name: str
    reused: bool
    """True when an active dataset of that name holds exactly this content and split."""
    total_samples: int
    splits: dict[str, int]
    classes: dict[str, int]
    anomaly_ratio: float
    quality_score: float
    digests: dict[str, str]
    funnel: list[FunnelRow]


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One sample of a published dataset: a row of training_samples."""

    sample_key: str
    observation_id: UUID | None
    detection_id: UUID | None
    image_path: str
    """`<store url>/images/<digest>.npy#<row>`."""
    mask_path: str
    """`<store url>/masks/<digest>.npy#<row>`."""
    labels: dict[str, Any]
    """anomaly_type, is_anomaly, confidence, tier, subject, votes."""
    metadata: dict[str, Any]
    """survey, band, time, position, quality and provenance."""
    split: str
    """train, val, test or quarantine."""
    weight: float
    group_key: str
    dataset_id: UUID | None = None
    """The dataset that it is a sample of."""


@dataclass(frozen=True, slots=True)
class TrainingDataset:
    """One immutable version of a dataset: a row of training_datasets."""

    id: UUID
    name: str
    description: str | None
    version_id: str
    parent_id: UUID | None
    status: str
    """active, superseded or revoked."""
    created_at: datetime
    created_by: str
    as_of: datetime
    total_samples: int
    anomaly_ratio: float
    quality_score: float
    splits: dict[str, int]
    classes: dict[str, int]
    funnel: list[FunnelRow]
    format_version: int
    """Of its packs and tables; readers refuse a newer one than they know."""
    collection_params: dict[str, Any]
    preprocess_spec: dict[str, Any]
    spec_fingerprint: str
    digests: dict[str, str]
    """query, source, label, content, split."""
    quality_report: dict[str, Any]
    samples_key: str
    """Object key of the table of samples, one row a sample, sorted by sample_key."""
    flow_run_id: str | None
    mlflow_run_id: str | None
    metrics: dict[str, Any] = field(default_factory=dict)
    """What was learnt of it since it was published."""
    derived_from: UUID | None = None
    """The dataset that its samples were chosen from; None where they were collected."""
    code_version: str | None = None
    """Of what collected it; None for datasets from before this was kept."""


@dataclass(frozen=True, slots=True)
class DatasetEvent:
    """What happened to a dataset after it was published."""

    event: str
    """superseded or revoked."""
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """Some of the datasets that were asked for."""

    datasets: list[TrainingDataset]
    total: int
    """All that match, on whatever page."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training on a dataset: a row of training_runs."""

    id: UUID
    dataset_id: UUID
    status: str
    """running, completed or failed."""
    training_params: dict[str, Any]
    performance_metrics: dict[str, Any] | None
    mlflow_run_id: str | None
    flow_run_id: str | None
    started_at: datetime
    completed_at: datetime | None
    model_id: UUID | None = None
    """Row of AstrID's models."""
    code_version: str | None = None
    mlflow_model_id: str | None = None
    registered_name: str | None = None
    registered_version: str | None = None


def report_key(dataset_id: UUID | str) -> str:
    """Return where the store has the HTML report of a dataset."""
    return f"reports/{dataset_id}.html"


def outcome_key(flow_run_id: str) -> str:
    """Return the object key of a collection's outcome; it is there once the run has completed."""
    return f"runs/{flow_run_id}.json"


STEPS = (
    "create_dataset",
    "fetch_validated_detections",
    "download_fits",
    "preprocess",
    "make_masks",
    "score_quality",
    "check_leaks",
)
"""The steps at which subjects leave, in their order."""


def count_rejects(rejects: Iterable[Reject]) -> list[FunnelRow]:
    """Return the rejects as funnel rows, in the order of the steps, then by reason."""
    counts: dict[tuple[str, str], int] = {}
    for reject in rejects:
        key = (reject.step, reject.reason)
        counts[key] = counts.get(key, 0) + 1

    def place(key: tuple[str, str]) -> tuple[int, str, str]:
        return (STEPS.index(key[0]) if key[0] in STEPS else len(STEPS), *key)

    return [FunnelRow(*key, counts[key]) for key in sorted(counts, key=place)]
