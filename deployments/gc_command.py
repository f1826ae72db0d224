"""The command that clears away what nothing in the database refers to."""

from datetime import timedelta
from typing import Annotated

import typer

from astrid_training.database import open_database
from astrid_training.store import open_store
from deployments.console import Json, print_json, ready, reported, say

__all__ = ["gc"]


def gc(
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove them; without it they are only counted.")
    ] = False,
    older_than: Annotated[
        int, typer.Option(min=2, help="Days; what was written or wanted since stays.")
    ] = 7,
    as_json: Json = False,
) -> None:
    """Count the objects in the store that no dataset, catalogue or collection refers to, or remove them."""
    from astrid_training.gc import clear_away, find_garbage, total  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        engine, store = open_database(settings.database_url), open_store(settings)
        act = clear_away if delete else find_garbage
        counts = total(act(engine, store, timedelta(days=older_than)))
    for kind, (number, size) in counts.items():
        say(f"{kind:<14}{number:>9,} objects{size / 1e6:>14,.1f} MB")
    number, size = (
        (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0)
    )
    done = "removed" if delete else "would be removed by --delete"
    say(f"{'in all':<14}{number:>9,} objects{size / 1e6:>14,.1f} MB {done}")
    if as_json:
        kinds = {kind: {"objects": n, "bytes": b} for kind, (n, b) in counts.items()}
        print_json({"deleted": delete, "objects": number, "bytes": size, "kinds": kinds})
