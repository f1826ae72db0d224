"""Render the frames of a field: science, reference, and science minus matched reference."""

import numpy as np
from scipy import ndimage

from astrid_training.simulate.artifacts import bleed_light, draw_hot_pixels
from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.layouts import Layout
from astrid_training.simulate.pixels import (
    Blobs,
    Floats,
    galaxy_blobs,
    join,
    paint,
    point_blobs,
)
from astrid_training.simulate.plan import SkyPlan, Stream
from astrid_training.simulate.sky import Field, Source, Stars

__all__ = ["move", "render_reference", "render_science", "subtract"]

TRAIL_STEP_PX = 0.5
QUANTUM = 2.0**-6
"""Of pixel values, counts: far below the noise, far above the last bits in which two CPUs may differ."""


def render_reference(plan: SkyPlan, field: Field, conditions: Conditions) -> Floats:
    """Return the deep, older frame (height, width), units; NaN = missing.

    It is the average of many exposures, with variable stars at their mean and nothing new.
    """
    rng = plan.random(field.index, Stream.NOISE - 1)
    static = [s for s in field.real if s.reference_flux]
    light = _static_light(field, conditions, field.stars)
    if static:
        places = [next(iter(s.tracks.values())) for s in static]
        x, y = np.array([(t.x, t.y) for t in places]).T
        flux = np.array([s.reference_flux for s in static])
        light = join(light, point_blobs(flux, x, y, conditions.sigma_px))
    return _expose(plan, field, conditions, light, {}, rng, plan.instrument.reference_exposures)


def render_science(
    plan: SkyPlan, field: Field, conditions: Conditions, epoch: int, artifacts: tuple[Source, ...]
) -> Floats:
    """Return the science frame (height, width) of `epoch`, units; NaN = missing.

    Args:
        plan: the survey.
        field: what is on the sky.
        conditions: of this epoch.
        epoch: 0-based.
        artifacts: of the field; those of other epochs are left out.
    """
    here = [s for s in artifacts if epoch in s.tracks]
    stars = _displace(field.stars, [s for s in here if s.artifact == "dipole"], epoch)
    light = _static_light(field, conditions, stars)
    shining = [s for s in field.real if epoch in s.tracks]
    trails = [s for s in here if s.artifact == "satellite_trail"]
    for source in (*shining, *trails):
        light = join(light, _trail(source, epoch, conditions.sigma_px))
    charges = {(x, y): charge for x, y, charge in draw_hot_pixels(plan, field.index)}
    for source in here:
        if source.artifact == "cosmic_ray":
            charges |= _charges(source, epoch, conditions)
    rng = plan.random(field.index, Stream.NOISE + epoch)
    return _expose(plan, field, conditions, light, charges, rng, exposures=1)


def subtract(
    science: Floats, reference: Floats, new: Conditions, old: Conditions, count: float = 1.0
) -> Floats:
    """Return science minus reference on the science frame's pixels and in its units.

    The reference is blurred to the science frame's seeing, scaled to its throughput and moved by
    whole pixels. Both skies are taken away first. NaN where either frame is missing or does not
    reach.

    Args:
        science: (height, width), units.
        reference: (height, width), units.
        new: conditions of the science frame; its seeing is the worse one.
        old: conditions of the reference.
        count: units a count.
    """
    blur = np.sqrt(max(new.sigma_px**2 - old.sigma_px**2, 0.0))
    above_sky = reference - old.sky(reference.shape)
    matched = ndimage.gaussian_filter(np.nan_to_num(above_sky), blur)
    matched[np.isnan(above_sky)] = np.nan
    matched *= new.throughput / old.throughput
    difference = science - new.sky(science.shape) - move(matched, new.dither)
    return _rounded(difference, count)


def _rounded(image: Floats, count: float) -> Floats:
    quantum = QUANTUM * count
    rounded: Floats = np.rint(image / quantum) * quantum
    return rounded


def move(image: Floats, dither: tuple[int, int]) -> Floats:
    """Return the part of `image` that a frame with this dither sees; NaN beyond its edges."""
    height, width = image.shape
    dx, dy = dither
    moved = np.full_like(image, np.nan)
    rows = slice(max(0, -dy), min(height, height - dy))
    columns = slice(max(0, -dx), min(width, width - dx))
    moved[rows, columns] = image[
        rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx
    ]
    return moved


