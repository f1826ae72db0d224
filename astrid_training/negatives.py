"""How many negatives a set has beside its real ones, and what keeps some of them out of tests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.digests import unit_hash
from astrid_training.params import NegativesRule, TrainingDataCollectionParams
from astrid_training.sampling import sampling_rank
from astrid_training.splits import QUARANTINE, Assignment

__all__ = ["INJECTED", "SKY", "cap_rejected", "hold_back", "mark_injected", "most_sky"]

INJECTED, SKY = "injected", "sky"
STEP = "fetch_validated_detections"
JUDGING = ("val", "test")
"""The splits by which models are judged."""


def mark_injected(connection: Connection, selection: pa.Table) -> pa.Table:
    """Return the selection with label source `injected` where the light was added by somebody.

    Args:
        connection: to read detections.
        selection: rows of `selection.SELECTION`.
    """
    wanted = {"detections": selection["detection_id"].to_pylist()}
    injected = list(connection.execute(query("injected_detections"), wanted).scalars())
    made = pc.is_in(selection["detection_id"], pa.array(injected, pa.string()))
    return _put(selection, "label_source", made, INJECTED)


def cap_rejected(selection: pa.Table, params: TrainingDataCollectionParams) -> pa.Table:
    """Return the selection without rejected detections beyond `bogus_per_real`; reals all stay.

    Those with the least hash of their sky group stay, so that more reals only add to them. Without
    any real one, all stay.

    Args:
        selection: rows of `selection.SELECTION`, split already.
        params: of the collection.
    """
    kept = pc.is_null(selection["reason"])
    real = pc.sum(pc.and_(kept, selection["is_anomaly"])).as_py() or 0
    share = params.negatives.bogus_per_real
    if share is None or not real:
        return selection
    rejected = np.flatnonzero(pc.and_(kept, pc.invert(selection["is_anomaly"])).to_numpy())
    few = selection.select(["sampling_key", "sample_key"]).take(rejected).to_pylist()
    ranks = [
        (sampling_rank(params.split.salt, row["sampling_key"]), row["sample_key"]) for row in few
    ]
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    beyond = np.zeros(selection.num_rows, bool)
    beyond[rejected[order[int(share * real) :]]] = True
    detail = f"{real} real ones and bogus_per_real={share:g}"
    for name, value in (("step", STEP), ("reason", "beyond_bogus_per_real"), ("detail", detail)):
        selection = _put(selection, name, pa.array(beyond), value)
    return selection


def most_sky(splits: Sequence[str], rule: NegativesRule) -> dict[str, int]:
    """Return how many sky negatives may join val and test, given the splits of all other samples."""
    counts = Counter(splits)
    share = rule.most_sky_share
    return {split: int(share / (1 - share) * counts[split] + 1e-9) for split in JUDGING}


def hold_back(
    samples: pa.Table, assignments: Sequence[Assignment], rule: NegativesRule, salt: str
) -> list[Assignment]:
    """Return the assignments, with quarantine for what no model may be judged by.

    Injected sources never test a model unless that is asked for, and sky is no more of val and test
    than the rule allows. The groups of the ledger stay as they are.

    Args:
        samples: sample_key and label_source of each.
        assignments: of each.
        rule: of the collection.
        salt: of the hash by which sky stays or goes.
    """
    sources, keys = (samples[name].to_pylist() for name in ("label_source", "sample_key"))
    splits = [one.split for one in assignments]
    judging = np.array([split in JUDGING for split in splits], bool)
    held = judging & (_are(sources, INJECTED) & (not rule.injected_in_test))
    sky = _are(sources, SKY)
    left = most_sky([s for s, out in zip(splits, sky | held, strict=True) if not out], rule)
    for index in sorted(np.flatnonzero(sky & judging), key=lambda i: unit_hash(salt, keys[i])):
        left[splits[index]] -= 1
        held[index] = left[splits[index]] < 0
    return [
        replace(one, split=QUARANTINE, known=True, reason=f"{source}_held_back") if out else one
        for one, out, source in zip(assignments, held, sources, strict=True)
    ]


def _are(sources: Sequence[str], wanted: str) -> NDArray[np.bool_]:
    return np.array([source == wanted for source in sources], bool)


def _put(table: pa.Table, name: str, at: pa.ChunkedArray | pa.Array, value: str) -> pa.Table:
    column = pc.if_else(at, value, table[name])
    return table.set_column(table.column_names.index(name), table.schema.field(name), column)
