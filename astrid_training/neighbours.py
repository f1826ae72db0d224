"""Other subjects that lie in a sample's stamp: what is known of them, and where they are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.masks import BACKGROUND, BOGUS, IGNORE, REAL, Neighbours
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.surveys import profile_for

__all__ = ["NEIGHBOURS", "add_neighbours", "label_code", "place_neighbours"]

NEIGHBOURS = pa.list_(
    pa.struct(
        [
            ("east_arcsec", pa.float64()),  # from the sample's target
            ("north_arcsec", pa.float64()),
            ("dx_px", pa.int32()),  # as stored with the detections, for images without a WCS
            ("dy_px", pa.int32()),
            ("code", pa.uint8()),  # 1 real, 2 rejected, 255 nobody decided
        ]
    )
)
"""Type of a column with the neighbours of each sample."""

SAME_FWHM = 0.5  # nearer is another model run's view of the same thing
REACH_FWHM = 3.0
ROWS_AT_ONCE = 4096  # as Python objects
SKY = "sky"

_NEEDED = [
    "sample_key",
    "reason",
    "detection_id",
    "observation_id",
    "survey",
    "pixel_scale",
    "fwhm_arcsec",
    "ra_deg",
    "dec_deg",
    "pixel_x",
    "pixel_y",
    "is_anomaly",
    "label_source",
    "confidence",
    "tier",
]
Row = dict[str, Any]


def label_code(row: Mapping[str, Any]) -> int:
    """Return the code of a sample's own target in its mask: 0 where there is none."""
    if row["label_source"] == SKY:
        return BACKGROUND
    return REAL if row["is_anomaly"] else BOGUS


def add_neighbours(
    connection: Connection,
    selection: pa.Table,
    params: TrainingDataCollectionParams,
    as_of: datetime,
) -> pa.Table:
    """Return the selection with the neighbours of each kept row.

    Neighbours are the other detections of the observation, reviewed or not, that reach into the
    stamp. One whose label is as sure as the parameters ask for counts as real or rejected, whatever
    else kept it out of the selection; nobody decided on the others.

    Args:
        connection: to read detections.
        selection: rows of `selection.SELECTION`.
        params: of the collection.
        as_of: later detections are not known.
    """
    pieces = selection.select(_NEEDED).to_batches(max_chunksize=ROWS_AT_ONCE)
    codes = {
        row["detection_id"]: label_code(row) if _decided(row, params) else IGNORE
        for piece in pieces
        for row in piece.to_pylist()
    }
    values = [pa.array([], NEIGHBOURS)]
    for piece in pieces:
        rows = piece.to_pylist()
        kept = [row for row in rows if row["reason"] is None]
        near = _detections_near(connection, kept, params.preprocess.padded_size, as_of)
        found = {
            row["sample_key"]: _neighbours(row, near[number], codes)
            for number, row in enumerate(kept)
        }
        values.append(pa.array([found.get(row["sample_key"]) for row in rows], NEIGHBOURS))
    return selection.set_column(
        selection.column_names.index("neighbours"),
        pa.field("neighbours", NEIGHBOURS),
        pa.chunked_array(values),
    )


def _decided(row: Row, params: TrainingDataCollectionParams) -> bool:
    sure: bool = row["confidence"] >= params.confidence_threshold and row["tier"] != "ambiguous"
    return sure


def _detections_near(
    connection: Connection, rows: Sequence[Row], size_px: int, as_of: datetime
) -> defaultdict[int, list[Row]]:
    """Return the detections of each row's observation that its stamp may show, by row number."""
    scale = [row["pixel_scale"] or profile_for(row["survey"]).pixel_scale_arcsec for row in rows]
    reach = [
        (size_px * one * np.sqrt(0.5) + REACH_FWHM * row["fwhm_arcsec"]) / 3600
        for row, one in zip(rows, scale, strict=True)
    ]
    found = connection.execute(
        query("detections_near"),
        {
            "observations": [row["observation_id"] for row in rows],
            "detections": [row["detection_id"] for row in rows],
            "ra": [row["ra_deg"] for row in rows],
            "dec": [row["dec_deg"] for row in rows],
            "reach_deg": reach,
            "as_of": as_of,
        },
    ).mappings()
    near: defaultdict[int, list[Row]] = defaultdict(list)
    for one in found:
        near[one["number"]].append(dict(one))
    return near


def _neighbours(row: Row, near: Sequence[Row], codes: Mapping[str, int]) -> list[Row]:
    """Return the neighbours of a row: reviewed subjects first, then what is none of them."""
    scale = row["pixel_scale"] or profile_for(row["survey"]).pixel_scale_arcsec
    same = max(scale, SAME_FWHM * row["fwhm_arcsec"])
    taken = [(0.0, 0.0)]
    found = []
    for one in sorted(
        near, key=lambda one: (one["detection_id"] not in codes, one["detection_id"])
    ):
        east, north = _offset(row, one)
        reviewed = one["detection_id"] in codes
        if not reviewed and any(np.hypot(east - a, north - b) <= same for a, b in taken):
            continue
        taken.append((east, north))
        found.append(
            {
                "east_arcsec": east,
                "north_arcsec": north,
                "dx_px": _difference(one["pixel_x"], row["pixel_x"]),
                "dy_px": _difference(one["pixel_y"], row["pixel_y"]),
                "code": codes.get(one["detection_id"], IGNORE),
            }
        )
    return found


def _offset(row: Row, other: Row) -> tuple[float, float]:
    """Return how far another position lies to the east and north of a row's, arcsec."""
    east = (other["ra_deg"] - row["ra_deg"] + 180) % 360 - 180
    cosine = np.cos(np.radians(row["dec_deg"]))
    return float(east * cosine * 3600), float((other["dec_deg"] - row["dec_deg"]) * 3600)


def _difference(value: int | None, other: int | None) -> int | None:
    return None if value is None or other is None else value - other


def place_neighbours(
    neighbours: Sequence[Sequence[Row] | None], measured: Sequence[Row]
) -> Neighbours:
    """Return the neighbours of stamps in the stamps' pixels.

    Args:
        neighbours: of each stamp, values of `NEIGHBOURS`.
        measured: the stamps' rows of `measure.MEASUREMENTS`.
    """
    placed = [
        (number, *_pixel(one, row), one["code"])
        for number, (several, row) in enumerate(zip(neighbours, measured, strict=True))
        for one in several or ()
    ]
    known = [one for one in placed if np.isfinite(one[1:3]).all()]
    columns: list[Any] = list(zip(*known, strict=True)) or [(), (), (), ()]
    return Neighbours(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.float64),
        np.array(columns[2], np.float64),
        np.array(columns[3], np.uint8),
    )


def _pixel(one: Row, row: Row) -> tuple[float, float]:
    """Return column and row of a neighbour in a stamp; NaN where nothing tells."""
    if row["px_x_east"] is not None:
        east, north = one["east_arcsec"], one["north_arcsec"]
        dx = east * row["px_x_east"] + north * row["px_x_north"]
        dy = east * row["px_y_east"] + north * row["px_y_north"]
        return row["x"] + dx, row["y"] + dy
    if one["dx_px"] is None or row["source_kind"] == "stamp":
        return float("nan"), float("nan")  # each stamp counts its pixels from its own corner
    return row["x"] + one["dx_px"], row["y"] + one["dy_px"]
