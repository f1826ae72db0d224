"""Two datasets compared over REST."""

from threading import Lock
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from astrid_training.errors import MissingObjectError
from deployments.api.auth import Authorize, needs
from deployments.api.datasets import NO_NUL, READ, DatasetId, find_dataset
from deployments.api.problems import ProblemError, documented
from deployments.api.runs import as_json
from deployments.api.service import Service
from deployments.compare_command import named

__all__ = ["ComparisonRecord", "add_compare"]

MOST_KEYS = 1000
Other = Annotated[
    str,
    Path(
        max_length=255,
        pattern=NO_NUL,
        description="Id, version or name of the newer dataset.",
        examples=["nightly"],
    ),
]
SOME_KEY = "6b1c0d2e9f3a4d5b8c7e6f5041322314"


class Side(BaseModel):
    """One of the two."""

    dataset_id: UUID
    name: str
    version_id: str
    status: Literal["active", "superseded", "revoked"]


class Counts(BaseModel):
    """How many samples each has, and both."""

    before: int
    after: int
    shared: int


class Finding(BaseModel):
    """Something to look at before the newer set is used for the older one."""

    kind: str = Field(
        description="relabelled, drift, survey_missing, survey_new, band_missing, band_new or twice."
    )
    text: str


class ChangedSamples(BaseModel):
    """Samples of which the same became."""

    count: int
    ways: dict[str, int] = Field(description="From what to what, or of what label or survey.")
    keys: list[str] = Field(description="The first ones, sorted.")


class OneSided(BaseModel):
    """A survey or band that only one of the two has."""

    survey: str
    band: str | None = Field(description="Null: the whole survey.")
    side: Literal["before", "after"]
    samples: int


class Twice(BaseModel):
    """What the newer one shows more than once and the older one did not."""

    what: Literal["pixels", "place"]
    count: int
    groups: int
    exposures: int
    keys: list[str]


class DriftTest(BaseModel):
    """One column of one survey and band."""

    survey: str | None = Field(description="Null: of all that both sets have.")
    band: str | None
    column: str
    of: str = Field(description="What before and after tell: median, share missing, share of …")
    before: float
    after: float
    n_before: int
    n_after: int
    bins: int
    independent: float = Field(description="Samples that the comparison is worth.")
    psi: float
    chance: float = Field(description="The PSI that chance alone passes once in twenty.")
    p_value: float
    q_value: float
    significant: bool
    material: bool


class UntestedColumn(BaseModel):
    """A column that too few independent samples show."""

    survey: str | None
    band: str | None
    column: str
    reason: str


def _example() -> dict[str, Any]:
    none: dict[str, Any] = {"count": 0, "ways": {}, "keys": []}
    added = {"count": 40, "ways": {"bogus artifact": 28, "real supernova": 12}, "keys": [SOME_KEY]}
    names = ("removed", "relabelled", "moved", "pixels_changed", "mask_changed")
    side = {"name": "nightly", "version_id": "1493120b7bfcfba9", "status": "superseded"}
    newer = {"name": "nightly", "version_id": "77aa01b2c3d4e5f6", "status": "active"}
    drift = {
        "survey": "ztf",
        "band": "g",
        "column": "fwhm_px",
        "of": "median",
        "before": 2.41,
        "after": 3.02,
        "n_before": 480,
        "n_after": 500,
        "bins": 10,
        "independent": 121.5,
        "psi": 2.74,
        "chance": 0.42,
        "p_value": 1.2e-9,
        "q_value": 6.8e-8,
        "significant": True,
        "material": True,
    }
    told = "ztf g: fwhm_px drifted, median 2.41 -> 3.02, PSI 2.74 (chance alone: 0.42)"
    return {
        "before": {"dataset_id": "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10", **side},
        "after": {"dataset_id": "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b11", **newer},
        "samples": {"before": 960, "after": 1000, "shared": 960},
        "findings": [{"kind": "drift", "text": told}],
        "changes": {"added": added, **dict.fromkeys(names, none)},
        "one_sided": [],
        "twice": [],
        "drift": [drift],
        "untested": [],
    }


class ComparisonRecord(BaseModel):
    """What differs between two datasets; `docs/explanation/drift.md` says how drift is judged."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_example()]})

    before: Side
    after: Side
    samples: Counts
    findings: list[Finding]
    changes: dict[str, ChangedSamples] = Field(
        description="added, removed, relabelled, moved, pixels_changed, mask_changed."
    )
    one_sided: list[OneSided]
    twice: list[Twice]
    drift: list[DriftTest] = Field(description="Every test, by survey, band and column.")
    untested: list[UntestedColumn]


def add_compare(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoint that compares datasets."""
    alone = Lock()  # two tables of a million samples take gigabytes

    @router.get(
        "/datasets/{dataset_id}/compare/{other}",
        response_model=ComparisonRecord,
        summary="What differs between two datasets",
        dependencies=[needs("read", authorize)],
        responses=documented(*READ, "dataset-unreadable"),
    )
    def compare_datasets(
        dataset_id: DatasetId,
        other: Other,
        keys: Annotated[int, Query(ge=0, le=MOST_KEYS, description="Most keys of each list.")] = 20,
    ) -> JSONResponse:
        """Return which samples came, went and changed from the first to the other, and what drifted.

        All keys, however many, are written by `astrid-training compare --keys FILE`. Comparisons of
        one process are made one after the other.
        """
        from astrid_training.compare import compare_datasets as compare  # brings scipy

        before, after = find_dataset(service, dataset_id), find_dataset(service, other)
        try:
            with alone:
                found = compare(service.store, before, after)
        except MissingObjectError as error:
            raise ProblemError("not-found", str(error)) from None
        document = {"before": named(before), "after": named(after), **found.to_dict(keys)}
        return JSONResponse(as_json(ComparisonRecord.model_validate(document)))
