"""All checks of one dataset, each from what it can be proved by."""

from collections.abc import Iterator
from itertools import chain

from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.formats import check_format
from astrid_training.records import TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.verify.facts import check_facts
from astrid_training.verify.findings import Finding, Places
from astrid_training.verify.ledger import check_ledger
from astrid_training.verify.lineage import check_report, check_tracking
from astrid_training.verify.objects import check_objects
from astrid_training.verify.rows import check_rejects, check_rows

__all__ = ["name_of", "verify_dataset"]

LATER = "verify it with the version of this package that collected it"

LOST_TABLE = (
    "restore it from a backup of the store, or collect the dataset again with its parameters, "
    "which makes a new version of it"
)


def verify_dataset(
    places: Places, dataset: TrainingDataset, *, read_pixels: bool = True
) -> Iterator[Finding]:
    """Yield what is wrong with a dataset of any status, the gravest first; nothing where all is well.

    The table of samples is named by its own digest and proves the content and split digests of the
    row; it also proves what the rows of the database, the packs and the ledger hold. One of the
    digests cannot be computed again, that of labels: it depends on the taxonomy of its time. What
    it covers, verdicts and votes, stands in the table of samples.

    Args:
        places: where everything is.
        dataset: its row.
        read_pixels: read every pack and compare each stamp and mask with its digest; else only
            look packs up.

    Raises:
        StoreUnavailableError: if the store fails.
        DatabaseUnavailableError: if the database does.
    """
    where = name_of(dataset)
    try:
        check_format(dataset)
    except StoreCorruptError as error:
        yield Finding("samples_table", where, str(error), LATER)
        return
    try:
        samples = read_samples(places.store, dataset.samples_key)
    except (MissingObjectError, StoreCorruptError) as error:
        yield Finding(
            "samples_table", where, str(error), LOST_TABLE, frozenset({dataset.samples_key})
        )
        return
    with places.engine.connect() as connection:
        yield from chain(
            check_facts(dataset, samples, where),
            check_objects(places, dataset, samples, where, read_pixels=read_pixels),
            check_rows(connection, dataset, samples, where),
            check_rejects(connection, dataset, where),
            check_ledger(connection, dataset, samples, where),
            check_report(places.store, dataset, where),
        )
    yield from check_tracking(places.tracking_uri, dataset, where)


def name_of(dataset: TrainingDataset) -> str:
    """Return what people call it."""
    return f"{dataset.name} {dataset.version_id}"
