"""Who asks, and whether they may."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from astrid_training.api_tokens import find_token
from deployments.api.problems import ProblemError, check_wait
from deployments.api.service import Service

__all__ = ["Authorize", "Caller", "bearer_tokens", "needs", "scope_of"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    """Stands in the datasets that are collected for them, and parts their idempotency keys."""
    scopes: frozenset[str]
    """Of `api_tokens.SCOPES`."""


Authorize = Callable[..., Any]
"""A FastAPI dependency that returns a `Caller`, or raises an HTTPException of 401 or 403."""

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token that `astrid-training token create` printed.",
)


def bearer_tokens(service: Service) -> Authorize:
    """Return the dependency that knows callers by the tokens in our database."""

    def authorize(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if given is None:
            raise _unknown("send Authorization: Bearer <token>", "Bearer")
        token = find_token(service.engine, given.credentials)
        if token is None:
            said = 'Bearer error="invalid_token"'
            raise _unknown("the token is unknown, has expired, or was revoked", said)
        return Caller(token.name, frozenset(token.scopes))

    return authorize


def needs(scope: str, authorize: Authorize) -> Any:  # noqa: ANN401 - FastAPI's marker has no type
    """Return the dependency that lets only those through who have the scope."""

    def check(request: Request, caller: Annotated[Caller, Depends(authorize)]) -> Caller:
        request.state.astrid_caller = caller.name
        check_wait(request.state.astrid_gate.wait_of_caller(caller.name))
        if scope not in caller.scopes:
            said = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            raise ProblemError(
                "scope-missing", f"token {caller.name} has no scope {scope}", headers=said
            )
        return caller

    vars(check)["scope"] = scope
    return Depends(check)


def scope_of(route: APIRoute) -> str | None:
    """Return the scope that a route asks for by `needs`; None if it asks for none."""
    asked = [vars(one.call).get("scope") for one in route.dependant.dependencies if one.call]
    return next((scope for scope in asked if scope), None)


def _unknown(detail: str, challenge: str) -> ProblemError:
    return ProblemError("token-needed", detail, headers={"WWW-Authenticate": challenge})
