"""Places on real frames where nothing was ever detected: negatives that nobody has to review."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.digests import sample_key, unit_hash
from astrid_training.ledger import propose_splits
from astrid_training.negatives import JUDGING, SKY, most_sky
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.sky import unit_vectors
from astrid_training.surveys import profile_for

__all__ = ["NOTES", "add_sky"]

NOTES = b"negatives"
"""Key of the schema's metadata under which JSON says what became of the search for sky."""
CLEAR_FWHM = 2.0
GRAIN_PX = 4.0
"""Detections are looked at as a grid of this width; what is lost by it is added to the distance."""
CONFIDENCE = 0.999
"""Of finding nothing where nothing was ever seen: the most that any label has."""
RADIAN_ARCSEC = 3600 * 180 / np.pi

_LABEL: dict[str, Any] = {
    "detection_id": None,
    "pixel_x": None,
    "pixel_y": None,
    "model_score": None,
    "is_anomaly": False,
    "anomaly_type": SKY,
    "label_source": SKY,
    "p_real": 1 - CONFIDENCE,
    "confidence": CONFIDENCE,
    "weight": 2 * CONFIDENCE - 1,
    "tier": SKY,
    "n_votes": 0,
    "n_validators": 0,
    "agreement": None,
    "votes": "[]",
    "mutated_after_as_of": False,
    "neighbours": [],
}

Floats = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """A plane that touches the sky at the centre of a reference."""

    name: str
    scale: float
    """Arcsec per pixel."""
    centre: Floats
    east: Floats
    north: Floats

    def onto(self, ra_deg: Sequence[float], dec_deg: Sequence[float]) -> Floats:
        """Return (n, 2) pixels to the east and north of the centre."""
        vectors = unit_vectors(ra_deg, dec_deg).reshape(-1, 3)
        plane = np.stack([vectors @ self.east, vectors @ self.north], axis=1)
        along = np.maximum(vectors @ self.centre, 1e-9)[:, None]
        pixels: Floats = plane / along * RADIAN_ARCSEC / self.scale
        return pixels

    def sky(self, place: Floats) -> tuple[float, float]:
        """Return RA and declination of a place, degrees."""
        east, north = place * self.scale / RADIAN_ARCSEC
        x, y, z = self.centre + east * self.east + north * self.north
        return float(np.degrees(np.arctan2(y, x)) % 360), float(
            np.degrees(np.arctan2(z, np.hypot(x, y)))
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Exposure:
    """A frame with kept samples."""

    rows: list[Row]
    """Its samples."""
    observation: Row
    """As the query sky_fields tells."""


def add_sky(
    connection: Connection,
    selection: pa.Table,
    params: TrainingDataCollectionParams,
    as_of: datetime,
) -> pa.Table:
    """Return the selection with sky negatives in it, at most `sky_per_real` of them per real one.

    Places lie on a grid over each reference and come in the order of a hash of reference and policy,
    so that all exposures of a field use the same ones; those in rows that are read anyway come
    first. Each is so far from every detection and candidate over that reference that its stamp shows
    none, however the frame is turned.

    Args:
        connection: to read observations, detections and candidates.
        selection: rows of `selection.SELECTION`, without sky.
        params: of the collection.
        as_of: what came later is not known.
    """
    kept = [row for row in selection.to_pylist() if row["reason"] is None]
    wanted = int(params.negatives.sky_per_real * sum(row["is_anomaly"] for row in kept))
    counts: dict[str, int] = {"wanted": wanted, "drawn": 0}
    found: list[Row] = []
    if wanted:
        exposures = _exposures(connection, kept, as_of, counts)
        ranked = _ranked(connection, exposures, params, as_of, wanted)
        placed = {row["observation_id"] for row in ranked}
        counts["no_place"] = sum(
            len(one.rows) for one in exposures if one.observation["observation_id"] not in placed
        )
        found = _taken(connection, ranked, kept, params, wanted)
        counts["drawn"] = len(found)
    notes = {**(selection.schema.metadata or {}), NOTES: json.dumps({"sky": counts}).encode()}
    sky = pa.Table.from_pylist(found, schema=selection.schema)
    joined = pa.concat_tables([selection, sky]).sort_by("sample_key")
    return joined.replace_schema_metadata(notes)


def _exposures(
    connection: Connection, kept: Sequence[Row], as_of: datetime, counts: dict[str, int]
) -> list[_Exposure]:
    """Return the exposures that have frames of known size; count the samples of the others."""
    by_images: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    counts["no_frame"] = sum(row["science_kind"] == "stamp" for row in kept)
    for row in kept:
        if row["science_kind"] != "stamp":
            by_images[
                row["observation_id"], row["science_path"], row["difference_path"] or ""
            ].append(row)
    wanted = {"observations": sorted({key[0] for key in by_images}), "as_of": as_of}
    told = {
        row["observation_id"]: dict(row)
        for row in connection.execute(query("sky_fields"), wanted).mappings()
    }
    sized = {name: row for name, row in told.items() if row["image_width"] and row["image_height"]}
    counts["no_frame_size"] = sum(
        len(rows) for key, rows in by_images.items() if key[0] not in sized
    )
    return [
        _Exposure(rows, sized[key[0]]) for key, rows in sorted(by_images.items()) if key[0] in sized
    ]


def _ranked(
    connection: Connection,
    exposures: Sequence[_Exposure],
    params: TrainingDataCollectionParams,
    as_of: datetime,
    wanted: int,
) -> list[Row]:
    """Return sky rows in the order in which they are taken: each exposure's first place, then seconds."""
    fields = {one.observation["field"]: _field(one) for one in exposures}
    occupied = _occupied(connection, fields, as_of)
    reviewed: defaultdict[str, list[Row]] = defaultdict(list)
    for one in exposures:
        reviewed[one.observation["field"]] += one.rows
    most = wanted // max(len(exposures), 1) + 2
    rows = []
    for one in exposures:
        name = one.observation["field"]
        places = _places(fields[name], one, occupied[name], reviewed[name], params)
        for rank, (index, place) in zip(range(most), places, strict=False):
            row = _row(fields[name], one, index, place)
            rows.append((rank, unit_hash(params.split.salt, row["sample_key"]), row))
    return [row for _, _, row in sorted(rows, key=lambda ranked: ranked[:2])]


def _field(one: _Exposure) -> _Field:
    told, first = one.observation, one.rows[0]
    ra, dec = np.radians([told["field_ra"], told["field_dec"]])
    return _Field(
        told["field"],
        first["pixel_scale"] or profile_for(first["survey"]).pixel_scale_arcsec,
        unit_vectors(told["field_ra"], told["field_dec"]),
        np.array([-np.sin(ra), np.cos(ra), 0.0]),
        np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)]),
    )


