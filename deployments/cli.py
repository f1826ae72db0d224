"""The command line: `astrid-training …`."""

import re
import sys
from typing import Annotated, Any

import typer

from astrid_training.urls import mask_url
from deployments.api_command import api
from deployments.audit_command import audit
from deployments.backup_command import backup, restore
from deployments.collect_command import collect
from deployments.compare_command import compare
from deployments.console import FAILED, USAGE, Json, print_json, ready, reported, say
from deployments.demo import demo
from deployments.export_command import card, export
from deployments.freshness_command import freshness
from deployments.gc_command import gc
from deployments.import_command import import_alerts
from deployments.lineage_command import lineage
from deployments.looks import datasets, quality, report, revoke, show
from deployments.predict_command import predict
from deployments.review_command import review
from deployments.token_command import token
from deployments.train_command import train
from deployments.verify_command import verify

__all__ = ["app", "main"]

HALF = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are no text

app = typer.Typer(
    name="astrid-training",
    help="Turns AstrID's human-validated detections into training sets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    if any(HALF.search(argument) for argument in sys.argv):
        say("error: an argument is not UTF-8; write it in this system's own encoding")
        sys.exit(USAGE)
    app()


@app.command()
def up(*, as_json: Json = False) -> None:
    """Start PostgreSQL, Prefect, its worker and MLflow, and wait until they answer."""
    from deployments.embedded.stack import up as start  # only this command needs it

    with reported(as_json=as_json):
        status = start(progress=say)
    _tell_status(status.to_dict(), as_json=as_json)


@app.command()
def down(*, as_json: Json = False) -> None:
    """Stop all parts in order; data stay."""
    from deployments.embedded.stack import down as stop  # only this command needs it

    with reported(as_json=as_json):
        status = stop(progress=say)
    if as_json:
        print_json(status.to_dict())


@app.command()
def status(*, as_json: Json = False) -> None:
    """Tell which parts run and where; exit 1 if one does not."""
    from deployments.embedded.stack import status as look  # only this command needs it

    with reported(as_json=as_json):
        found = look()
    _tell_status(found.to_dict(), as_json=as_json)
    if not found.is_running:
        raise typer.Exit(FAILED)


def _tell_status(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for name, part in found["parts"].items():
        say(f"{name:<16}{part['state']:<10}{part['detail']}")
    for name in ("home", "store_url", "prefect_ui_url", "mlflow_tracking_uri"):
        say(f"{name:<26}{mask_url(found[name] or 'unknown')}")


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Check every part and say the cure of what is wrong; exit 1 if anything is.

    A hint says what would be better and is no fault.
    """
    from deployments.embedded.doctor import checks  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        found = checks(settings)
    if as_json:
        print_json([check.to_dict() for check in found])
    for check in found:
        cure = f"; {check.cure}" if check.cure else ""
        say(f"{check.level:<5} {check.name}: {check.detail}{cure}")
    if not all(check.ok for check in found):
        raise typer.Exit(FAILED)


@app.command()
def migrate(
    *,
    with_indexes: Annotated[
        bool,
        typer.Option(
            "--with-indexes",
            help="Also make the optional indexes on AstrID's tables that `doctor` names.",
        ),
    ] = False,
    with_label_log: Annotated[
        bool,
        typer.Option(
            "--with-label-log",
            help="Also log every change of a review in AstrID's tables, so that what was known at "
            "an instant can be told exactly.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to this version's schema; running it again changes nothing.

    AstrID's own tables are left as they are. With `--with-indexes` the owner of AstrID's tables adds
    indexes to them, while AstrID goes on reading and writing; with `--with-label-log`, a trigger on
    its reviews.
    """
    from astrid_training.database import open_database  # only this command needs it
    from astrid_training.label_log import start_label_log  # the same
    from astrid_training.migrate import migrate as apply  # the same
    from astrid_training.optional_indexes import build_indexes  # the same

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        engine = open_database(settings.database_url)
        outcomes = dict(apply(engine))
        if with_indexes:
            outcomes |= build_indexes(engine)
        if with_label_log:
            outcomes |= {"label log": start_label_log(engine)}
    for name, outcome in outcomes.items():
        say(f"{name}: {outcome}")
    if as_json:
        print_json(outcomes)


@app.command()
def bootstrap(*, as_json: Json = False) -> None:
    """Save blocks, work pool, deployments and automations on the Prefect server."""
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        from deployments.bootstrap import bootstrap as save  # brings Prefect

        done = save(settings, progress=say)
    if as_json:
        print_json(done.to_dict())


@app.command()
def simulate(
    *,
    names: Annotated[
        str | None,
        typer.Option(
            help="Names of the surveys to make, comma separated; none given: sim_ and the layout."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Whose files they look like: ztf, hst or jwst; none given: what the name says, "
            "with or without sim_, else ztf."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds make equal skies.")] = 1,
    fields: Annotated[int, typer.Option(min=1, help="Places on the sky.")] = 18,
    epochs: Annotated[int, typer.Option(min=1, help="Exposures a field.")] = 5,
    single_reviewer: Annotated[
        bool, typer.Option("--single-reviewer", help="One person reviews everything once.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a sky with known truth: rows into AstrID's tables, files into the store.

    A survey is entered as not active, so only a collection that names it takes it: after
    `simulate --names hst,jwst` that is `collect --survey-ids hst,jwst`.
    """
    from astrid_training.simulate import SkyPlan  # only this command needs it
    from deployments.simulated import plans_for, simulate_sky  # only this command needs it

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        base = SkyPlan(seed=seed, fields=fields, epochs=epochs, single_reviewer=single_reviewer)
        outcomes = [simulate_sky(settings, plan, say) for plan in plans_for(base, names, layout)]
    if as_json:
        print_json(outcomes[0] if len(outcomes) == 1 else outcomes)


@app.command("close-batch")
def close_batch(
    batch_id: Annotated[str, typer.Argument(help="Name of the validation batch.")],
    *,
    as_json: Json = False,
) -> None:
    """Announce that a validation batch has closed, as AstrID does: a collection follows."""
    from datetime import UTC, datetime  # only this command needs it

    ready(as_json=as_json)
    with reported(as_json=as_json):
        from deployments.events import emit_batch_closed  # brings Prefect

        emit_batch_closed(batch_id, datetime.now(UTC))
    say(f"announced batch {batch_id}")
    if as_json:
        print_json({"batch_id": batch_id})


app.command("import-alerts")(import_alerts)
app.command()(collect)
app.command()(datasets)
app.command()(show)
app.command()(quality)
app.command()(lineage)
app.command()(compare)
app.command()(report)
app.command()(card)
app.command()(export)
app.command()(revoke)
app.command()(audit)
app.command()(freshness)
app.command()(verify)
app.command()(gc)
app.command()(backup)
app.command()(restore)
app.command()(demo)
app.command()(api)
app.add_typer(token, name="token")
app.add_typer(review, name="review")
app.command()(train)
app.command()(predict)


if __name__ == "__main__":
    main()
