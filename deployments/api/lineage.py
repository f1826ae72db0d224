"""Where a dataset comes from and what was made of it, as far as database and store know."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from astrid_training.errors import DatasetNotFoundError
from astrid_training.provenance import Ends, find_meant, trace
from deployments.api.auth import Authorize, needs
from deployments.api.datasets import NO_NUL, READ
from deployments.api.models import DATASET, DIGESTS, MOMENT, RUN, SOME_DIGEST, SPLITS, example
from deployments.api.problems import documented
from deployments.api.runs import as_json
from deployments.api.service import Service
from deployments.lineage_command import link_flow_runs

__all__ = ["DatasetLineage", "add_lineage"]

Wanted = Annotated[
    str,
    Path(
        max_length=255,
        pattern=NO_NUL,
        description="Id, version, name or a digest of a dataset, or 12 or more hex digits of one; or what "
        "names a model that was trained: its MLflow run or logged model, or AstrID's id.",
        examples=["1493120b7bfcfba9"],
    ),
]


class DatasetLineage(BaseModel):
    """A dataset, up to what it was made from and down to the models that were trained on it."""

    model_config = example(
        meant={
            "dataset_id": str(DATASET),
            "by": "version",
            "training_id": None,
            "mlflow_run_id": None,
            "others": [],
        },
        dataset={
            "id": str(DATASET),
            "name": "nightly",
            "version_id": "1493120b7bfcfba9",
            "status": "active",
            "created_at": MOMENT,
            "created_by": "astrid-web",
            "as_of": MOMENT,
            "total_samples": 1000,
            "splits": SPLITS,
            "quality_score": 0.87,
            "spec_fingerprint": SOME_DIGEST,
            "digests": DIGESTS,
        },
        parameters={"name": "nightly", "max_samples": 1000},
        labels={"digest": SOME_DIGEST, "events": 1312, "reviewers": 7, "first": MOMENT},
        sources={"digest": SOME_DIGEST, "objects": 96},
        packs={"images": {"objects": 4, "bytes": 61_000_000, "keys": []}},
        flow_run={"id": str(RUN), "url": f"https://prefect.example/runs/flow-run/{RUN}"},
        code_version="0.1.0+g8271f26",
        mlflow={"run_id": "5f2c8a0b6a1d4e0f8b7c6d5e4f3a2b1c"},
        parent=None,
        derived_from=None,
        children=[],
        trainings=[
            {
                "training_run_id": str(RUN),
                "status": "completed",
                "metrics": {"test_f1": 0.94},
                "mlflow": {"run_id": "77aa01b2c3d4", "model_id": "m-6b1c0d2e9f3a"},
                "registered": ["unet-nightly/3"],
                "astrid_model_id": None,
            }
        ],
        unknown=["MLflow was not asked"],
    )

    meant: dict[str, Any] = Field(description="Which dataset is meant, and what of it was named.")
    dataset: dict[str, Any]
    parameters: dict[str, Any] = Field(description="Of the collection.")
    labels: dict[str, Any] = Field(description="Reviews behind the labels: how many, by how many.")
    sources: dict[str, Any] = Field(description="Files that the pixels were cut from.")
    packs: dict[str, Any] = Field(description="Objects of the store, by folder.")
    flow_run: dict[str, Any]
    code_version: str | None
    mlflow: dict[str, Any]
    parent: dict[str, Any] | None = Field(description="The version that it superseded.")
    derived_from: dict[str, Any] | None = Field(description="What its samples were chosen from.")
    children: list[dict[str, Any]]
    trainings: list[dict[str, Any]] = Field(description="Models that were trained on it.")
    unknown: list[str] = Field(description="Sentences: what was not asked, or did not answer.")


def add_lineage(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoint that tells where a dataset comes from."""

    @router.get(
        "/datasets/{wanted}/lineage",
        response_model=DatasetLineage,
        summary="Where a dataset comes from, and what was trained on it",
        dependencies=[needs("read", authorize)],
        responses=documented(*READ),
    )
    def get_dataset_lineage(wanted: Wanted) -> JSONResponse:
        """Return parameters, label events, source objects, packs, runs, code, kin and models.

        MLflow is not asked here, nor the stores of the source objects for their sizes;
        `astrid-training lineage` does.
        """
        meant = find_meant(service.engine, wanted)
        if meant is None:
            raise DatasetNotFoundError(f"neither a dataset nor a training of ours is {wanted!r}")
        found = trace(service.engine, service.store, None, meant, Ends())
        found.unknown.append("MLflow was not asked: `astrid-training lineage` asks it")
        link_flow_runs(found, service.settings)
        return JSONResponse(as_json(DatasetLineage.model_validate(found.to_dict())))
