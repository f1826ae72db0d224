"""The application that `astrid-training api` serves."""

import time
from collections.abc import Collection
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from astrid_training.database import check_database
from astrid_training.errors import DatabaseUnavailableError
from astrid_training.settings import Settings, SettingsError
from deployments.api.auth import Authorize
from deployments.api.limits import Limits
from deployments.api.page import docs_page
from deployments.api.problems import answer_problem, gated, told
from deployments.api.router import DEPLOYMENT, router_of
from deployments.api.service import Service

__all__ = ["create_app"]

ABOUT = """Collects AstrID's human-validated detections into training sets, and tells of those there are.

Each request carries `Authorization: Bearer <token>`; `astrid-training token create` makes tokens. What
is refused or fails is answered as `application/problem+json`. Each answer has an `X-Request-ID`,
yours if you sent one."""


def create_app(
    settings: Settings | None = None,
    authorize: Authorize | None = None,
    *,
    deployment: str = DEPLOYMENT,
    processors: Collection[str] = (),
    limits: Limits | None = None,
) -> FastAPI:
    """Return the application; the arguments are those of `create_router`."""
    service = Service(settings, deployment, processors, limits)
    app = FastAPI(
        title="AstrID training data",
        version=version("astrid-training"),
        description=ABOUT,
        docs_url=None,  # FastAPI's own pages load their scripts from a server of others
        redoc_url=None,
    )
    app.router.route_class = gated(service.gate)
    app.include_router(router_of(service, authorize))
    _add_health(app, service)
    _add_docs(app)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _refused)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    return told(request, answer_problem(request, error), time.perf_counter())


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get(
        "/health",
        tags=["health"],
        summary="Whether the API can answer",
        responses={
            200: {"content": {"application/json": {"example": {"status": "ok"}}}},
            503: {
                "description": "Service Unavailable",
                "content": {"application/json": {"example": {"status": "unavailable"}}},
            },
        },
    )
    def health() -> JSONResponse:
        """Tell, without a token and without details, whether the database answers."""
        try:
            check_database(service.engine)
        except (DatabaseUnavailableError, SettingsError, SQLAlchemyError):
            return JSONResponse({"status": "unavailable"}, 503)
        return JSONResponse({"status": "ok"})


def _add_docs(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return docs_page(app.openapi())
