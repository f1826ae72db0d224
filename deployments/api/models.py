"""What the endpoints answer."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "DATASET",
    "DIGESTS",
    "MOMENT",
    "RUN",
    "SCHEDULED_RUN",
    "SOME_DIGEST",
    "SPLITS",
    "DatasetEntry",
    "DatasetList",
    "DatasetRecord",
    "LoadedDataset",
    "QualityReport",
    "Run",
    "RunMetrics",
    "StepRow",
    "example",
]

DATASET = UUID("0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10")
RUN = UUID("0190c8f1-11aa-7b02-8c3d-52e6a7f0d9e4")
SOME_DIGEST = "6b1c0d2e9f3a4d5b8c7e6f5041322314a5b6c7d8e9f00112233445566778899a"
DIGESTS = dict.fromkeys(("query", "source", "label", "content", "split"), SOME_DIGEST)
SPLITS = {"train": 702, "val": 150, "test": 148}
CLASSES = {"supernova": 180, "asteroid": 120, "artifact": 700}
MOMENT = "2026-03-02T04:12:09.120394Z"


def example(**values: Any) -> ConfigDict:  # noqa: ANN401 - any JSON value
    """Return the configuration of a model that knows no other members, with an example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


ENTRY: dict[str, Any] = {
    "dataset_id": str(DATASET),
    "name": "nightly",
    "version_id": "1493120b7bfcfba9",
    "status": "active",
    "total_samples": 1000,
    "splits": SPLITS,
    "classes": CLASSES,
    "anomaly_ratio": 0.3,
    "quality_score": 0.87,
    "created_at": MOMENT,
    "created_by": "astrid-web",
    "parent_id": None,
    "derived_from": None,
    "digests": DIGESTS,
}
RUN_EXAMPLE: dict[str, Any] = {
    "flow_run_id": str(RUN),
    "name": "collect nightly",
    "state": "Completed",
    "finished": True,
    "message": "All states completed.",
    "requested_by": "astrid-web",
    "trigger": "api",
    "parameters": {"name": "nightly", "max_samples": 1000},
    "created_at": MOMENT,
    "started_at": MOMENT,
    "ended_at": MOMENT,
    "dataset": {
        "dataset_id": str(DATASET),
        "name": "nightly",
        "version_id": "1493120b7bfcfba9",
        "total_samples": 1000,
        "quality_score": 0.87,
        "reused": False,
    },
}

SCHEDULED_RUN: dict[str, Any] = {
    **RUN_EXAMPLE,
    "state": "Scheduled",
    "finished": False,
    **dict.fromkeys(("message", "started_at", "ended_at", "dataset")),
}

STEP_EXAMPLE: dict[str, Any] = {
    "step": "preprocess",
    "wall_s": 11.2,
    "samples_per_s": 89.3,
    "cpu_s": 0.1,
    "worker_cpu_s": 8.9,
    "fetched_bytes": 0,
    "written_bytes": 79_400_000,
    "samples_in": 1000,
    "samples_out": 997,
    "rejects": 3,
    "runs": 4,
    "cached": 0,
    "retries": 0,
}


class DatasetEntry(BaseModel):
    """A dataset as a list shows it."""

    model_config = example(**ENTRY)

    dataset_id: UUID
    name: str
    version_id: str = Field(description="Equal for equal content.")
    status: Literal["active", "superseded", "revoked"]
    total_samples: int
    splits: dict[str, int] = Field(description="Samples of train, val, test and quarantine.")
    classes: dict[str, int] = Field(description="Samples by class.")
    anomaly_ratio: float = Field(description="Real ones among all samples.")
    quality_score: float
    created_at: datetime
    created_by: str = Field(description="Of a collection over REST: the token's name.")
    parent_id: UUID | None = Field(description="The version of this name that it superseded.")
    derived_from: UUID | None = Field(description="The dataset its samples were chosen from.")
    digests: dict[str, str] = Field(description="query, source, label, content and split.")


class DatasetList(BaseModel):
    """One page of datasets, newest first."""

    model_config = example(datasets=[ENTRY], total=1, next=None)

    datasets: list[DatasetEntry]
    total: int = Field(description="All that match, on whatever page.")
    next: str | None = Field(
        description="Where the next page is, as in Link; null: this is the last."
    )


class FunnelEntry(BaseModel):
    """Where subjects went."""

    step: str
    reason: str = Field(description="selected, kept, or why they left.")
    count: int


class Event(BaseModel):
    """What happened to a dataset after it was published."""

    event: Literal["superseded", "revoked"]
    reason: str
    by: str
    at: datetime


