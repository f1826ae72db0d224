"""The router: each endpoint at the path that AstrID's design names."""

from collections.abc import Collection

from fastapi import APIRouter

from astrid_training.settings import Settings
from deployments.api.audit import add_audit
from deployments.api.auth import Authorize, bearer_tokens
from deployments.api.collect import add_collect
from deployments.api.compare import add_compare
from deployments.api.datasets import add_datasets
from deployments.api.lineage import add_lineage
from deployments.api.load import add_load
from deployments.api.problems import ProblemRoute
from deployments.api.review import add_review
from deployments.api.runs import add_runs
from deployments.api.service import Service

__all__ = ["DEPLOYMENT", "create_router", "router_of"]

DEPLOYMENT = (
    "training-data-collection/default"  # named here too: the module that has it brings Prefect
)


def create_router(
    settings: Settings | None = None,
    authorize: Authorize | None = None,
    *,
    deployment: str = DEPLOYMENT,
    processors: Collection[str] = (),
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
    """
    return router_of(Service(settings, deployment, processors), authorize)


def router_of(service: Service, authorize: Authorize | None = None) -> APIRouter:
    """Return the router of a service that is at hand; see `create_router`."""
    known = authorize or bearer_tokens(service)
    router = APIRouter(prefix="/training", tags=["training"], route_class=ProblemRoute)
    add_collect(router, service, known)
    add_datasets(router, service, known)
    add_lineage(router, service, known)
    add_compare(router, service, known)
    add_load(router, service, known)
    add_runs(router, service, known)
    add_review(router, service, known)
    add_audit(router, service, known)
    return router
