"""The truth: what is on the sky of one field, and how it shines at each epoch."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.pixels import Floats
from astrid_training.simulate.plan import SkyPlan, Stream

__all__ = ["Field", "Galaxies", "Source", "Stars", "Track", "draw_field"]

EDGE_SHARE = 0.12
"""Of the sources lie where a stamp round them leaves the frame."""
EDGE_ZONE_PX = (8.0, 30.0)
INNER_MARGIN_PX = 38.0
GAP_PX = 16.0
RISE_DAYS, FALL_DAYS = 7.0, 28.0
FAST_SHARE = 0.3
SAME_NIGHT_DAYS = 0.2
BEFORE_ZERO_DEG, BEFORE_ZERO_SCALE = 0.01, 1.01
"""How far field 1 lies before right ascension zero, at a scale in arcsec/px."""


@dataclass(frozen=True, slots=True)
class Stars:
    """Point sources that never change; one an element."""

    x: Floats
    """Field columns: those of the reference frame, 0-based."""
    y: Floats
    flux: Floats
    """Units in one clear exposure."""


@dataclass(frozen=True, slots=True)
class Galaxies:
    """Elliptical disks; one an element."""

    x: Floats
    y: Floats
    flux: Floats
    radius_px: Floats
    """Scale radius of the major axis."""
    axis_ratio: Floats
    angle: Floats
    """Of the major axis from +x towards +y, radians."""


@dataclass(frozen=True, slots=True)
class Track:
    """One source at one epoch."""

    x: float
    """Field column of its middle."""
    y: float
    flux: float
    """Units in one clear exposure; for charges, units in each pixel."""
    half_x: float = 0.0
    """Half the trail along columns; for a dipole, the star's displacement."""
    half_y: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """Something that a difference image can show."""

    name: str
    true_class: str
    tracks: dict[int, Track]
    """By epoch."""
    reference_flux: float = 0.0
    """Units in one clear exposure, at the place of every track (variable stars)."""
    artifact: str = ""
    """Kind of artifact; empty for what is real."""
    star: int = -1
    """Index of the field star (dipole) or saturated star (bleed) that is to blame."""


@dataclass(frozen=True, slots=True)
class Field:
    """One place on the sky and all that is there."""

    index: int
    name: str
    ra_deg: float
    dec_deg: float
    rotation_deg: float
    """Of the frame's rows against north; small, but not small enough to swap axes unseen."""
    band: str
    stars: Stars
    bright: Stars
    """Saturated ones."""
    galaxies: Galaxies
    real: tuple[Source, ...]


def draw_field(plan: SkyPlan, index: int, epochs: tuple[Conditions, ...]) -> Field:
    """Return the sky of field `index`. Field 1 lies across right ascension zero."""
    rng = plan.random(index, Stream.STARS)
    name = f"f{index:03d}"
    layout = plan.instrument
    before_zero = BEFORE_ZERO_DEG * (layout.pixel_scale_arcsec / BEFORE_ZERO_SCALE)
    ra = rng.uniform(0, 360) if index != 1 else 360 - before_zero
    stars, bright = _draw_stars(plan, rng)
    dec, rotation = rng.uniform(-25, 70), rng.uniform(3, 12) * rng.choice([-1, 1])
    galaxies = _draw_galaxies(plan, rng)
    rng = plan.random(index, Stream.SOURCES)
    taken = list(zip(bright.x, bright.y, strict=True))
    supernovae, hosts = _draw_supernovae(plan, rng, epochs, taken, name)
    real = (
        *supernovae,
        *_draw_variables(plan, rng, epochs, taken, name),
        *_draw_asteroids(plan, rng, epochs, taken, name),
    )
    return Field(
        index=index,
        name=name,
        ra_deg=round(float(ra), 6),
        dec_deg=round(float(dec), 6),
        rotation_deg=round(float(rotation), 4),
        band=layout.bands[index % len(layout.bands)],
        stars=stars,
        bright=bright,
        galaxies=_join_galaxies(galaxies, hosts),
        real=real,
    )


def _flux(plan: SkyPlan, mag: Floats | float) -> Floats:
    """Return units in one clear exposure of what has these magnitudes before `fainter_mag`."""
    layout = plan.instrument
    return np.asarray(10 ** (0.4 * (layout.zero_point - (mag + layout.fainter_mag))))


