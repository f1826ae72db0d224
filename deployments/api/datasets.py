"""Published datasets: listed, told of, judged, and their reports."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from astrid_training.cards.stored import CARD, CROISSANT, card_key
from astrid_training.errors import MissingObjectError
from astrid_training.records import TrainingDataset, report_key
from astrid_training.trainings import training_runs
from deployments.api.auth import Authorize, needs
from deployments.api.models import DatasetEntry, DatasetList, DatasetRecord, QualityReport
from deployments.api.problems import ProblemError, documented
from deployments.api.runs import as_json
from deployments.api.service import Service
from deployments.looks import summary

__all__ = ["DatasetId", "add_datasets", "find_dataset"]

NO_NUL = r"^[^\x00]*$"  # PostgreSQL has no such text
READ = ("token-needed", "scope-missing", "not-found", "invalid", "broken", "unavailable")
DatasetId = Annotated[
    str,
    Path(
        max_length=255,
        pattern=NO_NUL,
        description="Id or version of a dataset, or a name, which means its active version.",
        examples=["0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10", "1493120b7bfcfba9", "nightly"],
    ),
]
Text = Annotated[str | None, Field(max_length=255, pattern=NO_NUL)]
Known = Annotated[
    str | None, Header(description="ETag of the record that is known; 304 if it is still the same.")
]
REPORT_HEADERS = {
    # a report shows pictures of its own and styles, and needs nothing else
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}


class ListQuery(BaseModel):
    """Which datasets a list shows."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "superseded", "revoked"] | None = None
    creator: Text = Field(None, description="Who made it: a token's or a user's name.")
    name: Text = Field(None, description="Exactly this name.")
    survey: Text = Field(None, description="With samples of this survey.")
    least_quality: float | None = Field(
        None, ge=0, le=1, description="Least quality score, 0 to 1."
    )
    created_from: datetime | None = Field(None, description="Made then or later; naive is UTC.")
    created_to: datetime | None = Field(None, description="Made before; naive is UTC.")
    limit: int = Field(50, ge=1, le=200, description="Most datasets on a page.")
    cursor: str | None = Field(
        None, max_length=200, description="As the Link of the page before has it."
    )

    def filters(self) -> dict[str, Any]:
        """Return what `TrainingDatasetManager.page` filters by."""
        names = ("status", "name", "survey", "least_quality", "created_from", "created_to")
        return {"created_by": self.creator, **{name: getattr(self, name) for name in names}}


