"""`astrid-training import-alerts`: a survey's alerts into AstrID's tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrid_training.sources import open_sources
from deployments.console import Json, print_json, ready, reported, say

if TYPE_CHECKING:
    from astrid_training.alerts.importing import ImportReport

__all__ = ["import_alerts"]

SHOWN = 10  # rejected alerts named on the screen; --json names all


def import_alerts(
    paths: Annotated[list[Path], typer.Argument(help="Files of alerts, or folders of them.")],
    *,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with candid, label (1 real, 0 bogus), label_tier and, if known, label_class; "
            "none given: these columns beside the alerts."
        ),
    ] = None,
    label_tiers: Annotated[
        str | None,
        typer.Option(help="Tiers whose labels are entered, comma separated; none given: all."),
    ] = None,
    accept_machine_labels: Annotated[
        bool,
        typer.Option(
            "--accept-machine-labels",
            help="Enter labels of tiers that do not begin with `human` too, marked as made by "
            "machines, at level LOW.",
        ),
    ] = False,
    survey: Annotated[
        str | None, typer.Option(help="Name of the survey; none given: ztf or rubin.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import alert packets (ZTF, Fink, Rubin: Avro, Parquet) or tables that name FITS triplets.

    Each alert becomes one detection, its cutouts one file in the store. Importing again adds only
    what is new.
    """
    from astrid_training.alerts.importing import import_alerts as run  # only this command needs it
    from astrid_training.database import open_database  # the same

    def progress(report: "ImportReport") -> None:
        say(f"  {report.read} read, {report.imported} imported, {len(report.rejected)} rejected")

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        report = run(
            open_database(settings.database_url),
            open_sources(settings),
            paths,
            survey=survey,
            labels=labels,
            tiers=label_tiers.split(",") if label_tiers else None,
            accept_machine_labels=accept_machine_labels,
            progress=progress,
        )
    _tell(report)
    if as_json:
        print_json(report.to_dict())


def _tell(report: "ImportReport") -> None:
    say(
        f"{report.read} read: {report.imported} imported, {report.duplicates} there already, "
        f"{len(report.rejected)} rejected"
    )
    for refusal in report.rejected[:SHOWN]:
        say(f"  {refusal.path}: {refusal.reason}: {refusal.detail}")
    if len(report.rejected) > SHOWN:
        say(f"  … and {len(report.rejected) - SHOWN} more; --json names all")
    for tier, count in sorted(report.labels.items()):
        say(f"  {count} labels of tier {tier} entered")
    for tier, count in sorted(report.labels_left.items()):
        say(
            f"  {count} labels of tier {tier} left out; see --label-tiers and --accept-machine-labels"
        )
