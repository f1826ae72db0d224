"""Which samples of a dataset leave the house, and which must not."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from astrid_training.criteria import is_public
from astrid_training.errors import ExportRefusedError
from astrid_training.samples import SPLITS

__all__ = ["Choice", "choose_samples"]

RIGHTS = ("sample_key", "split", "survey", "program_id", "proprietary_until")


class Choice(NamedTuple):
    """The samples that are exported, and those that are left out for whose they are."""

    samples: pa.Table
    left_out: list[dict[str, Any]]
    """sample_key, split, survey, program_id and proprietary_until of each."""


def choose_samples(
    samples: pa.Table, splits: Sequence[str], now: datetime, *, include_proprietary: bool
) -> Choice:
    """Return what may be exported, in the order of the table.

    Args:
        samples: of a dataset.
        splits: some of train, val and test.
        now: when data must be public.
        include_proprietary: take the others too.

    Raises:
        ExportRefusedError: if a split has another name, or nothing is left.
    """
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown or not splits:
        raise ExportRefusedError(
            f"no split {', '.join(map(repr, unknown)) or 'is named'}; use {', '.join(SPLITS)}"
        )
    wanted = samples.filter(pc.is_in(samples["split"], pa.array(list(splits), pa.string())))
    public = is_public(wanted["program_id"], wanted["proprietary_until"], now)
    taken = np.ones(wanted.num_rows, np.bool_) if include_proprietary else public
    chosen = wanted.filter(pa.array(taken))
    if not chosen.num_rows:
        why = "none of its samples is public; if they are yours, give --include-proprietary"
        empty = f"no sample is in {', '.join(splits)}"
        raise ExportRefusedError(f"nothing to export: {why if wanted.num_rows else empty}")
    return Choice(chosen, wanted.filter(pa.array(~taken)).select(list(RIGHTS)).to_pylist())
