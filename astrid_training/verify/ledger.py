"""The split ledger against the splits that a dataset was published with."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import TrainingDataset
from astrid_training.splits import SPLITS
from astrid_training.verify.findings import Finding, gathered

__all__ = ["check_ledger", "settled"]

RESTORE = "`astrid-training verify --repair` enters them again, as they were published"


def check_ledger(
    connection: Connection, dataset: TrainingDataset, samples: pa.Table, where: str
) -> Iterator[Finding]:
    """Yield the groups and samples that the ledger has forgotten, or has in another split.

    Quarantined samples have no place in the ledger.
    """
    mine = settled(samples)
    for what, names, keys, column in (
        ("groups", "verify_ledger_groups", "group_keys", "group_key"),
        ("samples", "verify_ledger_members", "sample_keys", "sample_key"),
    ):
        splits = dict(zip(mine[column].to_pylist(), mine["split"].to_pylist(), strict=True))
        wanted = {"policy": _policy_of(dataset), keys: sorted(splits)}
        found = {row.key: row.split for row in connection.execute(query(names), wanted)}
        unknown = sorted(splits.keys() - found.keys())
        moved = sorted(
            f"{key} ({splits[key]}, in the ledger {split})"
            for key, split in found.items()
            if split != splits[key]
        )
        yield from gathered("ledger", where, f"{what} unknown to the ledger", unknown, RESTORE)
        yield from gathered("ledger", where, f"{what} in another split", moved, RESTORE)


def settled(samples: pa.Table) -> pa.Table:
    """Return the samples that the ledger knows."""
    return samples.filter(pc.is_in(samples["split"], pa.array(SPLITS)))


def _policy_of(dataset: TrainingDataset) -> str:
    """Return the salt of its split policy."""
    return TrainingDataCollectionParams.model_validate(dataset.collection_params).split.salt
