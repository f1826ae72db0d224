"""`astrid-training api` and `token`: the REST API and who may ask it."""

import ipaddress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from deployments.console import Json, fail, print_json, ready, reported, say

__all__ = ["api", "token"]

token = typer.Typer(help="Who may ask the REST API.", no_args_is_help=True)


def api(
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine put TLS before it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8077,
) -> None:
    """Serve the REST API until it is ended; it answers to tokens alone."""
    settings = ready()
    with reported():
        from astrid_training.api_tokens import tokens  # only this command needs it
        from astrid_training.database import open_database  # the same

        known = [one for one in tokens(open_database(settings.database_url)) if not one.revoked_at]
        if not known and not _is_loopback(host):
            fail(f"nobody has a token, so nobody could ask at {host}; make one with `token create`")
        import uvicorn  # only this command needs it

        from deployments.api.app import create_app  # brings Prefect

        say(f"REST API at http://{host}:{port}, its description at /docs and /openapi.json")
        uvicorn.run(create_app(settings), host=host, port=port, log_level="info")


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who will ask; names are used once.")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, or collect; may be given twice. None given: read."),
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0.001, help="Days until it opens nothing; none: for ever.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it; nobody can read it again."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.api_tokens import create_token  # only this command needs it
        from astrid_training.database import open_database  # the same

        until = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
        try:
            made = create_token(
                open_database(settings.database_url), name, scope or ["read"], until
            )
        except ValueError as error:
            fail(str(error), as_json=as_json)
    if as_json:
        print_json({"name": name, "token": made})
    else:
        typer.echo(made)


@token.command("list")
def list_(*, as_json: Json = False) -> None:
    """List the tokens by name: their scopes, and whether they still open anything."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.api_tokens import tokens  # only this command needs it
        from astrid_training.database import open_database  # the same

        found = tokens(open_database(settings.database_url))
    for one in found:
        ends = one.revoked_at or one.expires_at
        state = "revoked" if one.revoked_at else f"until {ends:%Y-%m-%d}" if ends else "for ever"
        say(f"{one.name}: {', '.join(one.scopes)}, {state}")
    if as_json:
        print_json([asdict(one) for one in found])


@token.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Whose token.")], *, as_json: Json = False
) -> None:
    """Let a token open nothing any more, from now on."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.api_tokens import revoke_token  # only this command needs it
        from astrid_training.database import open_database  # the same

        try:
            revoke_token(open_database(settings.database_url), name)
        except LookupError as error:
            fail(str(error), as_json=as_json)
    say(f"revoked {name}")
    if as_json:
        print_json({"revoked": name})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
