"""The API as an application of its own."""

import logging
from importlib.metadata import version
from time import perf_counter
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astrid_training.settings import Settings
from deployments.api.problems import Problem, problem_response
from deployments.api.router import create_router

__all__ = ["create_app"]

MOST_BODY = 1_000_000
"""Bytes; parameters take a thousandth of it."""

log = logging.getLogger("astrid_training.api")


def create_app(settings: Settings) -> FastAPI:
    """Return the application: the router, and errors of unknown paths as problem documents too.

    Args:
        settings: where database, store and Prefect server are.
    """
    app = FastAPI(
        title="AstrID training data",
        version=version("astrid-training"),
        description="Collect human-validated detections into training sets, look at them, load them.",
    )
    app.include_router(create_router(settings))
    app.add_middleware(BodyLimit)

    @app.middleware("http")
    async def tell(request: Request, call_next: Any) -> Response:  # noqa: ANN401 - Starlette's own
        name, begun = request.headers.get("X-Request-ID", "")[:100] or uuid4().hex, perf_counter()
        response: Response = await call_next(request)
        response.headers["X-Request-ID"] = name
        took = perf_counter() - begun
        log.info(
            "%s %s -> %d in %.3f s, request %r",
            request.method,
            request.url.path,
            response.status_code,
            took,
            name,
        )
        return response

    @app.exception_handler(HTTPException)
    async def refuse(_request: Request, error: HTTPException) -> Response:
        return problem_response(error)

    @app.get("/health", tags=["service"], summary="Whether the API answers")
    def health() -> dict[str, str]:
        """Tell that the API answers; nothing else is asked."""
        return {"status": "ok"}

    return app


class BodyLimit:
    """Refuses bodies that are too large, before or while they come."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > MOST_BODY:
            refusal = problem_response(Problem(413, f"a body has at most {MOST_BODY} bytes"))
            await refusal(scope, receive, send)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > MOST_BODY:
                raise HTTPException(413, f"a body has at most {MOST_BODY} bytes")
            return message

        await self._app(scope, counted, send)
