"""What is on a frame but not on the sky: the truth behind the bogus detections."""

import numpy as np

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.pixels import Floats
from astrid_training.simulate.plan import SkyPlan, Stream
from astrid_training.simulate.sky import Field, Source, Track

__all__ = ["BLEED_TAIL_PX", "HOT_PIXELS", "bleed_light", "draw_artifacts", "draw_hot_pixels"]

HOT_PIXELS = 6
"""A field's detector has so many; they are in each science frame, at one place of the detector."""
KIND_SHARES = {
    "cosmic_ray": 0.42,
    "dipole": 0.24,
    "saturation_bleed": 0.12,
    "hot_pixel": 0.17,
    "satellite_trail": 0.05,
}
"""Of all artifacts; where a layout lacks a kind, the others share its part."""
ONCE_A_FRAME = ("satellite_trail",)
BLEED_TAIL_PX = 5.0
BLEED_TAIL_SHARE = 0.35
DIPOLE_FLUX_PERCENTILE = 92
CLEAR_PX = 12.0
TRIES = 40


def bleed_light(rows_away: Floats, half_length_px: float, saturation: float) -> Floats:
    """Return a bleed column's light at distances from its star: full, then a falling tail."""
    beyond = np.maximum(np.abs(rows_away) - half_length_px, 0.0)
    tail = BLEED_TAIL_SHARE * saturation * np.exp(-beyond / BLEED_TAIL_PX)
    return np.where(beyond > 0, tail, saturation)


def draw_hot_pixels(plan: SkyPlan, field: int) -> list[tuple[int, int, float]]:
    """Return (column, row, charge) of the detector's hot pixels, 0-based, in image units."""
    rng = plan.random(field, Stream.REFERENCE)
    height, width = plan.frame_size
    columns, rows = (rng.integers(12, side - 12, HOT_PIXELS) for side in (width, height))
    charges = rng.lognormal(np.log(2500), 0.6, HOT_PIXELS) * plan.instrument.count
    return [(int(x), int(y), float(q)) for x, y, q in zip(columns, rows, charges, strict=True)]


def draw_artifacts(
    plan: SkyPlan, field: Field, reference: Conditions, epochs: tuple[Conditions, ...]
) -> tuple[Source, ...]:
    """Return the artifacts of all science frames of a field.

    Positions are field positions like those of real sources, although most artifacts belong to
    the detector: so all sources are handled alike.
    """
    rng = plan.random(field.index, Stream.ARTIFACTS)
    artist = _Artist(plan, field, reference, epochs, rng)
    drawn: list[Source] = []
    kinds = plan.instrument.artifacts
    shares = np.array([KIND_SHARES[kind] for kind in kinds])
    for epoch in range(plan.epochs):
        artist.begin(epoch)
        for number in range(plan.artifacts):
            kind = str(rng.choice(kinds, p=shares / shares.sum()))
            track, star = artist.draw(kind) or (None, -1)
            if track is None:  # nothing left to blame in this frame: a particle always comes
                kind, (track, star) = "cosmic_ray", artist.cosmic_ray()
            name = f"{field.name}-e{epoch:02d}-{kind.replace('_', '-')}-{number:02d}"
            drawn.append(Source(name, "artifact", {epoch: track}, artifact=kind, star=star))
    return tuple(drawn)


