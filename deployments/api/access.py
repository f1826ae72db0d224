"""Who may ask for what."""

from collections.abc import Callable
from typing import TypeAlias

from fastapi import Request
from sqlalchemy import Engine

from astrid_training.api_tokens import Caller, find_caller
from deployments.api.problems import Problem

__all__ = ["Authorize", "bearer_tokens"]

Authorize: TypeAlias = Callable[[Request, str], Caller]
"""Takes the request and the scope it needs; returns who asks, or raises a `Problem`."""


def bearer_tokens(engine: Engine) -> Authorize:
    """Return what lets those in who have a token of ours."""

    def authorize(request: Request, scope: str) -> Caller:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Problem(
                401,
                "send a token as `Authorization: Bearer …`; `astrid-training token create` makes one",
                WWW_Authenticate="Bearer",
            )
        caller = find_caller(engine, token.strip())
        if caller is None:
            raise Problem(
                401,
                "the token is unknown, has expired or was revoked",
                WWW_Authenticate='Bearer error="invalid_token"',
            )
        if scope not in caller.scopes:
            raise Problem(
                403,
                f"token {caller.name} has not the scope {scope}",
                WWW_Authenticate=f'Bearer error="insufficient_scope", scope="{scope}"',
            )
        return caller

    return authorize
