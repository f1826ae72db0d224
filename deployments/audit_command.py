"""`astrid-training audit`: who did what."""

from dataclasses import asdict
from typing import Annotated

import typer

from astrid_training.database import open_database
from deployments.console import Json, print_json, ready, reported, say

__all__ = ["audit"]


def audit(
    *,
    subject: Annotated[
        str | None,
        typer.Option(help="Only of this: the id of a dataset, a token's name, a store's address."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Only what this one did: a token's name or a user's.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 50,
    as_json: Json = False,
) -> None:
    """Tell who collected, superseded, revoked and removed, and who made or revoked tokens."""
    from astrid_training.audit import read_audit  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        rows = read_audit(open_database(settings.database_url), subject=subject, by=by, limit=limit)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        detail = ", ".join(f"{name} {value}" for name, value in row.detail.items() if value)
        line = f"{row.at:%Y-%m-%d %H:%M:%S}  {row.action:<17}{row.subject}  by {row.by}  {detail}"
        say(line.rstrip())
