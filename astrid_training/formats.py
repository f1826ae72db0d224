"""Datasets of a later format than this version knows are refused, never read as if they were of ours."""

from sqlalchemy import Engine

from astrid_training.database import query
from astrid_training.errors import StoreCorruptError
from astrid_training.packs import FORMAT_VERSION
from astrid_training.records import TrainingDataset

__all__ = ["check_all_formats", "check_format", "later_formats"]


def check_format(dataset: TrainingDataset) -> None:
    """Return if this version reads the dataset's packs and tables.

    Raises:
        StoreCorruptError: if a later version has written them.
    """
    if dataset.format_version > FORMAT_VERSION:
        raise StoreCorruptError(
            f"dataset {dataset.name} has format {dataset.format_version}, this version reads up to "
            f"{FORMAT_VERSION}; load it with the version of this package that collected it"
        )


def check_all_formats(engine: Engine) -> None:
    """Return if this version reads every dataset: who clears away must know what each one names.

    Raises:
        StoreCorruptError: if a later version has written one.
    """
    if later := later_formats(engine):
        raise StoreCorruptError(
            f"{sum(later.values())} datasets have a format above {FORMAT_VERSION}, and what they need is "
            "not known here; do this with the version of this package that collected them"
        )


def later_formats(engine: Engine) -> dict[int, int]:
    """Return format -> number of datasets, of those formats that this version does not know."""
    with engine.connect() as connection:
        rows = connection.execute(query("formats_unknown"), {"known": FORMAT_VERSION})
        return {row.format_version: row.datasets for row in rows}
