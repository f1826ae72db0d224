"""The routes of the API: the ticket's five, the state of a run, the report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from threading import Lock
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.errors import MissingObjectError
from astrid_training.presence import check_objects, objects_of
from astrid_training.records import TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.settings import Settings
from astrid_training.store import Store, open_store
from deployments.api.access import Authorize, bearer_tokens
from deployments.api.models import (
    CollectRequest,
    Dataset,
    DatasetDetails,
    DatasetList,
    Event,
    Loaded,
    Run,
)
from deployments.api.problems import PROBLEMS, Problem, ProblemRoute
from deployments.api.runs import find_run, start_collection

__all__ = ["create_router"]

DatasetId = Annotated[
    str,
    Path(max_length=255, description="Id, version or name (then the active version)."),
]
NO_NUL = r"^[^\x00]*$"  # no text of the database holds one
REPORT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "X-Content-Type-Options": "nosniff",
}


class Filters(BaseModel):
    """Which datasets are listed, and which page of them."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "superseded", "revoked"] | None = None
    name: str | None = Field(None, max_length=255, pattern=NO_NUL, description="Exactly this name.")
    created_by: str | None = Field(
        None, max_length=255, pattern=NO_NUL, description="Who collected."
    )
    survey: str | None = Field(
        None, max_length=100, pattern=NO_NUL, description="It has samples of this survey."
    )
    least_quality: float | None = Field(None, ge=0, le=1)
    created_from: datetime | None = Field(None, description="Naive times are UTC.")
    created_to: datetime | None = Field(None, description="Exclusive; naive times are UTC.")
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=1_000_000)


def create_router(settings: Settings, authorize: Authorize | None = None) -> APIRouter:
    """Return the routes under `/training`, for any FastAPI application.

    Args:
        settings: where database, store and Prefect server are.
        authorize: who may ask; None: those who have a token of ours.
    """
    service = _Service(settings)
    allow = authorize or bearer_tokens(service.engine)
    router = APIRouter(
        prefix="/training", tags=["training data"], route_class=ProblemRoute, responses=PROBLEMS
    )
    _add_collecting(router, service, allow)
    _add_reading(router, service, allow)
    _add_loading(router, service, allow)
    return router


