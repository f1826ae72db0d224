"""The steps of a whole collection as a worker process does them: names go in, names come out.

The tables of all samples live and go with the call; who asked holds none of them.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from astrid_training import description, division, leaks, plan, publish, selection
from astrid_training.assemble import assemble
from astrid_training.catalogue import get_dataset
from astrid_training.description import Description
from astrid_training.memory import give_back
from astrid_training.optional_indexes import index_warnings
from astrid_training.packs import put_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import BuiltBatch, Leaks, Plan, PublishedDataset, Selection
from astrid_training.report import report_context
from astrid_training.samples import read_samples
from astrid_training.workplace import Workplace

__all__ = ["check_leaks", "describe_dataset", "plan_batches", "publish_dataset", "select_subjects"]

_log = logging.getLogger(__name__)


def select_subjects(
    place: Workplace, params: TrainingDataCollectionParams, as_of: datetime
) -> Selection:
    """Write the selection to the store and return its name; see `selection.select_subjects`."""
    with place.database().connect() as connection:
        table = selection.select_subjects(connection, params, as_of)
        warnings = index_warnings(connection)
    digest = put_table(place.store(), "selections", table)
    selected = Selection(digest, as_of, table.num_rows, table["reason"].null_count, warnings)
    del table
    give_back()
    return selected


def plan_batches(
    place: Workplace,
    selected: Selection,
    fingerprint: str,
    params: TrainingDataCollectionParams,
) -> Plan:
    """Return the batches of the selection; see `plan.plan_batches`."""
    planned = plan.plan_batches(
        place.database(),
        place.store(),
        place.sources(),
        selected,
        fingerprint,
        params.batch_samples,
        verify_checksums=params.verify_checksums,
    )
    give_back()
    return planned


def check_leaks(
    place: Workplace,
    selected: Selection,
    planned: Plan,
    built: Sequence[BuiltBatch],
    params: TrainingDataCollectionParams,
) -> Leaks:
    """Divide the samples and look for leaks; see `leaks.check_leaks`."""
    samples = assemble(place.store(), selected, planned, built).samples
    with place.database().connect() as connection:
        divided = division.divide(connection, samples, params)
    del samples
    found = leaks.check_leaks(divided, place.packs(), params.preprocess)
    del divided
    give_back()
    return found


def publish_dataset(
    place: Workplace,
    selected: Selection,
    planned: Plan,
    built: Sequence[BuiltBatch],
    found: Leaks,
    run: publish.Collected,
) -> PublishedDataset:
    """Put the batches together and publish them; see `publish.publish`."""
    store = place.store()
    assembled = assemble(store, selected, planned, built)
    dataset = publish.publish(place.database(), store, place.packs(), assembled, run, found)
    del assembled
    give_back()
    return dataset


def describe_dataset(place: Workplace, dataset_id: str, folder: Path) -> Description:
    """Write what is said of a dataset into `folder`; see `description.describe_dataset`."""
    store, dataset = place.store(), get_dataset(place.database(), dataset_id)
    samples = read_samples(store, dataset.samples_key)
    context = report_context(place.database(), store, dataset, samples)
    if context.parent and context.parent.trouble:
        _log.warning("%s is not compared with its parent: %s", dataset.name, context.parent.trouble)
    described = description.describe_dataset(dataset, samples, place.packs(), folder, context)
    del samples
    give_back()
    return described
