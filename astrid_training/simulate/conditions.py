"""Under what sky a frame was taken."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from astrid_training.simulate.layouts import Layout
from astrid_training.simulate.plan import SkyPlan, Stream

__all__ = ["FWHM_PER_SIGMA", "Conditions", "draw_epochs", "draw_reference"]

FWHM_PER_SIGMA = 2.3548200450309493
REFERENCE_AGE = timedelta(days=60)
PAIR_GAP_MIN = (38, 52)
NIGHT_GAP_DAYS = (4, 7)
LARGEST_DITHER_PX = 6
SHARPEST_RATIO = 1.03
"""Width of a point source in the sharpest science frame under the air, relative to its reference."""
EDGE_STRIP_SHARE = 0.2
HOLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Conditions:
    """Weather, pointing and losses of one frame."""

    time: datetime
    """Start of the exposure, UTC, whole seconds."""
    sigma_px: float
    """Of the seeing."""
    sky_level: float
    """Units per pixel at the frame's centre."""
    gradient: tuple[float, float]
    """Relative change of the sky over the frame along columns and along rows."""
    throughput: float
    """Units per unit of a clear exposure."""
    airmass: float | None
    """None in space."""
    dither: tuple[int, int]
    """Field column and row of the frame's pixel (0, 0); the reference has (0, 0)."""
    offset_px: tuple[float, float]
    """Astrometric error: how far, in columns and rows, light falls from where the WCS says."""
    bleed_px: tuple[float, ...]
    """Half the length of each saturated star's bleed column."""
    holes: tuple[tuple[int, int, int, int], ...]
    """Missing pixels: first row, end row, first column, end column (ends exclusive)."""

    @property
    def fwhm_px(self) -> float:
        """Of the seeing, before pixels and wings widen it."""
        return self.sigma_px * FWHM_PER_SIGMA

    def sky(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return the sky's light (height, width), units per pixel."""
        rows, columns = (np.linspace(-0.5, 0.5, side) for side in shape)
        tilt = 1 + self.gradient[0] * columns[None, :] + self.gradient[1] * rows[:, None]
        return self.sky_level * tilt

    def missing(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return (height, width), True where the frame has no value."""
        mask = np.zeros(shape, np.bool_)
        for row, end_row, column, end_column in self.holes:
            mask[row:end_row, column:end_column] = True
        return mask


def draw_reference(plan: SkyPlan, field: int) -> Conditions:
    """Return the conditions of a field's reference: the best seeing, nothing moved."""
    rng = plan.random(field, Stream.CONDITIONS)
    layout = plan.instrument
    when = plan.start - REFERENCE_AGE + timedelta(hours=5, minutes=11 * field)
    return Conditions(
        time=when,
        sigma_px=layout.seeing_arcsec[0] / layout.pixel_scale_arcsec / FWHM_PER_SIGMA,
        sky_level=layout.sky_level * rng.uniform(0.75, 0.9),
        gradient=(0.0, 0.0),
        throughput=_through_air(layout, rng.uniform(0.98, 1.02)),
        airmass=_airmass(layout, rng.uniform(1.0, 1.2)),
        dither=(0, 0),
        offset_px=(0.0, 0.0),
        bleed_px=_bleeds(plan, rng),
        holes=_holes(plan, rng, strip_share=0.0),
    )


def draw_epochs(plan: SkyPlan, field: int) -> tuple[Conditions, ...]:
    """Return the conditions of a field's science frames, in order of time."""
    rng = plan.random(field, Stream.EPOCHS)
    layout = plan.instrument
    best, worst = (s / layout.pixel_scale_arcsec / FWHM_PER_SIGMA for s in layout.seeing_arcsec)
    best *= 1.0 if layout.in_space else SHARPEST_RATIO
    drawn = []
    for when in _times(plan, field, rng):
        transparency = _through_air(layout, 1 - 0.25 * rng.beta(1.2, 4))
        dx, dy = rng.integers(-LARGEST_DITHER_PX, LARGEST_DITHER_PX, 2, endpoint=True)
        drawn.append(
            Conditions(
                time=when,
                sigma_px=best + (worst - best) * rng.beta(1.6, 2.6),
                sky_level=layout.sky_level * rng.lognormal(0.0, 0.25),
                gradient=(rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06)),
                throughput=transparency,
                airmass=_airmass(layout, rng.uniform(1.0, 1.9)),
                dither=(int(dx), int(dy)),
                offset_px=(rng.normal(0, 0.02), rng.normal(0, 0.02)),
                bleed_px=_bleeds(plan, rng),
                holes=_holes(plan, rng, EDGE_STRIP_SHARE),
            )
        )
    return tuple(drawn)


def _through_air(layout: Layout, throughput: float) -> float:
    return 1.0 if layout.in_space else throughput


def _airmass(layout: Layout, airmass: float) -> float | None:
    return None if layout.in_space else round(airmass, 2)


def _times(plan: SkyPlan, field: int, rng: np.random.Generator) -> list[datetime]:
    """Return the epochs' times: two a night, nights some days apart."""
    times: list[datetime] = []
    night = plan.start + timedelta(hours=4, minutes=3 * field)
    for epoch in range(plan.epochs):
        if epoch % 2:
            times.append(times[-1] + timedelta(minutes=int(rng.integers(*PAIR_GAP_MIN))))
        else:
            times.append(night + timedelta(minutes=int(rng.integers(0, 60))))
            night += timedelta(days=int(rng.integers(*NIGHT_GAP_DAYS, endpoint=True)))
    return times


def _bleeds(plan: SkyPlan, rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(rng.uniform(9, 34, plan.saturated_stars).round(1).tolist())


def _holes(
    plan: SkyPlan, rng: np.random.Generator, strip_share: float
) -> tuple[tuple[int, int, int, int], ...]:
    """Return the missing areas: perhaps a strip at one side, perhaps a block or two."""
    height, width = plan.frame_size
    holes = []
    strip, side = int(rng.integers(6, 26)), rng.integers(4)
    if rng.random() < strip_share:
        rows = ((0, strip, 0, width), (height - strip, height, 0, width))
        columns = ((0, height, 0, strip), (0, height, width - strip, width))
        holes.append((*rows, *columns)[side])
    for _ in range(2):
        tall, wide = rng.integers(12, 45, 2)
        row, column = rng.integers(0, height - tall), rng.integers(0, width - wide)
        if rng.random() < HOLE_SHARE:
            holes.append((int(row), int(row + tall), int(column), int(column + wide)))
    return tuple(holes)
