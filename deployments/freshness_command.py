"""`astrid-training freshness`: a dead man's switch, which asks nobody but the database."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deployments.console import FAILED, Json, print_json, ready, reported, say

__all__ = ["freshness"]


def freshness(
    *,
    survey_ids: Annotated[
        str | None, typer.Option(help="Names of the surveys, comma separated; none given: all.")
    ] = None,
    max_waiting_hours: Annotated[
        float, typer.Option(min=0.001, help="Longest that a review may wait for a collection.")
    ] = 36.0,
    max_backlog: Annotated[
        int, typer.Option(min=0, help="Most reviewed detections that no collection has looked at.")
    ] = 5000,
    max_label_age_hours: Annotated[
        float | None,
        typer.Option(min=0.001, help="Oldest that the newest review in the datasets may be."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell how far the datasets are behind the reviews; exit 1 if that is too far.

    It needs the database and the store alone, so that it tells also when Prefect is down.
    """
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.database import open_database, reading  # only this command needs it
        from astrid_training.freshness import FreshnessParams, measure_freshness  # the same
        from astrid_training.store import open_store  # the same

        named = None if survey_ids is None else [one.strip() for one in survey_ids.split(",")]
        params = FreshnessParams(
            survey_ids=named,
            max_waiting_hours=max_waiting_hours,
            max_backlog=max_backlog,
            max_label_age_hours=max_label_age_hours,
        )
        with reading(open_database(settings.database_url)) as connection:
            found = measure_freshness(connection, open_store(settings), params, datetime.now(UTC))
    for row in found.table():
        say(f"{row['survey']}: " + ", ".join(f"{k} {v}" for k, v in row.items() if k != "survey"))
    for breach in found.breaches:
        say(f"STALE {breach.detail}")
    if as_json:
        print_json(found.to_dict())
    if not found.is_fresh:
        raise typer.Exit(FAILED)
