"""`astrid-training review …`: what people should look at next."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrid_training.users import user_name
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say

if TYPE_CHECKING:
    from astrid_training.review_queue import ReviewQueue

__all__ = ["review"]

review = typer.Typer(
    help="What people should review next: what the labels would gain most from, and a blind audit.",
    no_args_is_help=True,
)

Reasons = Annotated[
    bool,
    typer.Option(
        "--reasons", help="Also scores and why each item is in; not for those who review."
    ),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="CSV file to write; none given: stdout.")
]


@review.command("make")
def make(
    *,
    survey_ids: Annotated[
        str | None, typer.Option(help="Names of surveys, comma separated; none given: active ones.")
    ] = None,
    date_range: Annotated[
        str | None, typer.Option(help="Observations from the first to before the second, comma.")
    ] = None,
    bands: Annotated[str | None, typer.Option(help="Filter bands, comma separated.")] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Items of the queue.")] = 200,
    audit_share: Annotated[
        float, typer.Option(min=0.05, max=1, help="Share that chance draws.")
    ] = 0.08,
    repeat_after_days: Annotated[
        float, typer.Option(min=0, help="What was shown comes again only after so long.")
    ] = 14.0,
    output: Output = None,
    reasons: Reasons = False,
    as_json: Json = False,
) -> None:
    """Choose what to review next, keep it, and write it as CSV."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.database import open_database  # only this command needs it
        from astrid_training.review_queue import ReviewQueueParams, make_review_queue  # the same

        params = ReviewQueueParams(
            survey_ids=_parts(survey_ids),
            date_range=_range(date_range, as_json=as_json),
            bands=_parts(bands),
            count=count,
            audit_share=audit_share,
            repeat_after_days=repeat_after_days,
        )
        engine = open_database(settings.database_url)
        queue = make_review_queue(engine, params, datetime.now(UTC), user_name())
    _tell(queue, output, reasons=reasons, as_json=as_json)


@review.command("show")
def show(
    queue_id: Annotated[str, typer.Argument(help="Id of the queue.")],
    *,
    output: Output = None,
    reasons: Reasons = False,
    as_json: Json = False,
) -> None:
    """Write a queue that was made before, and tell how much of it is reviewed."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.database import open_database  # only this command needs it
        from astrid_training.review_queue import read_review_queue  # the same

        queue = read_review_queue(open_database(settings.database_url), queue_id)
    _tell(queue, output, reasons=reasons, as_json=as_json)


def _parts(given: str | None) -> list[str] | None:
    return None if given is None else [one.strip() for one in given.split(",")]


def _range(given: str | None, *, as_json: bool) -> tuple[datetime, datetime] | None:
    if given is None:
        return None
    try:
        start, end = (datetime.fromisoformat(one.strip()) for one in given.split(","))
    except ValueError:
        fail(
            "date_range wants two dates with a comma between, such as 2026-01-01,2026-02-01",
            USAGE,
            as_json=as_json,
        )
    return start, end


def _tell(queue: "ReviewQueue", output: Path | None, *, reasons: bool, as_json: bool) -> None:
    from astrid_training.review_queue import as_csv  # only these commands need it

    done = sum(one.reviewed for one in queue.items)
    drawn = sum(one.selected_for == "random_audit" for one in queue.items)
    say(f"queue {queue.id}: {len(queue.items)} items, {drawn} by chance; {done} reviewed since")
    if as_json:
        print_json(queue.to_dict(reasons=reasons))
        return
    text = as_csv(queue, reasons=reasons)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"wrote {output}")