class _Service:
    """What the routes answer from."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = open_database(settings.database_url)
        self.manager = TrainingDatasetManager(self.engine)
        self._loading = Lock()

    @property
    def store(self) -> Store:
        return open_store(self.settings)

    def dataset(self, wanted: str) -> TrainingDataset:
        return self.manager.get_dataset(wanted, allow_revoked=True)

    @contextmanager
    def one_load(self) -> Iterator[None]:
        """Let one load work at a time: the next one finds what this one has fetched."""
        with self._loading:
            yield


def _add_collecting(router: APIRouter, service: _Service, allow: Authorize) -> None:
    @router.post("/datasets/collect", status_code=202, summary="Start a collection")
    def collect_training_data(
        params: CollectRequest,
        request: Request,
        response: Response,
        idempotency_key: Annotated[
            str | None,
            Header(
                max_length=255,
                description="Names this request: told again, it is answered with the same run.",
            ),
        ] = None,
    ) -> Run:
        """Start a collection and answer at once, with where its state is told.

        With an `Idempotency-Key` the request may be repeated: the answer is the same run. The key with
        another body is refused.
        """
        caller = allow(request, "collect")
        run = start_collection(service.settings, params, caller.name, idempotency_key)
        response.headers["Location"] = str(request.url_for("get_run", run_id=str(run.id)).path)
        return run

    @router.get("/runs/{run_id}", summary="How far a collection or training is")
    def get_run(run_id: UUID, request: Request) -> Run:
        """Tell the state of a run, and of a collection that has completed its dataset."""
        allow(request, "read")
        return find_run(service.settings, service.store, run_id)


def _add_reading(router: APIRouter, service: _Service, allow: Authorize) -> None:
    @router.get("/datasets", summary="List datasets")
    def list_training_datasets(
        request: Request,
        response: Response,
        filters: Annotated[Filters, Query()],
    ) -> DatasetList:
        """List datasets, newest first; `Link` leads to the next page."""
        allow(request, "read")
        given = filters.model_dump(exclude={"limit", "offset"}, exclude_none=True)
        page = service.manager.page(given, limit=filters.limit, offset=filters.offset)
        after = filters.offset + filters.limit
        if after < page.total:
            following = request.url.include_query_params(offset=after, limit=filters.limit)
            response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return DatasetList(
            datasets=[Dataset(**_plain(one)) for one in page.datasets],
            total=page.total,
            limit=filters.limit,
            offset=filters.offset,
        )

    @router.get("/datasets/{dataset_id}", summary="One dataset")
    def get_training_dataset(dataset_id: DatasetId, request: Request) -> DatasetDetails:
        """Tell all that is known of a dataset, also of one that was revoked."""
        allow(request, "read")
        found = service.dataset(dataset_id)
        events = [Event(**asdict(one)) for one in service.manager.events(str(found.id))]
        funnel = [asdict(row) for row in found.funnel]
        more = {name: getattr(found, name) for name in ("collection_params", "preprocess_spec")}
        return DatasetDetails(
            **_plain(found), **more, funnel=funnel, metrics=found.metrics, events=events
        )

    @router.get("/datasets/{dataset_id}/quality", summary="Its quality report")
    def get_dataset_quality(dataset_id: DatasetId, request: Request) -> dict[str, Any]:
        """Tell scores, gates, issues, what became of reviews, and the proof that nothing leaks."""
        allow(request, "read")
        return service.dataset(dataset_id).quality_report

    @router.get(
        "/datasets/{dataset_id}/report",
        summary="Its report for people",
        response_class=HTMLResponse,
    )
    def get_dataset_report(dataset_id: DatasetId, request: Request) -> HTMLResponse:
        """Return the HTML report, one page without scripts."""
        allow(request, "read")
        key = f"reports/{service.dataset(dataset_id).id}.html"
        try:
            page = service.store.get(key)
        except MissingObjectError as error:
            raise Problem(404, f"the dataset has no report yet: {error}") from error
        return HTMLResponse(page, headers=REPORT_HEADERS)


def _add_loading(router: APIRouter, service: _Service, allow: Authorize) -> None:
    @router.post("/datasets/{dataset_id}/load", summary="Verify a dataset and bring it here")
    def load_training_dataset(dataset_id: DatasetId, request: Request) -> Loaded:
        """Look at every pack by size and hash, and make the loader's copy on this machine.

        No training is started. A dataset that was revoked, or that lacks something, is refused.
        """
        allow(request, "read")
        found, store, home = (
            service.manager.get_dataset(dataset_id),
            service.store,
            service.settings.home,
        )
        with service.one_load():
            from astrid_training.dataset import splits_from  # brings torch, which only this needs

            objects = objects_of(read_samples(store, found.samples_key))
            check_objects(service.engine, store, objects)
            limit = service.settings.loader_cache_bytes
            splits = splits_from(found, store, home / "cache", limit_bytes=limit)
        return Loaded(
            dataset_id=found.id,
            version_id=found.version_id,
            splits={name: len(split) for name, split in splits._asdict().items()},
            spec_fingerprint=found.spec_fingerprint,
            digests=found.digests,
            objects=len(objects),
            paths={
                "samples": f"{store.url}/{found.samples_key}",
                "copies": str(home / "cache" / "loader"),
            },
        )


def _plain(found: TrainingDataset) -> dict[str, Any]:
    """Return the fields that a list shows as well."""
    shown = set(Dataset.model_fields) - {"surveys"}
    surveys = found.quality_report.get("survey_coverage", {})
    return {name: getattr(found, name) for name in shown} | {"surveys": surveys}