def _static_light(field: Field, conditions: Conditions, stars: Stars) -> Blobs:
    """Return stars and galaxies at field positions, in units of a clear exposure."""
    sigma, g = conditions.sigma_px, field.galaxies
    parts = [
        point_blobs(stars.flux, stars.x, stars.y, sigma),
        point_blobs(field.bright.flux, field.bright.x, field.bright.y, sigma),
        galaxy_blobs(g.flux, g.x, g.y, (g.radius_px, g.axis_ratio, g.angle), sigma),
    ]
    return join(*parts)


def _displace(stars: Stars, dipoles: list[Source], epoch: int) -> Stars:
    """Return the stars with those moved that leave a dipole in this frame."""
    x, y = stars.x.copy(), stars.y.copy()
    for dipole in dipoles:
        x[dipole.star] += dipole.tracks[epoch].half_x
        y[dipole.star] += dipole.tracks[epoch].half_y
    return Stars(x, y, stars.flux)


def _trail(source: Source, epoch: int, sigma_px: float) -> Blobs:
    """Return a source as points along its trail; a satellite's light is that of each pixel."""
    track = source.tracks[epoch]
    length = 2 * np.hypot(track.half_x, track.half_y)
    points = max(1, int(np.ceil(length / TRAIL_STEP_PX)))
    along = (np.arange(points) + 0.5) / points * 2 - 1
    each = track.flux * length / points if source.artifact else track.flux / points
    x, y = track.x + along * track.half_x, track.y + along * track.half_y
    return point_blobs(np.full(points, each), x, y, sigma_px)


def _charges(source: Source, epoch: int, conditions: Conditions) -> dict[tuple[int, int], float]:
    """Return the (column, row) of the frame that a particle hits, and the charge it leaves."""
    track = source.tracks[epoch]
    steps = int(np.ceil(2 * max(abs(track.half_x), abs(track.half_y)))) + 1
    along = np.linspace(-1, 1, steps) if steps > 1 else np.zeros(1)
    columns = np.rint(track.x + along * track.half_x).astype(int) - conditions.dither[0]
    rows = np.rint(track.y + along * track.half_y).astype(int) - conditions.dither[1]
    return {(int(x), int(y)): track.flux for x, y in zip(columns, rows, strict=True)}


def _expose(
    plan: SkyPlan,
    field: Field,
    conditions: Conditions,
    light: Blobs,
    charges: dict[tuple[int, int], float],
    rng: np.random.Generator,
    exposures: int,
) -> Floats:
    """Return the detector's answer: sky, Poisson and read noise, charges, bleeding, losses."""
    layout, shape = plan.instrument, plan.frame_size
    (dx, dy), (off_x, off_y) = conditions.dither, conditions.offset_px
    on_frame = Blobs(
        light.flux * conditions.throughput,
        light.x - dx + off_x,
        light.y - dy + off_y,
        light.xx,
        light.yy,
        light.xy,
    )
    expected = conditions.sky(shape) + paint(shape, on_frame)
    gain = layout.gain * exposures
    read_noise = layout.read_noise * np.sqrt(exposures)
    electrons = rng.poisson(expected * gain) + read_noise * rng.standard_normal(shape)
    image: Floats = electrons / gain
    for (column, row), charge in charges.items():
        if 0 <= row < shape[0] and 0 <= column < shape[1]:
            image[row, column] += charge
    if "saturation_bleed" in layout.artifacts:
        _bleed(image, field.bright, conditions, layout)
    image = np.minimum(_rounded(image, layout.count), layout.saturation)
    if layout.blanks_full_pixels:
        image[image >= layout.saturation] = np.nan
    image[conditions.missing(shape)] = np.nan
    return image


def _bleed(image: Floats, bright: Stars, conditions: Conditions, layout: Layout) -> None:
    """Add each saturated star's bleed column to `image`, in place."""
    rows = np.arange(image.shape[0], dtype=np.float64)
    dx, dy = conditions.dither
    for x, y, half_length in zip(bright.x, bright.y, conditions.bleed_px, strict=True):
        column = round(float(x) - dx)
        if 0 <= column < image.shape[1]:
            image[:, column] += bleed_light(rows - (y - dy), half_length, layout.saturation)
