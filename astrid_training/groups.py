"""Which samples must share a split: one place on the sky, or one in the other's stamp."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from astrid_training.sky import close_pairs, unit_vectors
from astrid_training.surveys import profile_for

__all__ = [
    "MOVING",
    "PLACED",
    "Places",
    "components",
    "find_objects",
    "link_radius",
    "overlapping",
    "places_of",
    "planes",
    "visible_targets",
]

LINK_ARCSEC = 1.5
LINK_FWHM = 0.75
REACH_FWHM = 1.5
"""A target is in a stamp if it lies on it or, by this much of its light, at its edge."""
MOVING = "asteroid"
"""The class whose members are not where they were."""
ARCSEC = 3600 * 180 / np.pi  # in a radian
PLACED = [
    "sample_key",
    "ra_deg",
    "dec_deg",
    "fwhm_arcsec",
    "pixel_scale",
    "survey",
    "observation_id",
    "observation_time",
    "reference_path",
    "is_anomaly",
    "anomaly_type",
    "designation",
]
"""Columns of samples that say where they lie, and in whose pixels."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where samples lie, and in whose pixels. Every field has one value a sample."""

    sample_key: list[str]
    ra_deg: Floats
    dec_deg: Floats
    radius_arcsec: Floats
    """How near another is taken for the same place."""
    half_arcsec: Floats
    """Half the side of the square round its centre in which a target is visible."""
    exposure: list[str]
    reference: list[str | None]
    mover: list[str | None]
    """None for what stays in place; of what moves, its designation, or "" where nobody gave one."""
    field: list[str | None]
    """Survey, night and field, where the policy joins what shares them."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.sample_key)

    def __add__(self, other: "Places") -> "Places":
        """Return both, these first."""
        both: dict[str, Any] = {
            name: _joined(getattr(self, name), getattr(other, name))
            for name in Places.__dataclass_fields__
        }
        return Places(**both)

    @property
    def moves(self) -> NDArray[np.bool_]:
        """Return (n,) which ones move."""
        return np.array([mover is not None for mover in self.mover], bool)


def _joined(first: Any, second: Any) -> Any:  # noqa: ANN401 - two arrays or two lists
    return np.concatenate([first, second]) if isinstance(first, np.ndarray) else first + second


def link_radius(fwhm_arcsec: Floats) -> Floats:
    """Return how near two samples are taken for one place, arcsec: max(1.5, 0.75 FWHM)."""
    return np.maximum(LINK_ARCSEC, LINK_FWHM * fwhm_arcsec)


def places_of(samples: pa.Table, stamp_size: int, *, by_field: bool = False) -> Places:
    """Return the places of a table of samples.

    All of it is known before any pixel is read, so that proposed and published groups agree.

    Args:
        samples: the columns `PLACED`.
        stamp_size: side of the stamp, pixels.
        by_field: whether samples of one night and reference are joined.
    """
    fwhm = samples["fwhm_arcsec"].to_numpy()
    reference = _shared(samples["reference_path"])
    return Places(
        sample_key=samples["sample_key"].to_pylist(),
        ra_deg=samples["ra_deg"].to_numpy(),
        dec_deg=samples["dec_deg"].to_numpy(),
        radius_arcsec=link_radius(fwhm),
        half_arcsec=stamp_size / 2 * pixel_scales(samples) + REACH_FWHM * fwhm,
        exposure=_shared(samples["observation_id"]),
        reference=reference,
        mover=_movers(samples),
        field=_fields(samples, reference) if by_field else [None] * samples.num_rows,
    )


def _shared(texts: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column of texts, equal ones as one object."""
    encoded = texts.combine_chunks().dictionary_encode()
    values = [*encoded.dictionary.to_pylist(), None]
    return [values[place] for place in pc.fill_null(encoded.indices, -1).to_pylist()]


