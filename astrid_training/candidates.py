"""What the candidates of an exposure say of its PSF, where nobody stated the seeing."""

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.psf import ENOUGH_CANDIDATES

__all__ = ["add_candidate_widths"]


def add_candidate_widths(connection: Connection, selection: pa.Table, as_of: datetime) -> pa.Table:
    """Return the selection with the median width of each exposure's candidates; NULL below 20.

    One candidate's width is its shape; the median of many is the PSF.

    Args:
        connection: to read candidates.
        selection: rows of `selection.SELECTION`.
        as_of: later candidates are not known.
    """
    unsaid = selection.filter(pc.is_null(selection["seeing_arcsec"]))
    observations = sorted(set(unsaid["observation_id"].to_pylist()))
    if not observations:
        return selection
    wanted = {"observations": observations, "as_of": as_of, "least": ENOUGH_CANDIDATES}
    widths = dict(connection.execute(query("candidate_widths"), wanted).tuples().all())
    values = [widths.get(name) for name in selection["observation_id"].to_pylist()]
    at = selection.column_names.index("candidates_fwhm_px")
    return selection.set_column(at, "candidates_fwhm_px", pa.array(values, pa.float64()))