class _Artist:
    """Draws artifacts frame by frame, never two at one place."""

    def __init__(
        self,
        plan: SkyPlan,
        field: Field,
        reference: Conditions,
        epochs: tuple[Conditions, ...],
        rng: np.random.Generator,
    ) -> None:
        self._plan, self._field, self._rng = plan, field, rng
        self._reference, self._epochs = reference, epochs
        self._hot = draw_hot_pixels(plan, field.index)
        self._frame = epochs[0]
        self._taken: list[tuple[float, float]] = []
        self._used: set[str] = set()

    def begin(self, epoch: int) -> None:
        """Start a frame: only its real sources and saturated stars are in the way."""
        self._frame = self._epochs[epoch]
        bright = self._field.bright
        tracks = [s.tracks[epoch] for s in self._field.real if epoch in s.tracks]
        self._taken = [(t.x, t.y) for t in tracks]
        self._taken += zip(bright.x.tolist(), bright.y.tolist(), strict=True)
        self._used = set()

    def draw(self, kind: str) -> tuple[Track, int] | None:
        """Return a track and the star to blame (-1: none), or None if the frame has no more."""
        if kind in ONCE_A_FRAME:
            if kind in self._used:
                return None
            self._used.add(kind)
        makers = {
            "cosmic_ray": self.cosmic_ray,
            "dipole": self._dipole,
            "saturation_bleed": self._bleed,
            "hot_pixel": self._hot_pixel,
            "satellite_trail": self._satellite,
        }
        return makers[kind]()

    def cosmic_ray(self) -> tuple[Track, int]:
        """Return a particle's hit: one pixel or a short straight track."""
        x, y = self._free_place(margin=8)
        long = self._rng.random() < 0.45
        half = self._rng.uniform(1, 4) if long else 0.0
        angle = self._rng.uniform(0, np.pi)
        counts = float(np.clip(self._rng.lognormal(np.log(900), 0.8), 250, 20_000))
        charge = counts * self._plan.instrument.count
        return Track(x, y, charge, half * np.cos(angle), half * np.sin(angle)), -1

    def _dipole(self) -> tuple[Track, int] | None:
        stars = self._field.stars
        height, width = self._plan.frame_size
        bright = stars.flux >= np.percentile(stars.flux, DIPOLE_FLUX_PERCENTILE)
        inside = (np.abs(stars.x - width / 2) < width / 2 - 15) & (
            np.abs(stars.y - height / 2) < height / 2 - 15
        )
        for star in self._rng.permutation(np.flatnonzero(bright & inside)):
            x, y = float(stars.x[star]), float(stars.y[star])
            if self._is_clear(x, y):
                self._taken.append((x, y))
                shift, angle = self._rng.uniform(0.25, 0.7), self._rng.uniform(0, 2 * np.pi)
                dx, dy = shift * np.cos(angle), shift * np.sin(angle)
                return Track(x, y, float(stars.flux[star]), dx, dy), int(star)
        return None

    def _bleed(self) -> tuple[Track, int] | None:
        """Return the end of a bleed column: its length differs from frame to frame."""
        bright = self._field.bright
        for star in self._rng.permutation(bright.x.size):
            end = self._rng.choice([-1.0, 1.0])
            away = self._frame.bleed_px[star] + BLEED_TAIL_PX
            column = self._frame.dither[0] + round(float(bright.x[star]) - self._frame.dither[0])
            x, y = float(column), float(np.rint(bright.y[star] + end * away))
            if self._is_clear(x, y):
                self._taken.append((x, y))
                level = self._plan.instrument.saturation
                lengths = (self._frame.bleed_px[star], self._reference.bleed_px[star])
                new, old = (float(bleed_light(np.array(away), n, level)) for n in lengths)
                return Track(x, y, new - old, 0.0, BLEED_TAIL_PX), int(star)
        return None

    def _hot_pixel(self) -> tuple[Track, int] | None:
        for number in self._rng.permutation(len(self._hot)):
            column, row, charge = self._hot[number]
            x, y = float(column + self._frame.dither[0]), float(row + self._frame.dither[1])
            if self._is_clear(x, y):
                self._taken.append((x, y))
                return Track(x, y, charge), -1
        return None

    def _satellite(self) -> tuple[Track, int]:
        """Return a line that crosses the whole frame; its light is that of one pixel's length."""
        x, y = self._free_place(margin=30)
        half, angle = float(np.hypot(*self._plan.frame_size)), self._rng.uniform(0, np.pi)
        light = float(self._rng.uniform(150, 500)) * self._plan.instrument.count
        return Track(x, y, light, half * np.cos(angle), half * np.sin(angle)), -1

    def _free_place(self, margin: int) -> tuple[float, float]:
        """Return the centre of a pixel of the frame (as a field position), and take it."""
        height, width = self._plan.frame_size
        dx, dy = self._frame.dither
        for _ in range(TRIES):
            x = float(self._rng.integers(margin, width - margin) + dx)
            y = float(self._rng.integers(margin, height - margin) + dy)
            if self._is_clear(x, y):
                break
        self._taken.append((x, y))
        return x, y

    def _is_clear(self, x: float, y: float) -> bool:
        return all(max(abs(x - a), abs(y - b)) > CLEAR_PX for a, b in self._taken)
