"""`astrid-training token …`: who may use the REST API."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from astrid_training.api_tokens import SCOPES, create_token, list_tokens, revoke_token
from astrid_training.database import open_database
from astrid_training.users import user_name
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say

__all__ = ["token"]

token = typer.Typer(help="Tokens of the REST API.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Of whom or what it is for.")]


@token.command("create")
def create(
    name: Name,
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, collect or manage; again for more. None given: read."),
    ] = None,
    expires_days: Annotated[
        int | None,
        typer.Option(min=1, max=36_500, help="Days that it counts; none given: until revoked."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, once: only its hash is kept.

    Datasets that are collected with it have its name as their creator.
    """
    scopes = scope or ["read"]
    if unknown := sorted(set(scopes) - SCOPES.keys()):
        fail(f"no scope {', '.join(unknown)}; use {', '.join(SCOPES)}", USAGE, as_json=as_json)
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        valid_for = None if expires_days is None else timedelta(days=expires_days)
        engine = open_database(settings.database_url)
        made = create_token(engine, name, scopes, user_name(), valid_for)
    say(f"token {name}, good to {' and '.join(scopes)}; it is not shown again")
    if as_json:
        print_json({"name": name, "token": made, "scopes": scopes})
    else:
        typer.echo(made)


@token.command("list")
def show(*, as_json: Json = False) -> None:
    """List the tokens, never what they are."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        known = list_tokens(open_database(settings.database_url))
    now = datetime.now(UTC)
    for one in known:
        state = "counts" if one.is_valid(now) else "revoked" if one.revoked_at else "expired"
        used = f"{one.last_used_at:%Y-%m-%d %H:%M}" if one.last_used_at else "never"
        say(f"{one.name:<28}{state:<9}{' '.join(one.scopes):<14}last used {used}")
    if as_json:
        print_json([{**asdict(one), "counts": one.is_valid(now)} for one in known])


@token.command("revoke")
def revoke(name: Name, *, as_json: Json = False) -> None:
    """Let a token count no more, at once; its name is not given again."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        revoked_at = revoke_token(open_database(settings.database_url), name)
    say(f"token {name} counts no more")
    if as_json:
        print_json({"name": name, "revoked_at": revoked_at})
