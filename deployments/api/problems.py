"""Every refusal and failure as application/problem+json (RFC 9457), without a word of our insides."""

import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import uuid4

import httpx
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from astrid_training.errors import (
    CacheFullError,
    DatabaseUnavailableError,
    DatasetDamagedError,
    DatasetNotFoundError,
    DatasetRevokedError,
    ParityError,
    ProcessorError,
    StoreCorruptError,
)
from astrid_training.settings import SettingsError
from astrid_training.store import StoreUnavailableError
from deployments.api.limits import MOST_BODY_BYTES, Gate, Limits

__all__ = [
    "KINDS",
    "MEDIA_TYPE",
    "ProblemError",
    "ProblemRoute",
    "answer_problem",
    "check_wait",
    "documented",
    "gated",
    "told",
]

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
AGAIN_S = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: what is the same each time that it comes."""

    status: int
    title: str
    example: str
    """What the detail may say."""


KINDS = MappingProxyType(
    {
        "malformed": Kind(400, "The request cannot be read", "the body is not JSON"),
        "token-needed": Kind(401, "A valid token is needed", "send Authorization: Bearer <token>"),
        "scope-missing": Kind(
            403, "The token is not good for this", "token nightly has no scope collect"
        ),
        "not-found": Kind(404, "There is nothing here", "no dataset 'nightly-2'"),
        "method-not-allowed": Kind(405, "The method is not for this path", "use POST"),
        "key-reused": Kind(
            409,
            "The Idempotency-Key was used for another request",
            "the key stands for run 0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10 with other parameters; "
            "use a new key",
        ),
        "dataset-damaged": Kind(
            409, "Objects of the dataset are missing or damaged", "1 of 9 objects; collect again"
        ),
        "dataset-unreadable": Kind(
            409,
            "This version of the package cannot load the dataset",
            "preprocessing differs: expected spec 6b1c0d2e9f3a, got 77aa01b2c3d4",
        ),
        "dataset-revoked": Kind(
            410, "The dataset was withdrawn", "it was revoked; allow_revoked=true loads it anyway"
        ),
        "too-large": Kind(413, "The body is too large", f"send at most {MOST_BODY_BYTES} bytes"),
        "invalid": Kind(422, "Values are refused", "1 value is refused"),
        "too-many": Kind(429, "Too many requests", "ask again in 3 s"),
        "broken": Kind(500, "The API failed", "tell the operator the request_id"),
        "unavailable": Kind(
            503, "Something that is needed does not answer", "the Prefect server does not answer"
        ),
        "still-loading": Kind(
            503, "The dataset is still being loaded", "ask again: the same load goes on"
        ),
        "no-room": Kind(
            507, "No room for a copy on this machine", "raise ASTRID_LOADER_CACHE_GB or free some"
        ),
    }
)
"""Code -> kind; the type is `urn:astrid-training:problem:<code>`."""

_BY_STATUS = MappingProxyType(
    {kind.status: code for code, kind in [*KINDS.items()][::-1] if kind.status != 409}
)


class ProblemError(HTTPException):
    """A request is answered with a problem.

    Attributes:
        code: its kind, of `KINDS`.
        more: further members of the document.
    """

    def __init__(
        self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(KINDS[code].status, detail, headers=dict(headers or {}))
        self.code = code
        self.more = more


class ProblemRoute(APIRoute):
    """A route that answers its own failures, so that the application around it never sees them.

    It also counts who asks, bounds the body, names the request and writes a line to the log.
    """

    gate: ClassVar[Gate] = Gate(Limits())
    """Of all routes of one API; see `gated`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            started = time.perf_counter()
            try:
                request.state.astrid_gate = self.gate
                check_wait(self.gate.wait_of_address(request))
                response = await inner(_bounded(request, self.gate.limits.body_bytes))
            except Exception as error:  # noqa: BLE001 - the host's own handlers are not ours to use
                response = answer_problem(request, error)
            return told(request, response, started)

        return handle

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path is this route's."""
        if self.methods and scope["method"] not in self.methods:
            allowed = ", ".join(sorted(self.methods))
            error = ProblemError("method-not-allowed", f"use {allowed}", headers={"Allow": allowed})
            request = Request(scope)
            response = answer_problem(request, error)
            await told(request, response, time.perf_counter())(scope, receive, send)
            return
        await super().handle(scope, receive, send)


def gated(gate: Gate) -> type[ProblemRoute]:
    """Return the class of the routes that this gate lets requests into."""
    return type("GatedRoute", (ProblemRoute,), {"gate": gate})


def check_wait(wait_s: int) -> None:
    """Return if nobody has to wait.

    Raises:
        ProblemError: that says for how long.
    """
    if wait_s:
        again = {"Retry-After": str(wait_s)}
        raise ProblemError("too-many", f"ask again in {wait_s} s", headers=again)


def answer_problem(request: Request, error: Exception) -> Response:
    """Return the problem that an error is, with the request's id."""
    problem = _problem(error)
    if problem.status_code >= 500:
        _log.error("%s %r failed", request_id(request), request.url.path, exc_info=error)
    document = {
        "type": f"urn:astrid-training:problem:{problem.code}",
        "title": KINDS[problem.code].title,
        "status": problem.status_code,
        "detail": problem.detail,
        "request_id": request_id(request),
        **problem.more,
    }
    headers = {**(problem.headers or {}), "X-Request-ID": request_id(request)}
    return JSONResponse(document, problem.status_code, headers, MEDIA_TYPE)


