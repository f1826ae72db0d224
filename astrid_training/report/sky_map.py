"""Where the samples lie on the sky: marks by split, few enough to be drawn."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.healpix import BASE_WIDTH_ARCSEC, tile_numbers, tile_order
from astrid_training.report.charts import Tick, nice_ticks

__all__ = ["MOST_MARKS", "Mark", "SkyMap", "mollweide", "sky_map"]

MOST_MARKS = 600
FINEST_ARCSEC = 20.0
TILES_ACROSS = 60  # marks are about as wide as a tile, and should not lie on each other
LARGEST_FIELD_DEG = 40.0  # from the middle; beyond, the whole sky is drawn
LEAST_FIELD_DEG = 0.02
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 64, 16, 14, 46
SIZES = 4.0, 11.0  # half the width of the smallest and of the largest mark
NEWTON_STEPS = 30  # it converges slowly at the poles

Floats = NDArray[np.float64]
Project = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Right ascensions and declinations, degrees, to x and y of the drawing."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Samples of one split in one tile of the sky."""

    x: float
    y: float
    size: float
    """Half its width; its area grows with the number of samples."""
    split: str
    count: int


@dataclass(frozen=True, slots=True)
class _Paper:
    """What is drawn upon."""

    project: Project
    height: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    grid: list[str]


@dataclass(frozen=True, slots=True)
class SkyMap:
    """A drawing of `width` by `height` units; north is up and east to the left."""

    whole_sky: bool
    """Mollweide's projection of all the sky; else a field, right ascensions shrunk by cos(dec)."""
    tile_arcsec: float
    """Width of the tiles that marks stand for."""
    marks: list[Mark]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    grid: list[str]
    """Points of the lines of equal right ascension and declination."""
    height: float
    width: float = WIDTH
    left: float = LEFT
    top: float = TOP
    right: float = WIDTH - RIGHT

    @property
    def bottom(self) -> float:
        """Y of the lower end of the sky."""
        return self.height - BOTTOM

    def count(self, split: str) -> int:
        """Return how many samples the marks of a split stand for."""
        return sum(mark.count for mark in self.marks if mark.split == split)


def sky_map(samples: pa.Table, splits: Sequence[str]) -> SkyMap | None:
    """Return the map of all samples with a position, None where there is none.

    Each mark stands for the samples of one split in one tile, at their mean place; tiles are as
    small as they can be with no more than `MOST_MARKS` marks.

    Args:
        samples: the samples table.
        splits: in the order in which they are drawn, the first below.
    """
    placed = samples.select(["ra_deg", "dec_deg", "split"]).drop_null()
    if not placed.num_rows:
        return None
    ra, dec = placed["ra_deg"].to_numpy(), placed["dec_deg"].to_numpy()
    place = {split: number for number, split in enumerate(splits)}
    split = np.array([place[name] for name in placed["split"].to_pylist()])
    middle, reach = _middle(ra, dec)
    whole_sky = reach > LARGEST_FIELD_DEG
    width_deg = 360 if whole_sky else 2 * max(reach, LEAST_FIELD_DEG)
    tile_arcsec, tiles = _tiles(ra, dec, split, width_deg)
    at_ra, at_dec, of, count = _gathered(ra, dec, split, tiles)
    paper = _whole_sky() if whole_sky else _field(middle, at_ra, at_dec)
    x, y = paper.project(at_ra, at_dec)
    size = SIZES[0] + (SIZES[1] - SIZES[0]) * np.sqrt(count / count.max())
    order = np.lexsort((x, y, -count, of))
    marks = [
        Mark(round(float(x[n]), 1), round(float(y[n]), 1), round(float(size[n]), 1), splits[of[n]], int(count[n]))
        for n in order
    ]  # fmt: skip
    return SkyMap(
        whole_sky, tile_arcsec, marks, paper.x_ticks, paper.y_ticks, paper.grid, paper.height
    )


def _tiles(
    ra: Floats, dec: Floats, split: NDArray[np.int64], width_deg: float
) -> tuple[float, NDArray[np.int64]]:
    """Return the width of the tiles and, per sample, a number of its tile and split together."""
    order = tile_order(max(width_deg * 3600 / TILES_ACROSS, FINEST_ARCSEC))
    while True:
        both = tile_numbers(order, ra, dec) * (int(split.max()) + 1) + split
        if order == 0 or len(np.unique(both)) <= MOST_MARKS:
            return BASE_WIDTH_ARCSEC / 2**order, both
        order -= 1


