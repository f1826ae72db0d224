"""Commands that bring a dataset to others: its card, and its samples as files."""

from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.records import TrainingDataset
from astrid_training.settings import Settings
from astrid_training.store import open_store
from deployments.console import Json, print_json, ready, reported, say
from deployments.looks import Dataset

if TYPE_CHECKING:
    from astrid_training.exports import SkyReader

__all__ = ["card", "export"]


class Format(StrEnum):
    """What samples are exported as."""

    fits = "fits"
    npy = "npy"


class By(StrEnum):
    """What one FITS file holds."""

    sample = "sample"
    exposure = "exposure"


class Wcs(StrEnum):
    """Where the WCS of stamps comes from."""

    source = "source"
    linear = "linear"


def card(
    dataset: Dataset,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Markdown file to write; none given: to stdout."),
    ] = None,
    to_store: Annotated[
        bool,
        typer.Option(
            "--to-store",
            help="Also write card and Croissant document into the store, as a collection does.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the card of a dataset: what it is, how it came about, its limits, whose data they are."""
    from astrid_training.cards.stored import CARD, documents, put_documents  # brings templates
    from astrid_training.files import write_atomically  # only this command needs it
    from astrid_training.samples import read_samples  # the same

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        found, store = _dataset(settings, dataset, allow_revoked=True), open_store(settings)
        written = documents(found, read_samples(store, found.samples_key), store)
        keys = put_documents(found.id, written, store) if to_store else []
        if output is not None:
            write_atomically(output, written[CARD])
    text = written[CARD].decode()
    if output is not None:
        say(f"wrote {output}")
    if to_store:
        say(f"wrote {', '.join(f'{store.url}/{key}' for key in keys)}")
    if as_json:
        print_json({"card": text, "store": keys})
    elif output is None:
        typer.echo(text, nl=False)


def export(
    dataset: Dataset,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder to make; it must not be there, or be empty."),
    ],
    form: Annotated[
        Format,
        typer.Option("--format", help="fits: files for people; npy: arrays that numpy reads."),
    ] = Format.fits,
    by: Annotated[
        By,
        typer.Option(help="One FITS file for each sample, or for an exposure's of one split."),
    ] = By.sample,
    split: Annotated[
        str, typer.Option(help="Splits to take, comma separated: train, val, test.")
    ] = "train,val,test",
    wcs: Annotated[
        Wcs,
        typer.Option(
            help="source: the WCS of the file that was cut, where it is still there; linear: the "
            "directions at the target, from the samples table, no file is read."
        ),
    ] = Wcs.source,
    with_margin: Annotated[
        bool,
        typer.Option(
            "--with-margin", help="Stamps as stored, with the margin beyond what a model sees."
        ),
    ] = False,
    include_proprietary: Annotated[
        bool,
        typer.Option(
            "--include-proprietary",
            help="Also samples that are not public today: only where they are yours to give.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an earlier export that lies there untouched."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Export samples of a dataset as FITS files or numpy arrays, with their card and table.

    Only what is public today leaves the house, unless you ask for the rest. A dataset that was
    withdrawn is refused. The folder appears when everything is written, or not at all.
    """
    from astrid_training.exports import Wanted, export_dataset  # only this command needs it
    from astrid_training.packs import PackCache  # the same

    settings = ready(as_json=as_json)
    with reported(as_json=as_json):
        found, cache = _dataset(settings, dataset, allow_revoked=False), settings.home / "cache"
        done = export_dataset(
            found,
            PackCache(open_store(settings), cache),
            output,
            Wanted(
                form.value,
                by.value,
                tuple(name.strip() for name in split.split(",")),
                with_margin=with_margin,
                include_proprietary=include_proprietary,
            ),
            _sky(settings, wcs),
            datetime.now(UTC),
            overwrite=overwrite,
            tell=say,
        )
    for (program, until), number in _left_out(done.left_out).items():
        say(f"left out {number} samples: programme {program}, public {until}")
    if done.wcs:
        say("WCS: " + ", ".join(f"{number} {origin}" for origin, number in done.wcs.items()))
    if done.why_no_wcs:
        say(f"not all by their source file: {done.why_no_wcs}")
    say(f"wrote {done.samples} samples to {done.folder}, {done.bytes / 1e6:.1f} MB")
    if as_json:
        names = ("samples", "files", "bytes", "left_out", "wcs", "why_no_wcs")
        print_json({"folder": str(done.folder), **{name: getattr(done, name) for name in names}})


def _dataset(settings: Settings, wanted: str, *, allow_revoked: bool) -> TrainingDataset:
    manager = TrainingDatasetManager(open_database(settings.database_url))
    return manager.get_dataset(wanted, allow_revoked=allow_revoked)


def _sky(settings: Settings, wcs: Wcs) -> "SkyReader":
    from astrid_training.exports import SkyReader
    from astrid_training.source_cache import SourceCache
    from astrid_training.sources import open_sources

    if wcs is Wcs.linear:
        return SkyReader()
    sources = open_sources(settings)
    return SkyReader(sources, SourceCache(sources, settings.home / "cache" / "sources"))


def _left_out(samples: list[dict[str, str | None]]) -> Counter[tuple[str, str]]:
    """Return how many samples of each programme were left out, and when they become public."""
    return Counter(
        (
            one["program_id"] or "not told",
            f"from {one['proprietary_until']}"
            if one["proprietary_until"]
            else "at a time that is not told",
        )
        for one in samples
    )
