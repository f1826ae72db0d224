"""Places on real frames where nothing was ever detected: negatives that nobody has to review."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.digests import sample_key, unit_hash
from astrid_training.ledger import propose_splits
from astrid_training.negatives import JUDGING, SKY, most_sky
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.sky import unit_vectors
from astrid_training.surveys import profile_for

__all__ = ["add_sky", "read_sky_notes"]

NOTES = b"sky"
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
    "selected_for": SKY,
    "designation": None,
    "mutated_after_as_of": False,
    "neighbours": [],
}

_NEEDED = [
    "observation_id",
    "observation_time",
    "survey",
    "split",
    "reason",
    "is_anomaly",
    "ra_deg",
    "dec_deg",
    "fwhm_arcsec",
    "pixel_scale",
    "science_path",
    "science_kind",
    "difference_path",
]

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

    def onto(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
        """Return (n, 2) pixels to the east and north of the centre."""
        vectors = unit_vectors(ra_deg, dec_deg).reshape(-1, 3)
        plane = np.stack([vectors @ self.east, vectors @ self.north], axis=1)
        along = np.maximum(vectors @ self.centre, 1e-9)[:, None]
        pixels: Floats = plane / along * RADIAN_ARCSEC / self.scale
        return pixels

    def sky(self, places: Floats) -> Floats:
        """Return (n, 2) RA and declination of places, degrees."""
        east, north = (places * self.scale / RADIAN_ARCSEC).T
        vectors = self.centre + east[:, None] * self.east + north[:, None] * self.north
        x, y, z = vectors.T
        ra, dec = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
        return np.stack([ra, dec], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Exposure:
    """A frame with kept samples."""

    rows: list[Row]
    """Its samples, with their `number` in the selection."""
    told: Row
    """As the query sky_fields tells."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Places over a field, in the order of their hashes."""

    names: list[str]
    pixels: Floats
    """(n, 2) to the east and north of the field's centre."""
    sky: Floats
    """(n, 2) degrees."""
    clear: Floats
    """(n,) pixels to the nearest detection or candidate."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A sky negative that may be taken."""

    key: str
    ra_deg: float
    dec_deg: float
    like: Row
    """A sample of the same exposure."""


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
    reals = pc.and_(pc.is_null(selection["reason"]), selection["is_anomaly"])
    wanted = int(params.negatives.sky_per_real * (pc.sum(reals).as_py() or 0))
    counts: dict[str, int] = {"wanted": wanted, "drawn": 0}
    if wanted:
        rows = selection.select(_NEEDED).to_pylist()
        kept = [{**row, "number": n} for n, row in enumerate(rows) if row["reason"] is None]
        exposures = _exposures(connection, kept, as_of, counts)
        ranked = _ranked(connection, exposures, params, as_of, wanted)
        placed = {place.like["observation_id"] for place in ranked}
        counts["no_place"] = sum(
            len(one.rows) for one in exposures if one.told["observation_id"] not in placed
        )
        taken = _taken(connection, _rows(selection, ranked), kept, params, wanted)
        counts["drawn"] = taken.num_rows
        selection = pa.concat_tables([selection, taken]).sort_by("sample_key")
    notes = {**(selection.schema.metadata or {}), NOTES: json.dumps(counts).encode()}
    return selection.replace_schema_metadata(notes)


def read_sky_notes(selection: pa.Table) -> dict[str, int]:
    """Return how much sky was wanted and drawn, and how many samples' exposures gave none and why."""
    notes: dict[str, int] = json.loads((selection.schema.metadata or {}).get(NOTES, b"{}"))
    return notes


def _exposures(
    connection: Connection, kept: Sequence[Row], as_of: datetime, counts: dict[str, int]
) -> list[_Exposure]:
    """Return the exposures that have frames of known size; count the samples of the others."""
    frames: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    counts["no_frame"] = sum(row["science_kind"] == "stamp" for row in kept)
    for row in kept:
        if row["science_kind"] != "stamp":
            images = (row["observation_id"], row["science_path"], row["difference_path"] or "")
            frames[images].append(row)
    wanted = {"observations": sorted({images[0] for images in frames}), "as_of": as_of}
    told = connection.execute(query("sky_fields"), wanted).mappings()
    sized = {
        row["observation_id"]: dict(row)
        for row in told
        if row["image_width"] and row["image_height"]
    }
    counts["no_frame_size"] = sum(
        len(rows) for images, rows in frames.items() if images[0] not in sized
    )
    return [
        _Exposure(rows, sized[images[0]])
        for images, rows in sorted(frames.items())
        if images[0] in sized
    ]