def _gathered(
    ra: Floats, dec: Floats, split: NDArray[np.int64], tiles: NDArray[np.int64]
) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return mean right ascension and declination, split and number of the samples of each tile."""
    _, first, inverse, count = np.unique(
        tiles, return_index=True, return_inverse=True, return_counts=True
    )
    x, y, z = (np.bincount(inverse, axis).astype(np.float64) for axis in _vectors(ra, dec))
    return *_angles(x, y, z), split[first], count


def _vectors(ra: Floats, dec: Floats) -> tuple[Floats, Floats, Floats]:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)


def _angles(x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _middle(ra: Floats, dec: Floats) -> tuple[tuple[float, float], float]:
    """Return the mean direction and how far the farthest lies from it, degrees."""
    vectors = np.stack(_vectors(ra, dec))
    mean = vectors.mean(axis=1)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        return (0.0, 0.0), 180.0
    apart = np.degrees(np.arccos(np.clip(mean / length @ vectors, -1, 1)))
    middle = _angles(*(mean[axis : axis + 1] for axis in range(3)))
    return (float(middle[0][0]), float(middle[1][0])), float(apart.max())


def _field(middle: tuple[float, float], ra: Floats, dec: Floats) -> _Paper:
    """Return the paper of a part of the sky, with the same scale across and up."""
    shrink = max(math.cos(math.radians(middle[1])), 0.05)
    east, north = _turned(ra, middle[0]), dec
    span_x = max(float(np.ptp(east)) * shrink, LEAST_FIELD_DEG) * 1.1
    span_y = max(float(np.ptp(north)), LEAST_FIELD_DEG, span_x / 4) * 1.1
    span_x = max(span_x, span_y)  # a tall field would run off the page
    middle_x, middle_y = (float(east.max() + east.min()) / 2, float(dec.max() + dec.min()) / 2)
    scale = (WIDTH - LEFT - RIGHT) / span_x
    height = TOP + BOTTOM + span_y * scale

    def project(ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        x = (LEFT + WIDTH - RIGHT) / 2 - (_turned(ra, middle[0]) - middle_x) * shrink * scale
        return x, TOP + (span_y / 2 - (dec - middle_y)) * scale

    half = span_x / shrink / 2
    ras = nice_ticks(middle[0] + middle_x - half, middle[0] + middle_x + half)
    decs = nice_ticks(max(middle_y - span_y / 2, -90), min(middle_y + span_y / 2, 90), 4)
    x, _ = project(np.array(ras), np.zeros(len(ras)))
    _, y = project(np.zeros(len(decs)), np.array(decs))
    return _Paper(
        project,
        round(height, 1),
        [Tick(round(float(at), 1), f"{value % 360:g}°") for at, value in zip(x, ras, strict=True)],
        [
            Tick(round(float(at), 1), f"{value:+g}°" if value else "0°")
            for at, value in zip(y, decs, strict=True)
        ],
        [],
    )


def _turned(ra: Floats, middle: float) -> Floats:
    """Return right ascensions from -180 to 180 degrees about the middle."""
    return (ra - middle + 180) % 360 - 180


def _whole_sky() -> _Paper:
    """Return the paper of Mollweide's projection, right ascension 180 degrees in the middle."""
    half = (WIDTH - LEFT - RIGHT) / 2

    def project(ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        x, y = mollweide(ra - 180, dec)
        return LEFT + half * (1 - x), TOP + half / 2 * (1 - y)

    along, up = np.linspace(0.0, 360, 73), np.linspace(-90.0, 90, 37)
    meridians = [(np.full(up.shape, ra), up) for ra in range(0, 361, 60)]
    parallels = [(along, np.full(along.shape, dec)) for dec in range(-60, 61, 30)]
    across, _ = project(np.arange(60.0, 301, 60), np.zeros(5))
    _, ups = project(np.full(5, 360.0), np.arange(-60.0, 61, 30))
    return _Paper(
        project,
        round(TOP + half + BOTTOM, 1),
        [Tick(round(float(at), 1), f"{ra}°") for at, ra in zip(across, range(60, 301, 60), strict=True)],
        [Tick(round(float(at), 1), f"{d:+d}°" if d else "0°") for at, d in zip(ups, range(-60, 61, 30), strict=True)],
        [_points(*project(*line)) for line in [*meridians, *parallels]],
    )  # fmt: skip


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def mollweide(lon_deg: Floats, lat_deg: Floats) -> tuple[Floats, Floats]:
    """Return x from -1 to 1 and y from -1 to 1 of Mollweide's equal-area projection.

    Args:
        lon_deg: (n,) degrees from the middle, -180 to 180; x grows with it.
        lat_deg: (n,) degrees.

    Source: Snyder 1987, Map Projections: A Working Manual, page 249.
    """
    lat = np.radians(lat_deg)
    theta = lat.copy()
    for _ in range(NEWTON_STEPS):
        slope = np.maximum(2 + 2 * np.cos(2 * theta), 1e-12)
        theta = theta - (2 * theta + np.sin(2 * theta) - np.pi * np.sin(lat)) / slope
    theta = np.clip(theta, -np.pi / 2, np.pi / 2)
    return np.asarray(lon_deg) / 180 * np.cos(theta), np.sin(theta)