def pixel_scales(samples: pa.Table) -> Floats:
    """Return (n,) arcsec per pixel, the survey's usual one where none is told."""
    told: Floats = samples["pixel_scale"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    names = pc.unique(samples["survey"]).to_pylist()
    usual = {name: profile_for(name).pixel_scale_arcsec for name in names}
    profiles = np.array([usual[name] for name in samples["survey"].to_pylist()], float)
    return np.where(told > 0, told, profiles)


def _movers(samples: pa.Table) -> list[str | None]:
    names = ("is_anomaly", "anomaly_type", "designation")
    columns = (samples[name].to_pylist() for name in names)
    return [
        (designation or "") if real and name == MOVING else None
        for real, name, designation in zip(*columns, strict=True)
    ]


def _fields(samples: pa.Table, reference: Sequence[str | None]) -> list[str | None]:
    """Return survey, night (from noon to noon UTC) and reference of each sample."""
    half_day = pa.scalar(12 * 3600 * 10**6, pa.duration("us"))
    nights = pc.strftime(
        pc.subtract(samples["observation_time"], half_day), format="%Y-%m-%d"
    ).to_pylist()
    surveys = samples["survey"].to_pylist()
    return [
        None if path is None else f"{survey}|{night}|{path}"
        for survey, night, path in zip(surveys, nights, reference, strict=True)
    ]


def find_objects(places: Places) -> Numbers:
    """Return (n,) object numbers: what lies in one place, or moves under one designation.

    What moves is never joined by place: another object will be there tomorrow.
    """
    still = np.flatnonzero(~places.moves)
    first, same = _coincident(places, still)
    vectors = unit_vectors(places.ra_deg[first], places.dec_deg[first])
    pairs, _ = close_pairs(vectors, places.radius_arcsec[first])
    named = chained([name or None for name in places.mover])
    return components(len(places), first[pairs], same, named)


def _coincident(places: Places, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return the first of `rows` at each position and radius, and (n, 2) pairs of it with each.

    Whoever is near one is near all of them, and pairs grow as the square of what is in one place:
    a sample that the ledger knows is there at least twice.
    """
    columns = (places.ra_deg, places.dec_deg, places.radius_arcsec)
    keys = np.stack([column[rows] for column in columns], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return rows[np.sort(first)], np.stack([rows[first][group.reshape(-1)], rows], axis=1)


def visible_targets(places: Places, objects: Numbers) -> Numbers:
    """Return (m, 2) pairs of samples of which one's target lies in the other's stamp.

    Both are in one exposure, or over one reference. Of an object that a reference shows in many
    exposures, the first sample stands for all. What moves is in nobody's group.

    Args:
        places: of the samples.
        objects: (n,) from `find_objects`.
    """
    still = ~places.moves
    found = [
        _pairs_within(places, keys, chosen, places.half_arcsec)
        for keys, chosen in _sharing(places, objects, still)
    ]
    return np.concatenate(found)


def overlapping(places: Places, objects: Numbers, side_arcsec: Floats) -> Numbers:
    """Return (m, 2) pairs of samples of two objects whose stamps share pixels; see above."""
    everything = np.ones(len(places), bool)
    found = [
        _pairs_within(places, keys, chosen, side_arcsec)
        for keys, chosen in _sharing(places, objects, everything)
    ]
    return np.concatenate(found)


def _sharing(
    places: Places, objects: Numbers, wanted: NDArray[np.bool_]
) -> Iterable[tuple[Numbers, Numbers]]:
    """Yield (codes, chosen samples) for exposures and for references."""
    for names in (places.exposure, places.reference):
        codes = numbered(names)
        rows = np.flatnonzero(wanted & (codes >= 0))
        _, first = np.unique(np.stack([codes[rows], objects[rows]]), axis=1, return_index=True)
        yield codes, np.sort(rows[first])


def _pairs_within(places: Places, codes: Numbers, rows: Numbers, reach_arcsec: Floats) -> Numbers:
    """Return pairs of `rows` with equal code, apart by at most the larger of their reaches.

    Distances are along north and east.
    """
    if len(rows) < 2:
        return np.empty((0, 2), np.int64)
    codes, reach = codes[rows], reach_arcsec[rows]
    x, y = planes(places.ra_deg[rows], places.dec_deg[rows], codes)
    apart = codes * (3 * 3600 * 180.0)  # farther than any two points of a plane
    points = np.stack([x, y, apart], axis=1)
    pairs = KDTree(points).query_pairs(float(reach.max()), p=np.inf, output_type="ndarray")
    pairs = pairs.astype(np.int64)
    distance = np.abs(points[pairs[:, 0]] - points[pairs[:, 1]]).max(axis=1)
    found: Numbers = rows[pairs[distance <= reach[pairs].max(axis=1)]]
    return found


def planes(ra_deg: Floats, dec_deg: Floats, codes: Numbers) -> tuple[Floats, Floats]:
    """Return (n,) offsets to the east and to the north, arcsec, from the middle of one's own code.

    The sphere is projected along its radius there, so that RA's wrap and the poles are nothing
    special.

    Args:
        ra_deg: (n,) degrees.
        dec_deg: (n,) degrees.
        codes: (n,) numbers from 0; positions of one number share a plane.
    """
    vectors = unit_vectors(ra_deg, dec_deg)
    sums = np.stack([np.bincount(codes, axis) for axis in vectors.T], axis=1)
    middle = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    east = np.stack([-middle[:, 1], middle[:, 0], np.zeros(len(middle))], axis=1)
    length = np.linalg.norm(east, axis=1, keepdims=True)
    east = np.where(length > 1e-12, east / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])
    north = np.cross(middle, east)
    x = np.einsum("ij,ij->i", vectors, east[codes])
    y = np.einsum("ij,ij->i", vectors, north[codes])
    return x * ARCSEC, y * ARCSEC


def numbered(names: Iterable[str | None]) -> Numbers:
    """Return (n,) numbers from 0 for equal names in order of appearance, -1 for None."""
    numbers: dict[str, int] = {}
    found = [-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names]
    return np.array(found, np.int64)


def chained(names: Iterable[str | None]) -> Numbers:
    """Return (m, 2) pairs that chain the samples of each name."""
    last: dict[str, int] = {}
    pairs = []
    for index, name in enumerate(names):
        if name is None:
            continue
        if name in last:
            pairs.append((last[name], index))
        last[name] = index
    return np.array(pairs, np.int64).reshape(-1, 2)


def components(count: int, *pairs: Numbers) -> Numbers:
    """Return (count,) numbers: what is linked through any chain of pairs has one."""
    first, second = np.concatenate(pairs).T
    links = coo_array((np.ones(len(first), np.int8), (first, second)), (count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)
