"""`astrid-training compare`: what differs between two datasets."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.records import TrainingDataset
from astrid_training.store import open_store
from deployments.console import (
    FAILED,
    USAGE,
    Json,
    fail,
    print_json,
    ready,
    reported,
    say,
    say_table,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from astrid_training.compare import Comparison
    from astrid_training.drift import Drift

__all__ = ["compare", "named"]

TABLES = (".parquet", ".csv")
SHOWN = 20  # rows of drift; JSON has all


def compare(
    dataset: Annotated[str, typer.Argument(help="Id, version or name of the older dataset.")],
    other: Annotated[
        str | None,
        typer.Argument(help="The newer one; none given: DATASET with its parent."),
    ] = None,
    *,
    keys: Annotated[
        Path | None,
        typer.Option(help="File for all keys that changed: .parquet or .csv."),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 if anything needs a look.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell what differs between two datasets: samples, labels, splits, pixels, and what drifted.

    To need a look: changed labels, a drift that is significant and material, a survey or band that
    one of them lacks, samples that are there twice.
    """
    from astrid_training.compare import compare_datasets, pair  # only this command needs it

    if keys is not None and keys.suffix not in TABLES:
        fail(f"--keys {keys}: name a file in .parquet or .csv", USAGE, as_json=as_json)
    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        manager = TrainingDatasetManager(open_database(settings.database_url))
        before, after = pair(manager, dataset, other)
        found = compare_datasets(open_store(settings), before, after)
        if keys is not None:
            _write(found.keys_table(), keys)
    if as_json:
        print_json({"before": named(before), "after": named(after), **found.to_dict()})
    else:
        _tell(before, after, found)
    if keys is not None:
        say(f"wrote {keys}")
    if exit_code and found.findings:
        raise typer.Exit(FAILED)


def named(dataset: TrainingDataset) -> dict[str, str]:
    """Return what names a dataset."""
    return {
        "dataset_id": str(dataset.id),
        "name": dataset.name,
        "version_id": dataset.version_id,
        "status": dataset.status,
    }


def _write(table: "pa.Table", path: Path) -> None:
    from pyarrow import csv, parquet

    write: Any = csv.write_csv if path.suffix == ".csv" else parquet.write_table
    write(table, path)


def _tell(before: TrainingDataset, after: TrainingDataset, found: "Comparison") -> None:
    say(f"{_title(before)}: {found.n_before:,} samples")
    say(f"{_title(after)}: {found.n_after:,} samples, {found.shared:,} of them in both")
    say("")
    say_table(["change", " samples", "which"], list(_changes(found)))
    say("")
    shown = sorted(
        (test for test in found.drifts if test.significant),
        key=lambda test: -test.psi / test.chance,
    )
    if shown:
        columns = ["where", "column", "of", " before", " after", " PSI", " chance", " q", ""]
        say_table(columns, [_row(test) for test in shown[:SHOWN]])
    numbers = found.numbers()
    more = f", {SHOWN} of them shown" if len(shown) > SHOWN else ""
    say(
        f"{numbers['drift_tests']} tests of drift, {numbers['drift_significant']} significant{more}, "
        f"{numbers['drift_material']} of them material; not tested for want of independent samples: "
        f"{len(found.untested)}"
    )
    say("")
    for one in found.findings:
        say(f"look at: {one.text}")
    if not found.findings:
        say("nothing needs a look")


def _title(dataset: TrainingDataset) -> str:
    return f"{dataset.name} {dataset.version_id} of {dataset.created_at:%Y-%m-%d %H:%M}"


def _changes(found: "Comparison") -> Iterator[tuple[str, str, str]]:
    for name, change in found.changes.items():
        ways = ", ".join(f"{count:,} {way}" for way, count in list(change.ways.items())[:4])
        yield name.replace("_", " "), f"{len(change.keys):,}", ways


def _row(test: "Drift") -> tuple[str, ...]:
    numbers = (f"{test.before:.4g}", f"{test.after:.4g}", f"{test.psi:.3f}", f"{test.chance:.3f}")
    verdict = "drifted" if test.counts else "small"
    return test.where, test.column, test.of, *numbers, f"{test.q_value:.1g}", verdict
