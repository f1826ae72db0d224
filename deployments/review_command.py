"""`astrid-training review …`: what people should look at next."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from astrid_training.errors import CollectionRefusedError
from astrid_training.review_params import ReviewQueueParams
from astrid_training.users import user_name
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say
from deployments.options import command_of, given_parameters

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


def _make(
    params_file: Path | None,
    output: Path | None,
    *,
    reasons: bool,
    as_json: bool,
    **options: str | None,
) -> None:
    settings = ready(as_json=as_json)
    from astrid_training.database import open_database  # only this command needs it
    from astrid_training.review_queue import make_review_queue  # brings arrays

    try:
        params = given_parameters(ReviewQueueParams, options, params_file)
    except (CollectionRefusedError, OSError, yaml.YAMLError) as error:
        fail(str(error), USAGE, as_json=as_json)
    with reported(as_json=as_json):
        engine = open_database(settings.database_url)
        queue = make_review_queue(engine, params, datetime.now(UTC), user_name())
    _tell(queue, output, reasons=reasons, as_json=as_json)


@review.command("make")
@command_of(ReviewQueueParams, output=(Output, None), reasons=(Reasons, False))
def make(**given: Any) -> None:  # noqa: ANN401 - typer passes the options of the model
    """Choose what to review next, keep it, and write it as CSV. Lists are comma separated."""
    _make(given.pop("params_file"), given.pop("output"), **given)


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
