"""What the API answers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

__all__ = ["CollectRequest", "Dataset", "DatasetList", "Event", "Loaded", "Run"]

from astrid_training.params import TrainingDataCollectionParams

COLLECT_EXAMPLE: JsonDict = {
    "name": "real_anomalies",
    "survey_ids": ["hst", "jwst"],
    "date_range": ["2024-01-01T00:00:00Z", "2024-07-01T00:00:00Z"],
    "confidence_threshold": 0.7,
    "max_samples": 500,
}


class CollectRequest(TrainingDataCollectionParams):
    """The parameters of a collection; those left out are the deployment's own."""

    model_config = ConfigDict(json_schema_extra={"examples": [COLLECT_EXAMPLE]})


class Run(BaseModel):
    """A collection, or a training, on the Prefect server."""

    id: UUID
    name: str = Field(examples=["collect real_anomalies"])
    flow: str = Field(examples=["training-data-collection"])
    state: str = Field(examples=["Running"])
    message: str | None = Field(None, description="What the state says beside its name.")
    is_final: bool = Field(description="Whether it has ended, well or not.")
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    dataset_id: UUID | None = Field(None, description="Of a collection that completed.")
    page: str = Field(description="Where people look at it.")


class Event(BaseModel):
    """What happened to a dataset after it was published."""

    event: str = Field(examples=["superseded"])
    reason: str
    by: str
    at: datetime


class Dataset(BaseModel):
    """One immutable version of a training set."""

    id: UUID
    name: str = Field(examples=["real_anomalies"])
    description: str | None
    version_id: str = Field(examples=["1493120b7bfcfba9"])
    parent_id: UUID | None = Field(description="The version before it.")
    derived_from: UUID | None = Field(description="The dataset that its samples were chosen from.")
    status: str = Field(description="active, superseded or revoked.", examples=["active"])
    created_at: datetime
    created_by: str
    as_of: datetime = Field(description="Reviews up to here counted.")
    total_samples: int
    anomaly_ratio: float
    quality_score: float
    splits: dict[str, int] = Field(examples=[{"train": 588, "val": 87, "test": 73}])
    classes: dict[str, int]
    surveys: dict[str, int] = Field(description="Samples by survey.")
    digests: dict[str, str]
    spec_fingerprint: str = Field(description="Of how its pixels were prepared.")
    flow_run_id: str | None
    mlflow_run_id: str | None


class DatasetDetails(Dataset):
    """A training set with how it came to be and what became of it."""

    collection_params: dict[str, Any]
    preprocess_spec: dict[str, Any]
    funnel: list[dict[str, Any]] = Field(description="Why subjects left, step by step.")
    metrics: dict[str, Any] = Field(description="What was learnt of it since.")
    events: list[Event]


class DatasetList(BaseModel):
    """A page of datasets, newest first."""

    datasets: list[Dataset]
    total: int = Field(description="All that match, on whatever page.")
    limit: int
    offset: int


class Loaded(BaseModel):
    """A dataset that is whole and at hand on the API's machine."""

    dataset_id: UUID
    version_id: str
    splits: dict[str, int]
    spec_fingerprint: str
    digests: dict[str, str]
    objects: int = Field(description="Packs and tables that were looked at.")
    paths: dict[str, str] = Field(description="Where its table and the loader's copies lie.")