def _draw_stars(plan: SkyPlan, rng: np.random.Generator) -> tuple[Stars, Stars]:
    """Return faint to middling stars, counts rising with magnitude, and saturated ones."""
    height, width = plan.frame_size
    n = plan.stars
    steepness, brightest, faintest = 0.28 * np.log(10), 13.8, 20.8
    span = np.expm1(steepness * (faintest - brightest))
    mag = brightest + np.log1p(rng.random(n) * span) / steepness
    mag[: n // 17] = rng.uniform(brightest, 16.0, n // 17)  # a few that can make dipoles
    x, y = rng.uniform(-8, width + 8, n), rng.uniform(-8, height + 8, n)
    k = plan.saturated_stars
    bright = Stars(
        rng.uniform(30, width - 30, k),
        rng.uniform(45, height - 45, k),
        _flux(plan, rng.uniform(9.8, 11.2, k)),
    )
    return Stars(x, y, _flux(plan, mag)), bright


def _draw_galaxies(plan: SkyPlan, rng: np.random.Generator) -> Galaxies:
    height, width = plan.frame_size
    n = plan.galaxies
    return Galaxies(
        rng.uniform(-10, width + 10, n),
        rng.uniform(-10, height + 10, n),
        _flux(plan, 20.5 - rng.gamma(2.0, 0.7, n)),
        rng.lognormal(np.log(1.8), 0.4, n) * plan.instrument.galaxy_size,
        rng.uniform(0.3, 1.0, n),
        rng.uniform(0, np.pi, n),
    )


def _join_galaxies(*parts: Galaxies) -> Galaxies:
    columns = zip(
        *((p.x, p.y, p.flux, p.radius_px, p.axis_ratio, p.angle) for p in parts), strict=True
    )
    return Galaxies(*(np.concatenate(column) for column in columns))


def _place(
    plan: SkyPlan, rng: np.random.Generator, taken: list[tuple[float, float]]
) -> tuple[float, float]:
    """Return a field position away from those `taken`, and take it."""
    height, width = plan.frame_size
    for _ in range(200):
        margin = rng.uniform(*EDGE_ZONE_PX) if rng.random() < EDGE_SHARE else INNER_MARGIN_PX
        x, y = rng.uniform(margin, width - 1 - margin), rng.uniform(margin, height - 1 - margin)
        if margin != INNER_MARGIN_PX:  # on the border of the smaller box, not inside it
            along_x, far = rng.random() < 0.5, rng.random() < 0.5
            x = x if along_x else (width - 1 - margin if far else margin)
            y = (height - 1 - margin if far else margin) if along_x else y
        if all(max(abs(x - a), abs(y - b)) > GAP_PX for a, b in taken):
            break
    taken.append((x, y))
    return x, y


def _days(epochs: tuple[Conditions, ...], since: datetime) -> list[float]:
    return [(c.time - since).total_seconds() / 86400 for c in epochs]


def _draw_supernovae(
    plan: SkyPlan,
    rng: np.random.Generator,
    epochs: tuple[Conditions, ...],
    taken: list[tuple[float, float]],
    field: str,
) -> tuple[list[Source], Galaxies]:
    """Return supernovae beside their hosts' centres: a fast rise, a slow fall."""
    n = plan.transients
    host_flux = _flux(plan, rng.uniform(16.8, 19.3, n))
    radius = rng.uniform(2.0, 4.5, n) * plan.instrument.galaxy_size
    ratio = rng.uniform(0.35, 1.0, n)
    angle = rng.uniform(0, np.pi, n)
    places, sources = [], []
    for number in range(n):
        x, y = _place(plan, rng, taken)
        distance = rng.uniform(0.2, 1.6) * radius[number]
        places.append((x - distance * np.cos(angle[number]), y - distance * np.sin(angle[number])))
        peak = float(_flux(plan, rng.uniform(17.3, 20.5)))
        phases = np.array(_days(epochs, epochs[0].time)) - rng.uniform(-30, 12)
        light = np.where(
            phases < 0, np.exp(-0.5 * (phases / RISE_DAYS) ** 2), np.exp(-phases / FALL_DAYS)
        )
        tracks = {e: Track(x, y, peak * float(f)) for e, f in enumerate(light)}
        sources.append(Source(f"{field}-supernova-{number:02d}", "supernova", tracks))
    xs, ys = np.array(places).reshape(n, 2).T
    return sources, Galaxies(xs, ys, host_flux, radius, ratio, angle)


def _draw_variables(
    plan: SkyPlan,
    rng: np.random.Generator,
    epochs: tuple[Conditions, ...],
    taken: list[tuple[float, float]],
    field: str,
) -> list[Source]:
    """Return pulsating stars; the reference has their mean, so half the epochs are negative."""
    sources = []
    for number in range(plan.variables):
        x, y = _place(plan, rng, taken)
        mean = float(_flux(plan, rng.uniform(15.5, 18.8)))
        amplitude, period = rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.9)
        phases = 2 * np.pi * (np.array(_days(epochs, epochs[0].time)) / period + rng.random())
        mags = amplitude * (np.sin(phases) + 0.4 * np.sin(2 * phases))
        light = mean * 10 ** (-0.4 * mags)
        tracks = {e: Track(x, y, float(f)) for e, f in enumerate(light)}
        name = f"{field}-variable-{number:02d}"
        sources.append(Source(name, "variable_star", tracks, reference_flux=mean))
    return sources


def _draw_asteroids(
    plan: SkyPlan,
    rng: np.random.Generator,
    epochs: tuple[Conditions, ...],
    taken: list[tuple[float, float]],
    field: str,
) -> list[Source]:
    """Return moving points, some so fast that they leave a trail; each in one night only."""
    layout = plan.instrument
    sources = []
    for number in range(plan.asteroids):
        x, y = _place(plan, rng, taken)
        seen_at = int(rng.integers(plan.epochs))
        fast = rng.random() < FAST_SHARE
        rate = rng.uniform(6, 18) if fast else float(np.clip(rng.lognormal(-0.7, 0.5), 0.2, 2))
        rate *= layout.motion
        flux = float(_flux(plan, rng.uniform(15.8, 18.2) if fast else rng.uniform(17.0, 20.0)))
        angle = rng.uniform(0, 2 * np.pi)
        step = rate / layout.pixel_scale_arcsec * np.array([np.cos(angle), np.sin(angle)])
        half_x, half_y = (float(v) for v in step * layout.exposure_s / 60 / 2)
        tracks = {}
        for epoch, days in enumerate(_days(epochs, epochs[seen_at].time)):
            if abs(days) < SAME_NIGHT_DAYS:
                dx, dy = (float(v) for v in step * days * 24 * 60)
                tracks[epoch] = Track(x + dx, y + dy, flux, half_x, half_y)
        sources.append(Source(f"{field}-asteroid-{number:02d}", "asteroid", tracks))
    return sources