def _occupied(
    connection: Connection, fields: Mapping[str, _Field], as_of: datetime
) -> dict[str, Floats]:
    """Return (n, 2) pixels of all that was ever detected over each field."""
    wanted = {
        "fields": sorted(fields),
        "grains_deg": [GRAIN_PX * fields[name].scale / 3600 for name in sorted(fields)],
        "as_of": as_of,
    }
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in connection.execute(query("occupied_sky"), wanted):
        found[row.field].append((row.ra_deg, row.dec_deg))
    return {
        name: field.onto(*zip(*found[name], strict=True)) if found[name] else np.empty((0, 2))
        for name, field in fields.items()
    }


def _places(
    field: _Field,
    one: _Exposure,
    occupied: Floats,
    reviewed: Sequence[Row],
    params: TrainingDataCollectionParams,
) -> Iterator[tuple[str, Floats]]:
    """Yield the free places of an exposure's frame, best first, each with its index on the grid."""
    spec, step = params.preprocess, params.preprocess.padded_size
    fwhm = max(row["fwhm_arcsec"] for row in one.rows) / field.scale
    told = one.observation
    middle = field.onto([told["ra"]], [told["dec"]])[0]
    inner = min(told["image_width"], told["image_height"]) / 2 - spec.stamp_size / 2
    grid = _grid(middle, inner, step)
    places = (grid * step).astype(np.float64)
    clear = np.sqrt(2) * (spec.stamp_size / 2 + CLEAR_FWHM * fwhm) + GRAIN_PX / np.sqrt(2)
    free = np.hypot(*_offsets(places, occupied)).min(axis=1, initial=np.inf) >= clear
    across = np.abs(_offsets(places, field.onto(*_positions(reviewed)))).max(axis=0)
    free &= across.min(axis=1, initial=np.inf) > spec.stamp_size
    own = field.onto(*_positions(one.rows))
    near = np.abs(places[:, 1, None] - own[:, 1]).min(axis=1, initial=np.inf) <= spec.cell_px
    names = [f"{step * field.scale:.4f}:{i}:{j}" for i, j in grid.tolist()]
    order = [
        (not near[n], unit_hash(params.split.salt, f"{field.name}|{names[n]}"), n)
        for n in np.flatnonzero(free).tolist()
    ]
    for _, _, n in sorted(order):
        yield names[n], places[n]


def _grid(middle: Floats, radius: float, step: int) -> NDArray[np.int64]:
    """Return (n, 2) numbers of the grid's points within a circle."""
    if radius <= 0:
        return np.empty((0, 2), np.int64)
    low, high = np.ceil((middle - radius) / step), np.floor((middle + radius) / step)
    east, north = (np.arange(a, b + 1) for a, b in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(east, north), axis=-1).reshape(-1, 2)
    inside = np.hypot(*(points * step - middle).T) <= radius
    grid: NDArray[np.int64] = points[inside].astype(np.int64)
    return grid


def _positions(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [row["ra_deg"] for row in rows], [row["dec_deg"] for row in rows]


def _offsets(places: Floats, others: Floats) -> Floats:
    """Return (2, n, m) pixels from each of `others` to each place, to the east and to the north."""
    offsets: Floats = np.moveaxis(places[:, None] - others[None], -1, 0)
    return offsets


def _row(field: _Field, one: _Exposure, index: str, place: Floats) -> Row:
    first = one.rows[0]
    ra, dec = field.sky(place)
    key = sample_key(SKY, field.name, index, first["observation_id"])
    return {**first, **_LABEL, "sample_key": key, "ra_deg": ra, "dec_deg": dec}


def _taken(
    connection: Connection,
    ranked: Sequence[Row],
    kept: Sequence[Row],
    params: TrainingDataCollectionParams,
    wanted: int,
) -> list[Row]:
    """Return the first rows with their groups and splits, no more in val and test than allowed."""
    if not ranked:
        return []
    columns = ("sample_key", "ra_deg", "dec_deg", "fwhm_arcsec", "observation_time")
    places = pa.table({name: [row[name] for row in ranked] for name in columns})
    assigned = propose_splits(connection, places, params.split)
    left = most_sky([row["split"] for row in kept], params.negatives)
    taken: list[Row] = []
    for row, one in zip(ranked, assigned, strict=True):
        if len(taken) == wanted:
            break
        if one.split in JUDGING:
            left[one.split] -= 1
            if left[one.split] < 0:
                continue
        taken.append({**row, "group_key": one.group_key, "split": one.split})
    return taken
