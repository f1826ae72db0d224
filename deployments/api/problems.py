"""Errors as documents that machines read (RFC 9457), from our own routes alone."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from astrid_training.errors import (
    CacheFullError,
    CollectionRefusedError,
    DatabaseUnavailableError,
    DatasetNotFoundError,
    DatasetRevokedError,
    MissingObjectError,
    ParityError,
    StoreCorruptError,
)
from astrid_training.store import StoreUnavailableError

__all__ = ["PROBLEMS", "Problem", "ProblemDocument", "ProblemRoute", "problem_response"]

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 10


class ProblemDocument(BaseModel):
    """What went wrong, and what to do about it."""

    type: str = Field("about:blank", description="Names the kind of problem.")
    title: str = Field(description="What the status means.", examples=["Not Found"])
    status: int = Field(description="The status of the answer.", examples=[404])
    detail: str = Field(description="Cause and cure.", examples=["no dataset 'nebulae'"])
    errors: list[dict[str, Any]] = Field(
        default=[], description="Of a request that was refused: where, and what is wrong there."
    )


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDocument, "description": told, "content": {MEDIA_TYPE: {}}}
    for status, told in {
        401: "No token, or none that is known.",
        403: "The token does not reach so far.",
        404: "There is no such thing.",
        409: "What is there stands in the way.",
        422: "The request makes no sense.",
        503: "A server that is needed does not answer; try again later.",
    }.items()
}
"""What each route may answer beside what it should, for the documentation."""

STATUS: dict[type[Exception], int] = {
    CollectionRefusedError: 422,
    DatasetNotFoundError: 404,
    DatasetRevokedError: 409,
    StoreCorruptError: 409,
    MissingObjectError: 409,
    ParityError: 409,
    CacheFullError: 507,
    DatabaseUnavailableError: 503,
    StoreUnavailableError: 503,
}


class Problem(Exception):  # noqa: N818 - the RFC's own word
    """An answer other than what was asked for."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        **headers: str,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors or []
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


ANSWERED: tuple[type[Exception], ...] = (
    Problem,
    HTTPException,
    RequestValidationError,
    ConnectionError,
    *STATUS,
)


class ProblemRoute(APIRoute):
    """A route whose errors are problem documents, in whatever application it is mounted."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with our errors turned into answers; others are the application's."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except ANSWERED as error:
                return problem_response(error)

        return answered


def problem_response(error: Exception) -> Response:
    """Return the document that tells of an error."""
    if isinstance(error, Problem):
        return _document(error.status, str(error), error.errors, error.headers)
    if isinstance(error, RequestValidationError):
        return _document(422, "the request was refused", [_told(one) for one in error.errors()])
    if isinstance(error, HTTPException):
        return _document(error.status_code, str(error.detail), headers=dict(error.headers or {}))
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 503)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return _document(status, str(error), headers=headers)


def _document(
    status: int,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    document = ProblemDocument(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or []
    )
    return JSONResponse(document.model_dump(), status, headers, MEDIA_TYPE)


def _told(error: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's own record
    """Return place and fault, without what was given: it may hold anything."""
    return {"loc": [str(part) for part in error["loc"]], "msg": error["msg"]}