class DatasetRecord(DatasetEntry):
    """All that is stored about a dataset but its quality report, which has a path of its own."""

    model_config = example(
        **ENTRY,
        description="All of last night",
        as_of=MOMENT,
        collection_params={"name": "nightly", "max_samples": 1000},
        preprocess_spec={"channels": ["science", "template", "difference"], "stamp_size": 63},
        spec_fingerprint=SOME_DIGEST,
        format_version=1,
        funnel=[
            {"step": "fetch_validated_detections", "reason": "selected", "count": 1013},
            {"step": "download_fits", "reason": "truncated", "count": 13},
            {"step": "create_dataset", "reason": "kept", "count": 1000},
        ],
        samples_key=f"samples/{SOME_DIGEST}.parquet",
        flow_run_id=str(RUN),
        mlflow_run_id="5f2c8a0b6a1d4e0f8b7c6d5e4f3a2b1c",
        code_version="0.1.0+g8271f26",
        metrics={"audit_agreement": 0.94},
        events=[],
        trainings=[],
    )

    description: str | None
    as_of: datetime = Field(description="Reviews up to this instant count.")
    collection_params: dict[str, Any]
    preprocess_spec: dict[str, Any]
    spec_fingerprint: str = Field(description="Of how the pixels were made.")
    format_version: int
    funnel: list[FunnelEntry]
    samples_key: str = Field(description="Object of the store with one row a sample.")
    flow_run_id: str | None = Field(description="The run that made it.")
    mlflow_run_id: str | None
    code_version: str | None = Field(
        description="Of what collected it; null where it was not kept."
    )
    metrics: dict[str, Any] = Field(description="What was learnt of it since it was published.")
    events: list[Event] = Field(description="Oldest first.")
    trainings: list[dict[str, Any]] = Field(description="Each training on it, with its metrics.")


class QualityReport(BaseModel):
    """How good a dataset is as a whole; the metrics are explained in `docs/reference`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "total_samples": 1000,
                    "anomaly_ratio": 0.3,
                    "image_quality_score": 0.81,
                    "label_consistency": 0.93,
                    "temporal_distribution": {
                        "start": "2026-01-03T03:00:00+00:00",
                        "end": "2026-02-27T09:30:00+00:00",
                        "months": {"2026-01": 480, "2026-02": 520},
                    },
                    "survey_coverage": {"ztf": 1000},
                    "quality_score": 0.87,
                    "issues": [],
                    "metrics": {"audit_agreement": 0.94},
                }
            ]
        },
    )

    total_samples: int
    anomaly_ratio: float
    image_quality_score: float = Field(description="Median score of the observations, 0 to 1.")
    label_consistency: float
    temporal_distribution: dict[str, Any]
    survey_coverage: dict[str, int] = Field(description="Samples by survey.")
    quality_score: float
    issues: list[str] = Field(description="Sentences: failed gates first, then warnings.")
    metrics: dict[str, Any] = Field(description="What was learnt since it was published.")


class LoadedDataset(BaseModel):
    """A dataset that is whole and ready on the machine of the API."""

    model_config = example(
        dataset_id=str(DATASET),
        name="nightly",
        version_id="1493120b7bfcfba9",
        status="active",
        splits=SPLITS,
        spec_fingerprint=SOME_DIGEST,
        digests=DIGESTS,
        objects_verified=9,
        in_place=False,
        paths={"images": ["loader/0a1b/images.npy"], "masks": ["loader/0a1b/masks.npy"]},
    )

    dataset_id: UUID
    name: str
    version_id: str
    status: Literal["active", "superseded", "revoked"]
    splits: dict[str, int] = Field(description="Samples of train, val and test.")
    spec_fingerprint: str
    digests: dict[str, str]
    objects_verified: int = Field(description="Objects of the store that are there and whole.")
    in_place: bool = Field(description="Packs are read as they lie; else there is a copy.")
    paths: dict[Literal["images", "masks"], list[str]] = Field(
        description="Files on the machine of the API that the loader maps."
    )


class MadeDataset(BaseModel):
    """The dataset that a run made, or found to be there already."""

    dataset_id: UUID
    name: str
    version_id: str
    total_samples: int
    quality_score: float
    reused: bool = Field(description="The active version holds exactly this already.")


class Run(BaseModel):
    """A collection as it stands."""

    model_config = example(**RUN_EXAMPLE)

    flow_run_id: UUID
    name: str
    state: str = Field(description="As the Prefect server names it: Scheduled, Running, Completed…")
    finished: bool
    message: str | None = Field(description="Of a run that failed: why, and the cure.")
    requested_by: str | None = Field(description="Who asked for it over REST.")
    trigger: str | None
    parameters: dict[str, Any] = Field(description="The deployment's own among them.")
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    dataset: MadeDataset | None = Field(
        description="Of a run that completed; null where there was nothing to do."
    )


class StepRow(BaseModel):
    """What one step took, all batches together; `docs/reference/run-metrics.md` explains each."""

    model_config = example(**STEP_EXAMPLE)

    step: str = Field(description="Or whole: the run from its first step to its end.")
    wall_s: float = Field(description="Of batches that run side by side the sum.")
    samples_per_s: float
    cpu_s: float = Field(description="Of the flow's process.")
    worker_cpu_s: float
    fetched_bytes: int
    written_bytes: int
    samples_in: int
    samples_out: int
    rejects: int
    runs: int
    cached: int = Field(description="Of the runs: those whose result was there already.")
    retries: int


class RunMetrics(BaseModel):
    """What the steps of a collection took, as far as it has come."""

    model_config = example(flow_run_id=str(RUN), steps=[STEP_EXAMPLE])

    flow_run_id: UUID
    steps: list[StepRow] = Field(description="In the order of the work; empty before the first.")
