"""What a selection needs beside labels: negatives, neighbours, and what candidates say of the PSF."""

from datetime import datetime

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.candidates import add_candidate_widths
from astrid_training.negatives import cap_rejected, mark_injected
from astrid_training.neighbours import add_neighbours
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.sky_negatives import add_sky

__all__ = ["complete_selection"]


def complete_selection(
    connection: Connection,
    selection: pa.Table,
    params: TrainingDataCollectionParams,
    as_of: datetime,
) -> pa.Table:
    """Return the selection as it is built from.

    Args:
        connection: to read AstrID's tables and the ledger.
        selection: labelled, split and limited rows of `selection.SELECTION`.
        params: of the collection.
        as_of: what came later is not known.
    """
    selection = mark_injected(connection, selection)
    selection = cap_rejected(selection, params)
    selection = add_candidate_widths(connection, selection, as_of)
    selection = add_neighbours(connection, selection, params, as_of)
    return add_sky(connection, selection, params, as_of)