def add_datasets(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoints that tell of datasets."""
    _add_list(router, service, authorize)
    _add_record(router, service, authorize)
    _add_quality(router, service, authorize)
    _add_report(router, service, authorize)
    _add_card(router, service, authorize)
    _add_croissant(router, service, authorize)


def _add_list(router: APIRouter, service: Service, authorize: Authorize) -> None:
    @router.get(
        "/datasets",
        response_model=DatasetList,
        summary="List datasets",
        dependencies=[needs("read", authorize)],
        responses=documented("token-needed", "scope-missing", "invalid", "broken", "unavailable"),
    )
    def list_training_datasets(
        request: Request,
        wanted: Annotated[ListQuery, Query()],
    ) -> JSONResponse:
        """Return one page of the datasets that match, newest first.

        `Link` with rel="next" leads to the next page; datasets that are published meanwhile shift
        nothing.
        """
        after = _place(wanted.cursor)
        # one more than is shown tells whether there is a next page
        page = service.manager.page(wanted.filters(), limit=wanted.limit + 1, after=after)
        shown = page.datasets[: wanted.limit]
        link = _next(request, shown[-1]) if len(page.datasets) > wanted.limit else None
        entries = [DatasetEntry.model_validate(summary(one)) for one in shown]
        headers = {} if link is None else {"Link": f'<{link}>; rel="next"'}
        listed = DatasetList(datasets=entries, total=page.total, next=link)
        return JSONResponse(as_json(listed), headers=headers)


def _add_record(router: APIRouter, service: Service, authorize: Authorize) -> None:
    @router.get(
        "/datasets/{dataset_id}",
        response_model=DatasetRecord,
        summary="All that is stored about a dataset",
        dependencies=[needs("read", authorize)],
        responses={304: {"description": "It is as If-None-Match says"}, **documented(*READ)},
    )
    def get_training_dataset(
        dataset_id: DatasetId,
        if_none_match: Known = None,
    ) -> Response:
        """Return the record of a dataset, withdrawn ones too.

        What a dataset holds never changes; its status, events, metrics and trainings do, and with
        them its ETag.
        """
        record = _record(service, find_dataset(service, dataset_id))
        body = record.model_dump_json().encode()
        tag = f'"{sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if tag in _tags(if_none_match):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")


def _add_quality(router: APIRouter, service: Service, authorize: Authorize) -> None:
    @router.get(
        "/datasets/{dataset_id}/quality",
        response_model=QualityReport,
        summary="The quality report of a dataset",
        dependencies=[needs("read", authorize)],
        responses=documented(*READ),
    )
    def get_dataset_quality(dataset_id: DatasetId) -> JSONResponse:
        """Return the report that the dataset was judged by, and what was learnt of it since."""
        found = find_dataset(service, dataset_id)
        return JSONResponse({**found.quality_report, "metrics": found.metrics})


def _add_report(router: APIRouter, service: Service, authorize: Authorize) -> None:
    @router.get(
        "/datasets/{dataset_id}/report",
        response_class=HTMLResponse,
        summary="The report of a dataset, for people",
        dependencies=[needs("read", authorize)],
        responses={
            200: {"content": {"text/html": {"example": "<!DOCTYPE html><title>nightly</title>"}}},
            **documented(*READ),
        },
    )
    def get_dataset_report(dataset_id: DatasetId) -> HTMLResponse:
        """Return one HTML page that needs nothing else: plots, stamps, the funnel."""
        found = find_dataset(service, dataset_id)
        try:
            page = service.store.get(report_key(found.id))
        except MissingObjectError:
            raise ProblemError(
                "not-found",
                f"no report of {found.name} is in the store; `astrid-training report` writes one",
            ) from None
        return HTMLResponse(page, headers=REPORT_HEADERS)


def _add_card(router: APIRouter, service: Service, authorize: Authorize) -> None:
    @router.get(
        "/datasets/{dataset_id}/card",
        response_class=Response,
        summary="The card of a dataset",
        dependencies=[needs("read", authorize)],
        responses={
            200: {"content": {"text/markdown": {"example": "# nightly, version 1493120b7bfcfba9"}}},
            **documented(*READ),
        },
    )
    def get_dataset_card(dataset_id: DatasetId) -> Response:
        """Return Markdown: what the dataset is, how it came about, its limits, whose data they are."""
        return _document(service, dataset_id, CARD, "text/markdown; charset=utf-8")


def _add_croissant(router: APIRouter, service: Service, authorize: Authorize) -> None:
    @router.get(
        "/datasets/{dataset_id}/croissant",
        response_class=Response,
        summary="A dataset in the words of Croissant 1.1",
        dependencies=[needs("read", authorize)],
        responses={
            200: {"content": {"application/ld+json": {"example": {"@type": "sc:Dataset"}}}},
            **documented(*READ),
        },
    )
    def get_dataset_croissant(dataset_id: DatasetId) -> Response:
        """Return JSON-LD; its addresses of files are relative to where it lies in the store."""
        return _document(service, dataset_id, CROISSANT, "application/ld+json")


def _document(service: Service, dataset_id: str, name: str, kind: str) -> Response:
    found = find_dataset(service, dataset_id)
    try:
        data = service.store.get(card_key(found.id, name))
    except MissingObjectError:
        raise ProblemError(
            "not-found",
            f"no {name} of {found.name} is in the store; `astrid-training card {found.id} --to-store` "
            "writes one",
        ) from None
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}
    return Response(data, headers=headers, media_type=kind)


def find_dataset(service: Service, dataset_id: str) -> TrainingDataset:
    """Return a dataset, withdrawn or not.

    Raises:
        DatasetNotFoundError: if there is none.
    """
    return service.manager.get_dataset(dataset_id, allow_revoked=True)


def _record(service: Service, found: TrainingDataset) -> DatasetRecord:
    known = {**asdict(found), "dataset_id": found.id}
    del known["id"], known["quality_report"]
    runs = [asdict(one) for one in training_runs(service.engine, str(found.id))]
    known["events"] = [asdict(one) for one in service.manager.events(str(found.id))]
    known["trainings"] = json.loads(json.dumps(runs, default=str))
    return DatasetRecord.model_validate(known)


def _tags(header: str | None) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in (header or "").split(",")}


def _next(request: Request, last: TrainingDataset) -> str:
    """Return the address of the page after `last`, on whatever host and under whatever prefix."""
    place = json.dumps([last.created_at.astimezone(UTC).isoformat(), str(last.id)])
    cursor = urlsafe_b64encode(place.encode()).decode().rstrip("=")
    asked = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
    return f"{request.url.path}?{urlencode([*asked, ('cursor', cursor)])}"


def _place(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return created_at and id of the dataset that a page follows.

    Raises:
        ProblemError: if nobody made this cursor.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, dataset_id = json.loads(urlsafe_b64decode(padded))
        return datetime.fromisoformat(at).astimezone(UTC), UUID(dataset_id)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        wrong = "is none that a page had; begin with the first page"
        raise ProblemError(
            "invalid",
            "1 value is refused",
            errors=[{"in": "query", "field": "cursor", "message": wrong}],
        ) from None
