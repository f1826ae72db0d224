"""The samples of a collection, each with its group and split, as the leak gate and publish see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.ledger import ledger_head, propose_splits
from astrid_training.negatives import hold_back
from astrid_training.packs import put_table, read_table, table_bytes
from astrid_training.params import SplitPolicy, TrainingDataCollectionParams
from astrid_training.records import Leaks
from astrid_training.splits import Assignment
from astrid_training.store import Store

__all__ = ["Divided", "divide", "recall_division"]

_ASSIGNMENT = {
    one.name: pa.bool_() if one.type is bool else pa.string() for one in fields(Assignment)
}
"""What is kept of each sample: all of its assignment, in the order of the fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """Samples with group and split, before anything is set aside."""

    samples: pa.Table
    """Sorted by sample_key; `split` is train, val, test or quarantine, "" in a gap of time."""
    assignments: list[Assignment]
    policy: SplitPolicy
    facts: Mapping[str, Any]
    """As in `splits.Division`; of a recalled one the whole proof, which holds them."""
    ledger_head: int
    """Of the ledger that they were divided by, which only ever grows."""

    def keep(self, store: Store) -> str:
        """Store the assignments and return what names this division of these samples."""
        return put_table(store, "divisions", self._table())

    @property
    def digest(self) -> str:
        """Return what `keep` does, storing nothing."""
        return digest_bytes(table_bytes(self._table()))

    def _table(self) -> pa.Table:
        columns = {
            name: pa.array([getattr(one, name) for one in self.assignments], kind)
            for name, kind in _ASSIGNMENT.items()
        }
        return pa.table({"sample_key": self.samples["sample_key"].combine_chunks(), **columns})


def divide(
    connection: Connection, samples: pa.Table, params: TrainingDataCollectionParams
) -> Divided:
    """Return the samples divided as the ledger has it now; see `ledger.propose_splits`.

    What no model may be judged by is held back from val and test; see `negatives.hold_back`.
    """
    policy = params.split
    head = ledger_head(connection, policy)  # before its members: what comes between shows later
    division = propose_splits(connection, samples, policy, params.preprocess.stamp_size)
    assignments = hold_back(samples, division.assignments, params.negatives, policy.salt)
    return Divided(_marked(samples, assignments), assignments, policy, division.facts, head)


def recall_division(
    store: Store, leaks: Leaks, samples: pa.Table, policy: SplitPolicy
) -> Divided | None:
    """Return the division that the leak gate saw, None if it was of other samples or has gone.

    To divide a hundred thousand samples again takes seconds.
    """
    try:
        table = read_table(store, "divisions", leaks.division)
    except (MissingObjectError, StoreCorruptError):
        return None
    if not table["sample_key"].equals(samples["sample_key"]):
        return None
    columns = (table[name].to_pylist() for name in _ASSIGNMENT)
    assignments = [Assignment(*row) for row in zip(*columns, strict=True)]
    marked = _marked(samples, assignments)
    return Divided(marked, assignments, policy, leaks.proof, leaks.ledger_head)


def _marked(samples: pa.Table, assignments: Sequence[Assignment]) -> pa.Table:
    for name in ("group_key", "split"):
        values = pa.array([getattr(one, name) for one in assignments], pa.string())
        samples = samples.set_column(samples.column_names.index(name), name, values)
    return samples
