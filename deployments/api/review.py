"""What people should review next."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from astrid_training.errors import CollectionRefusedError
from astrid_training.review_queue import (
    QueueNotFoundError,
    ReviewQueue,
    ReviewQueueParams,
    as_csv,
    make_review_queue,
    read_review_queue,
)
from deployments.api.auth import Authorize, Caller, needs
from deployments.api.problems import ProblemError, documented
from deployments.api.service import Service

__all__ = ["add_review"]

QUEUES = "/review-queues"
CSV_EXAMPLE = "position,detection_id,observation_id,survey,band,observation_time,ra_deg,dec_deg\n"
EXAMPLE: Any = {"value": {"survey_ids": ["ztf"], "count": 200, "audit_share": 0.08}}


class ReviewItem(BaseModel):
    """A detection that somebody should look at; what follows `dec_deg` is told with `reasons` only."""

    position: int
    detection_id: UUID
    observation_id: UUID
    survey: str
    band: str
    observation_time: datetime
    ra_deg: float
    dec_deg: float
    selected_for: Literal["queue", "random_audit"] | None = None
    score: float | None = None
    uncertainty: float | None = None
    disagreement: float | None = None
    rarity: float | None = None
    p_real: float | None = None
    model_score: float | None = None
    n_votes: int | None = None
    class_: str | None = Field(None, alias="class")
    reviewed: bool | None = None


class ReviewQueueRecord(BaseModel):
    """A review queue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "queue_id": "3f0c9a52-6f0e-4f6e-9a53-0d5f2c1b7a11",
                    "as_of": "2026-03-02T20:00:00+00:00",
                    "params": ReviewQueueParams(survey_ids=["ztf"], count=1).model_dump(
                        mode="json"
                    ),
                    "created_by": "astrid-web",
                    "items": [
                        {
                            "position": 1,
                            "detection_id": "6ba7b810-9dad-51d1-80b4-00c04fd430c8",
                            "observation_id": "6ba7b811-9dad-51d1-80b4-00c04fd430c8",
                            "survey": "ztf",
                            "band": "r",
                            "observation_time": "2026-02-27T03:12:45+00:00",
                            "ra_deg": 210.8024,
                            "dec_deg": 54.3488,
                        }
                    ],
                }
            ]
        }
    )

    queue_id: UUID
    as_of: datetime
    params: ReviewQueueParams
    created_by: str
    items: list[ReviewItem]


class Shown(BaseModel):
    """How a queue is shown."""

    model_config = ConfigDict(extra="forbid")

    reasons: bool = Field(
        default=False, description="Also scores and why each item is in: never to who reviews."
    )
    format: Literal["json", "csv"] = Field("json", description="csv: a table with a header.")


def add_review(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoints of review queues."""

    @router.post(
        QUEUES,
        status_code=201,
        response_model=ReviewQueueRecord,
        response_model_exclude_none=True,
        summary="Choose what to review next",
        responses=documented(
            *("malformed", "token-needed", "scope-missing", "too-large", "invalid"),
            *("broken", "unavailable"),
        ),
    )
    def make_queue(
        request: Request,
        params: Annotated[ReviewQueueParams, Body(openapi_examples={"ztf": EXAMPLE})],
        caller: Annotated[Caller, needs("collect", authorize)],
    ) -> JSONResponse:
        """Choose detections that the labels would gain most from, and a share by chance, and keep them.

        The answer holds what a reviewer may know. A queue shows nothing that another one has shown
        in the last `repeat_after_days`.
        """
        try:
            queue = make_review_queue(service.engine, params, datetime.now(UTC), caller.name)
        except CollectionRefusedError as refusal:
            raise ProblemError("invalid", str(refusal)) from refusal
        place = f"{request.url.path}/{queue.id}"
        return JSONResponse(queue.to_dict(reasons=False), 201, {"Location": place})

    @router.get(
        QUEUES + "/{queue_id}",
        response_model=ReviewQueueRecord,
        response_model_exclude_none=True,
        summary="A review queue",
        responses={
            200: {"content": {"text/csv": {"example": CSV_EXAMPLE}}},
            **documented(
                *("token-needed", "scope-missing", "not-found", "invalid"),
                *("broken", "unavailable"),
            ),
        },
    )
    def get_queue(
        queue_id: UUID,
        shown: Annotated[Shown, Query()],
        caller: Annotated[Caller, needs("read", authorize)],
    ) -> Response:
        """Return a queue as JSON or CSV; with `reasons` only to a token of scope `collect`."""
        if shown.reasons and "collect" not in caller.scopes:
            raise ProblemError(
                "scope-missing", "reasons are for tokens of scope collect: who reviews sees none"
            )
        queue = _queue(service, str(queue_id))
        if shown.format == "csv":
            return Response(as_csv(queue, reasons=shown.reasons), media_type="text/csv")
        return JSONResponse(queue.to_dict(reasons=shown.reasons))


def _queue(service: Service, queue_id: str) -> ReviewQueue:
    try:
        return read_review_queue(service.engine, queue_id)
    except QueueNotFoundError as error:
        raise ProblemError("not-found", str(error)) from error
