"""`astrid-training api`: the REST API as a process of its own."""

import socket
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from astrid_training.api_tokens import list_tokens
from astrid_training.database import check_database, open_database
from astrid_training.settings import Settings
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say

__all__ = ["api"]

DRAIN_S = 20  # how long requests may still take when the process is told to end
MOST_CONNECTIONS = (
    800  # idle ones count too; each is a file handle, of which most systems give 1024
)
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"people": {"class": "logging.StreamHandler", "formatter": "line"}},  # stderr
    "loggers": {
        # uvicorn's own access lines have query strings and no request id
        name: {"handlers": ["people"], "level": level, "propagate": False}
        for name, level in (("deployments.api", "INFO"), ("uvicorn.error", "WARNING"))
    },
}


def api(
    *,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8300,
    processor: Annotated[
        list[str] | None,
        typer.Option(
            help="Class that requests may name beside our own, package.module:Class; again for more."
        ),
    ] = None,
    token_rate: Annotated[
        int, typer.Option(min=0, help="Requests a minute of one token; 0: no limit.")
    ] = 1200,
    address_rate: Annotated[
        int, typer.Option(min=0, help="Requests a minute from one address; 0: no limit.")
    ] = 2400,
    body_kb: Annotated[int, typer.Option(min=1, help="Most kilobytes of a request's body.")] = 256,
    as_json: Json = False,
) -> None:
    """Serve the REST API until it is interrupted.

    Requests need a token; `astrid-training token create` makes one. Beyond this machine's own
    address it listens only once there is a token that counts.
    """
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        check_database(open_database(settings.database_url))
        has_token = _has_token(settings)
        if not is_loopback(host) and not has_token:
            fail(
                f"{host} can be reached from other machines and there is no token, so nobody could "
                "use the API and everybody could knock; make one with `astrid-training token create`",
                USAGE,
                as_json=as_json,
            )
        listening = _listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    say(f"listening at {url}; {url}/docs describes it, Ctrl-C ends it")
    if not has_token:
        say("there is no token yet: `astrid-training token create NAME --scope read` makes one")
    if not is_loopback(host):
        say("this is plain HTTP: put a proxy with TLS before it, or tokens can be read on the way")
    if as_json:
        print_json({"url": url})
        sys.stdout.flush()  # who reads it waits for it, and this process goes on
    _serve(settings, listening, processor or [], (token_rate, address_rate, body_kb * 1024))


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _has_token(settings: Settings) -> bool:
    now = datetime.now(UTC)
    return any(one.is_valid(now) for one in list_tokens(open_database(settings.database_url)))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


def _serve(
    settings: Settings,
    listening: socket.socket,
    processors: list[str],
    limits: tuple[int, int, int],
) -> None:
    import uvicorn  # only who serves needs it

    from deployments.api import Limits, create_app  # the same

    config = uvicorn.Config(
        create_app(settings, processors=processors, limits=Limits(*limits)),
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN_S,
    )
    uvicorn.Server(config).run(sockets=[listening])
