"""What a collection looks at: the surveys, times, bands and part of the sky that it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.cone import cone_box
from astrid_training.database import fetch_table, query
from astrid_training.errors import CollectionRefusedError
from astrid_training.images import SOURCES
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.taxonomy import taxonomy
from astrid_training.votes import REVIEWS

__all__ = ["DETECTIONS", "Scope", "fetch_scope", "fetch_sources", "scope_values"]

DETECTIONS = pa.schema(
    [
        ("detection_id", pa.string()),
        ("observation_id", pa.string()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("pixel_x", pa.int32()),
        ("pixel_y", pa.int32()),
        ("model_score", pa.float64()),
        ("stamp_path", pa.string()),
        ("designation", pa.string()),
        ("program_id", pa.string()),
        ("proprietary_until", pa.string()),
        ("status", pa.string()),
        ("human_label", pa.string()),
        ("updated_at", pa.timestamp("us", "UTC")),
        ("survey", pa.string()),
        ("band", pa.string()),
        ("observation_time", pa.timestamp("us", "UTC")),
        ("seeing_arcsec", pa.float64()),
        ("airmass", pa.float64()),
        ("pixel_scale", pa.float64()),
        ("exposure_s", pa.float64()),
        ("status_counts", pa.bool_()),
        ("mutated", pa.bool_()),
    ]
)
"""What the query reviewed_detections tells, sorted by observation and age."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The detections in question, and every review entered of them."""

    detections: pa.Table
    """Rows of `DETECTIONS`."""
    reviews: pa.Table
    """Rows of `votes.REVIEWS`."""


def fetch_scope(
    connection: Connection, params: TrainingDataCollectionParams, as_of: datetime
) -> Scope:
    """Return what the parameters ask for, as it was at `as_of`; of a cone, the box around it.

    Raises:
        CollectionRefusedError: if a survey or an anomaly type does not exist.
    """
    _check_types(params.anomaly_types)
    wanted = scope_values(connection, params, as_of)
    return Scope(
        fetch_table(connection, "reviewed_detections", wanted, DETECTIONS),
        fetch_table(connection, "reviews", wanted, REVIEWS),
    )


def scope_values(
    connection: Connection, params: TrainingDataCollectionParams, as_of: datetime
) -> dict[str, Any]:
    """Return what the queries of a scope take.

    Raises:
        CollectionRefusedError: if a survey does not exist.
    """
    start, end = params.date_range or (None, None)
    return {
        "surveys": _known_surveys(connection, params.survey_ids),
        "start": start,
        "end": end,
        "bands": params.bands,
        "as_of": as_of,
        **cone_box(params.cone),
    }


def fetch_sources(connection: Connection, observations: Sequence[str], as_of: datetime) -> pa.Table:
    """Return rows of `images.SOURCES` of these observations, in their order."""
    keys = ",".join(sorted(set(observations)))  # one text: each of a list is quoted on its own
    wanted = {"observations": f"{{{keys}}}", "as_of": as_of}
    found = fetch_table(connection, "exposure_sources", wanted, SOURCES)
    place = {key: number for number, key in enumerate(found["observation_id"].to_pylist())}
    rows = [place[observation] for observation in observations]
    return found.take(pa.array(rows, pa.int64()))


def _known_surveys(connection: Connection, wanted: Sequence[str] | None) -> list[str]:
    """Return the ids of the surveys."""
    known = {row.name: row for row in connection.execute(query("survey_names"))}
    there = ", ".join(sorted(known)) or "none at all"
    if wanted is None:
        active = [row.id for row in known.values() if row.is_active]
        if not active:
            raise CollectionRefusedError(
                f"no survey is active; name some in survey_ids: the surveys table has {there}"
            )
        return active
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise CollectionRefusedError(
            f"no survey named {', '.join(unknown)}; the surveys table has {there}"
        )
    return [known[name].id for name in sorted(set(wanted))]


def _check_types(wanted: Sequence[str] | None) -> None:
    unknown = sorted(set(wanted or []) - set(taxonomy().real_classes))
    if unknown:
        raise CollectionRefusedError(
            f"no anomaly type named {', '.join(unknown)}; "
            f"use some of {', '.join(taxonomy().real_classes)}"
        )