def request_id(request: Request) -> str:
    """Return the name that the sender gave the request, or a new one, always the same."""
    known = getattr(request.state, "astrid_request_id", None)
    if known is None:
        given = request.headers.get("X-Request-ID", "")
        known = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        request.state.astrid_request_id = known
    return str(known)


def told(request: Request, response: Response, started: float) -> Response:
    """Return the response with what all have in its headers, after a line in the log without a body."""
    response.headers["X-Request-ID"] = request_id(request)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    _log.info(
        "%s %s %r %d %.0f ms %s",
        request_id(request),
        request.method,
        request.url.path,
        response.status_code,
        1000 * (time.perf_counter() - started),
        getattr(request.state, "astrid_caller", "-"),
    )
    return response


def _bounded(request: Request, most: int) -> Request:
    """Return the request with a body that raises when it passes the bound."""
    # what was not read yet shall not be read either
    close = {"Connection": "close"}
    too_large = ProblemError("too-large", f"send at most {most} bytes", headers=close)
    said = request.headers.get("Content-Length", "")
    if said.isdecimal() and int(said[:20]) > most:
        raise too_large
    got = 0

    async def receive() -> Message:
        nonlocal got
        message = await request.receive()
        got += len(message.get("body", b""))
        if got > most:
            raise too_large
        return message

    return Request(request.scope, receive)


def _problem(error: Exception) -> ProblemError:
    """Return what is told of an error: our own words where they are of the request, else plain ones."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return _of_status(error)
    return _of_dataset(error) or _of_machine(error)


def _of_status(error: HTTPException) -> ProblemError:
    """Return a refusal of the framework's, or of the host's own authorisation."""
    status = error.status_code
    code = _BY_STATUS.get(status, "malformed" if status < 500 else "broken")
    detail = error.detail if isinstance(error.detail, str) else KINDS[code].title
    problem = ProblemError(code, detail, headers=error.headers)
    problem.status_code = status
    return problem


def _invalid(errors: Sequence[Mapping[str, Any]]) -> ProblemError:
    if any(one["type"] == "json_invalid" for one in errors):
        return ProblemError("malformed", "the body is not JSON")
    entries = []
    for one in errors:
        place, *field = one["loc"]
        message = str(one["msg"]).removeprefix("Value error, ")
        name = ".".join(str(part) for part in field)
        entries.append({"in": str(place), "field": name, "message": message[:500]})
    words = "1 value is" if len(entries) == 1 else f"{len(entries)} values are"
    return ProblemError("invalid", f"{words} refused", errors=entries)


def _of_dataset(error: Exception) -> ProblemError | None:
    if isinstance(error, DatasetNotFoundError):
        return ProblemError("not-found", str(error))
    if isinstance(error, DatasetRevokedError):
        return ProblemError("dataset-revoked", str(error))
    if isinstance(error, DatasetDamagedError):
        wrong = [{"key": key, "problem": problem} for key, problem in error.objects.items()]
        return ProblemError("dataset-damaged", str(error)[:2000], objects=wrong[:100])
    if isinstance(error, ParityError | ProcessorError | StoreCorruptError):
        return ProblemError("dataset-unreadable", str(error))
    if isinstance(error, CacheFullError):
        return ProblemError("no-room", "raise ASTRID_LOADER_CACHE_GB there, or free some disk")
    return None


def _of_machine(error: Exception) -> ProblemError:
    """Return what is told of a failure around us: what does not answer, and nothing more."""
    for kinds, what in AWAY:
        if isinstance(error, kinds):
            again = {"Retry-After": str(AGAIN_S)}
            return ProblemError("unavailable", f"{what}; ask again later", headers=again)
    return ProblemError("broken", "tell the operator the request_id")


AWAY: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((DatabaseUnavailableError, OperationalError), "the database does not answer"),
    ((PoolTimeoutError,), "all connections to the database are in use"),
    ((StoreUnavailableError,), "the object store does not answer"),
    ((SettingsError,), "the API is not set up"),
    ((httpx.HTTPStatusError, ConnectionError), "the Prefect server does not answer as it should"),
)
"""Failures that pass; the last entry holds `ServerUnavailableError`, whose module brings Prefect."""

_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "urn:astrid-training:problem:<code>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong this time, and the cure."},
        "request_id": {"type": "string", "description": "As in X-Request-ID and the log."},
        "errors": {
            "type": "array",
            "description": "Of 422: one entry a field.",
            "items": {
                "type": "object",
                "properties": {
                    "in": {"type": "string", "description": "body, query, path or header"},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI is told of the problems of an endpoint."""
    answers: dict[int | str, dict[str, Any]] = {}
    for code in (*codes, "too-many"):
        kind = KINDS[code]
        example: dict[str, Any] = {
            "type": f"urn:astrid-training:problem:{code}",
            "title": kind.title,
            "status": kind.status,
            "detail": kind.example,
            "request_id": "3f0c6d0e5c1f4e0f9d8f2f6b1f6f0a11",
        }
        if code == "invalid":
            wrong = "Input should be greater than or equal to 1"
            example["errors"] = [{"in": "body", "field": "max_samples", "message": wrong}]
        known = answers.setdefault(
            kind.status,
            {
                "description": HTTPStatus(kind.status).phrase,
                "content": {MEDIA_TYPE: {"schema": _SCHEMA, "examples": {}}},
            },
        )
        known["content"][MEDIA_TYPE]["examples"][code] = {"summary": kind.title, "value": example}
    return answers