def _ranked(
    connection: Connection,
    exposures: Sequence[_Exposure],
    params: TrainingDataCollectionParams,
    as_of: datetime,
    wanted: int,
) -> list[_Place]:
    """Return places in the order in which they are taken: the best of each exposure, then seconds."""
    over: defaultdict[str, list[_Exposure]] = defaultdict(list)
    for one in exposures:
        over[one.told["field"]].append(one)
    fields = {name: _field(several[0]) for name, several in over.items()}
    occupied = _occupied(connection, fields, as_of)
    most = wanted // max(len(exposures), 1) + 2
    found: list[tuple[int, float, _Place]] = []
    for name, several in over.items():
        grid = _grid(fields[name], several, occupied[name], params)
        for one in several:
            best = _best(fields[name], grid, one, params)[:most]
            for rank, n in enumerate(best.tolist()):
                key = sample_key(SKY, name, grid.names[n], one.told["observation_id"])
                ra, dec = grid.sky[n].tolist()
                place = _Place(key, ra, dec, one.rows[0])
                found.append((rank, unit_hash(params.split.salt, key), place))
    return [place for _, _, place in sorted(found, key=lambda ranked: ranked[:2])]


def _field(one: _Exposure) -> _Field:
    told, first = one.told, one.rows[0]
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
    for name, ra, dec in connection.execute(query("occupied_sky"), wanted):
        found[name].append((ra, dec))
    return {
        name: field.onto(*np.array(found[name]).T) if found[name] else np.empty((0, 2))
        for name, field in fields.items()
    }


def _grid(
    field: _Field,
    exposures: Sequence[_Exposure],
    occupied: Floats,
    params: TrainingDataCollectionParams,
) -> _Grid:
    """Return the places that any of a field's exposures shows, none in a reviewed subject's stamp."""
    step, salt = params.preprocess.padded_size, params.split.salt
    reach = max(
        np.hypot(*_middle(field, one)) + _radius(one, params.preprocess.stamp_size)
        for one in exposures
    )
    side = np.arange(-(reach // step), reach // step + 1)
    numbers = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.int64)
    reviewed = _pixels(field, [row for one in exposures for row in one.rows])
    pixels = (numbers * step).astype(np.float64)
    alone = KDTree(reviewed).query(pixels, p=np.inf)[0] > params.preprocess.stamp_size
    names = [f"{step * field.scale:.4f}:{i}:{j}" for i, j in numbers[alone].tolist()]
    hashes = [unit_hash(salt, f"{field.name}|{name}") for name in names]
    order = np.argsort(hashes, kind="stable")
    pixels = pixels[alone][order]
    clear = KDTree(occupied).query(pixels)[0] if len(occupied) else np.full(len(pixels), np.inf)
    return _Grid([names[n] for n in order], pixels, field.sky(pixels), clear)


def _best(
    field: _Field, grid: _Grid, one: _Exposure, params: TrainingDataCollectionParams
) -> NDArray[np.intp]:
    """Return the numbers of the places that an exposure can use, best first."""
    spec = params.preprocess
    fwhm = max(row["fwhm_arcsec"] for row in one.rows) / field.scale
    least = np.sqrt(2) * (spec.stamp_size / 2 + CLEAR_FWHM * fwhm) + GRAIN_PX / np.sqrt(2)
    inside = np.hypot(*(grid.pixels - _middle(field, one)).T) <= _radius(one, spec.stamp_size)
    free = np.flatnonzero(inside & (grid.clear >= least))
    own = _pixels(field, one.rows)[:, 1]
    rows_apart = np.abs(grid.pixels[free, 1, None] - own).min(axis=1)
    best: NDArray[np.intp] = free[np.argsort(rows_apart > spec.cell_px, kind="stable")]
    return best


def _middle(field: _Field, one: _Exposure) -> Floats:
    middle: Floats = field.onto([one.told["ra"]], [one.told["dec"]])[0]
    return middle


def _radius(one: _Exposure, stamp_size: int) -> float:
    """Return how far from its middle a frame surely holds a whole stamp, however it is turned."""
    shorter: int = min(one.told["image_width"], one.told["image_height"])
    return max(shorter - stamp_size, 0) / 2


def _pixels(field: _Field, rows: Sequence[Row]) -> Floats:
    return field.onto([row["ra_deg"] for row in rows], [row["dec_deg"] for row in rows])


def _rows(selection: pa.Table, places: Sequence[_Place]) -> pa.Table:
    """Return places as rows of the selection: all that is said of the exposure, nothing of a label."""
    numbers = pa.array([place.like["number"] for place in places], pa.int64())
    like = selection.take(numbers).to_pylist()
    rows = [
        {**row, **_LABEL, "sample_key": place.key, "ra_deg": place.ra_deg, "dec_deg": place.dec_deg}
        for row, place in zip(like, places, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=selection.schema)


def _taken(
    connection: Connection,
    rows: pa.Table,
    kept: Sequence[Row],
    params: TrainingDataCollectionParams,
    wanted: int,
) -> pa.Table:
    """Return the first rows with their groups and splits, no more in val and test than allowed."""
    division = propose_splits(connection, rows, params.split, params.preprocess.stamp_size)
    left = most_sky([row["split"] for row in kept], params.negatives)
    taken: list[int] = []
    for index, one in enumerate(division.assignments):
        if len(taken) == wanted:
            break
        if one.split in JUDGING:
            left[one.split] -= 1
            if left[one.split] < 0:
                continue
        taken.append(index)
    chosen = rows.take(pa.array(taken, pa.int64()))
    for name in ("group_key", "split"):
        values = pa.array([getattr(division.assignments[i], name) for i in taken], pa.string())
        chosen = chosen.set_column(chosen.column_names.index(name), name, values)
    return chosen
