"""`astrid-training backup` and `restore`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deployments.console import Json, fail, print_json, ready, reported, say

__all__ = ["backup", "restore"]


def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copy is; made if it is not there.")],
    *,
    as_json: Json = False,
) -> None:
    """Copy the database, then the objects of ours, into a folder; again, only what is new.

    It may run beside collections, not beside `gc --delete` or a retention that removes.
    """
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.backup import back_up  # only this command needs it
        from astrid_training.store import open_store  # the same
        from deployments.embedded.postgres import client_program  # the same

        done = back_up(settings.database_url, open_store(settings), folder, client_program)
    say(f"database {done.dump_bytes / 1e6:.1f} MB, {done.objects} new objects in {folder}")
    if as_json:
        print_json(asdict(done))


def restore(
    folder: Annotated[Path, typer.Argument(help="Where the copy is.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Replace the tables of the database that is there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the objects back, then the database, whose tables become those of the copy."""
    settings = ready(as_json=as_json)
    if not yes:
        fail("this replaces the database's tables; say --yes if that is meant", as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.backup import restore as bring_back  # only this command needs it
        from astrid_training.store import open_store  # the same
        from deployments.embedded.postgres import client_program  # the same

        done = bring_back(settings.database_url, open_store(settings), folder, client_program)
    say(f"database and {done.objects} objects are back; `astrid-training doctor` looks at them")
    if as_json:
        print_json(asdict(done))
