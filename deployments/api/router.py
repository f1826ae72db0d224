"""The router: each endpoint at the path that AstrID's design names."""

from collections.abc import Collection

from fastapi import APIRouter
from fastapi.routing import APIRoute

from astrid_training.settings import Settings
from deployments.api.audit import add_audit
from deployments.api.auth import Authorize, bearer_tokens, scope_of
from deployments.api.collect import add_collect
from deployments.api.compare import add_compare
from deployments.api.datasets import add_datasets
from deployments.api.limits import Limits
from deployments.api.lineage import add_lineage
from deployments.api.load import add_load
from deployments.api.problems import gated
from deployments.api.review import add_review
from deployments.api.runs import add_runs
from deployments.api.service import Service

__all__ = ["DEPLOYMENT", "UnguardedRouteError", "check_guarded", "create_router", "router_of"]

DEPLOYMENT = (
    "training-data-collection/default"  # named here too: the module that has it brings Prefect
)


class UnguardedRouteError(RuntimeError):
    """A route would answer who has no token."""


def create_router(
    settings: Settings | None = None,
    authorize: Authorize | None = None,
    *,
    deployment: str = DEPLOYMENT,
    processors: Collection[str] = (),
    limits: Limits | None = None,
) -> APIRouter:
    """Return a router that any FastAPI application can include, under any prefix.

    It answers its own failures as problem+json and adds no handler, middleware or setting to the
    application.

    Args:
        settings: where database, store and Prefect server are; None: as the environment and the
            home say, when the first request comes.
        authorize: a FastAPI dependency that returns a `Caller`, or raises an HTTPException; None:
            bearer tokens of our own.
        deployment: whose runs the collections are, `flow/deployment`.
        processors: classes, as `package.module:Class`, that a collection may name beside our own.
            A processor is imported and run, so a request may name only those that are listed.
        limits: of requests and their bodies; None: the usual ones.
    """
    return router_of(Service(settings, deployment, processors, limits), authorize)


def router_of(service: Service, authorize: Authorize | None = None) -> APIRouter:
    """Return the router of a service that is at hand; see `create_router`.

    Raises:
        UnguardedRouteError: if a route asks for no scope: it would answer everybody.
    """
    known = authorize or bearer_tokens(service)
    router = APIRouter(prefix="/training", tags=["training"], route_class=gated(service.gate))
    add_collect(router, service, known)
    add_datasets(router, service, known)
    add_lineage(router, service, known)
    add_compare(router, service, known)
    add_load(router, service, known)
    add_runs(router, service, known)
    add_review(router, service, known)
    add_audit(router, service, known)
    check_guarded(router)
    return router


def check_guarded(router: APIRouter) -> None:
    """Return if each route asks for a scope; see `router_of`."""
    for route in router.routes:
        if not isinstance(route, APIRoute) or scope_of(route) is None:
            raise UnguardedRouteError(f"{route} asks for no scope; give it a dependency of `needs`")
