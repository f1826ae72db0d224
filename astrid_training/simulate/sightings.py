"""What of the truth shows in a difference image, and what two model versions make of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_training.simulate.conditions import Conditions
from astrid_training.simulate.pixels import psf_radius
from astrid_training.simulate.plan import SkyPlan
from astrid_training.simulate.sky import Source

__all__ = ["MODEL_VERSIONS", "Detection", "Sighting", "detect", "find_sightings"]

MODEL_VERSIONS = ("v1", "v2")
LEAST_SNR = 5.5
FOUND_SHARE = {"v1": 0.94, "v2": 0.97}
EDGE_PX = 2
PIXEL_RADIUS = 0.7
BLEED_RADIUS_PX = 1.5
CENTROID_PX = 0.08
"""Scatter of a bright source's measured position, and of one model version against the other."""
GUESSES = {
    "supernova": (("SUPERNOVA", 0.65), ("TRANSIENT", 0.25), ("VARIABLE", 0.1)),
    "variable_star": (("VARIABLE", 0.7), ("TRANSIENT", 0.15), ("UNKNOWN", 0.15)),
    "asteroid": (("TRANSIENT", 0.6), ("UNKNOWN", 0.25), ("SUPERNOVA", 0.15)),
    "artifact": (("ARTIFACT", 0.5), ("TRANSIENT", 0.2), ("UNKNOWN", 0.2), ("SUPERNOVA", 0.1)),
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """One source in one difference image: one subject for the reviewers."""

    source: Source
    epoch: int
    x: float
    """True position of its middle, frame pixels, 0-based."""
    y: float
    flux: float
    """Science minus reference, image units; of one lobe for a dipole."""
    snr: float
    fwhm_px: float
    """Of the seeing."""
    ends: tuple[float, float, float, float]
    """x, y and x, y of the segment that shines; both ends equal for a point."""
    radius_px: float
    """95 % of the light lies within this of the segment."""

    @property
    def is_real(self) -> bool:
        """Whether it is on the sky and changes."""
        return not self.source.artifact


@dataclass(frozen=True, slots=True)
class Detection:
    """One model version's finding of a sighting."""

    version: str
    x: float
    """Measured position, frame pixels, 0-based."""
    y: float
    score: float
    """The model's, 0 to 1; often wrong."""
    guess: str
    """A DetectionType."""


def find_sightings(
    plan: SkyPlan,
    sources: tuple[Source, ...],
    conditions: Conditions,
    epoch: int,
    missing: NDArray[np.bool_],
) -> list[Sighting]:
    """Return what is bright enough, on the frame and not on a missing pixel, in order of name.

    Args:
        plan: the survey.
        sources: real ones and artifacts of the field.
        conditions: of the science frame.
        epoch: 0-based.
        missing: (height, width) of the difference image.
    """
    height, width = plan.frame_size
    found = []
    for source in sorted(sources, key=lambda s: s.name):
        if epoch not in source.tracks:
            continue
        sighting = _sight(plan, source, conditions, epoch)
        column, row = round(sighting.x), round(sighting.y)
        inside = EDGE_PX <= column < width - EDGE_PX and EDGE_PX <= row < height - EDGE_PX
        if inside and not missing[row, column] and sighting.snr >= LEAST_SNR:
            found.append(sighting)
    return found


def detect(sighting: Sighting, rng: np.random.Generator) -> list[Detection]:
    """Return what the model versions found of `sighting`: most often both, a few times none."""
    blur = CENTROID_PX + 0.4 * sighting.fwhm_px / max(sighting.snr, LEAST_SNR)
    x, y = np.array([sighting.x, sighting.y]) + np.clip(rng.normal(0, blur, 2), -0.3, 0.3)
    belief = rng.normal(1.7, 1.3) if sighting.is_real else rng.normal(-0.8, 1.5)
    guesses, shares = zip(*GUESSES[sighting.source.true_class], strict=True)
    found = []
    for version in MODEL_VERSIONS:
        dx, dy = rng.normal(0, CENTROID_PX, 2)
        score = 1 / (1 + np.exp(-(belief + rng.normal(0, 0.5))))
        guess = str(rng.choice(guesses, p=shares))
        if rng.random() < FOUND_SHARE[version]:
            found.append(
                Detection(version, float(x + dx), float(y + dy), round(float(score), 4), guess)
            )
    return found


def _sight(plan: SkyPlan, source: Source, conditions: Conditions, epoch: int) -> Sighting:
    """Return how `source` looks in the difference, seen or not."""
    track, sigma = source.tracks[epoch], conditions.sigma_px
    # Particles and hot pixels are the detector's: the sky's astrometric error moves them not.
    off = (0.0, 0.0) if source.artifact in {"cosmic_ray", "hot_pixel"} else conditions.offset_px
    x, y = track.x - conditions.dither[0] + off[0], track.y - conditions.dither[1] + off[1]
    flux, noise, radius = _brightness(plan, source, conditions, epoch)
    half_x, half_y = track.half_x, track.half_y
    if source.artifact == "dipole":
        ends = (x, y, x + half_x, y + half_y)
        x, y = x + half_x / 2, y + half_y / 2
    else:
        ends = (x - half_x, y - half_y, x + half_x, y + half_y)
    return Sighting(
        source=source,
        epoch=epoch,
        x=x,
        y=y,
        flux=flux,
        snr=abs(flux) / noise,
        fwhm_px=conditions.fwhm_px,
        ends=ends,
        radius_px=radius or psf_radius(sigma),
    )


def _brightness(
    plan: SkyPlan, source: Source, conditions: Conditions, epoch: int
) -> tuple[float, float, float]:
    """Return flux in the difference, its noise, and the radius of pixels (0: the PSF's)."""
    layout, track, sigma = plan.instrument, source.tracks[epoch], conditions.sigma_px
    per_pixel = conditions.sky_level / layout.gain + (layout.read_noise / layout.gain) ** 2
    length = 2 * float(np.hypot(track.half_x, track.half_y))
    area = 4 * np.pi * sigma**2
    if source.artifact in {"cosmic_ray", "hot_pixel"}:
        pixels = 1 + np.ceil(2 * max(abs(track.half_x), abs(track.half_y)))
        return track.flux * pixels, float(np.sqrt(per_pixel * pixels)), PIXEL_RADIUS
    if source.artifact == "saturation_bleed":
        light = track.flux
        return light, float(np.sqrt(per_pixel + abs(light) / layout.gain)), BLEED_RADIUS_PX
    light = track.flux * conditions.throughput
    if source.artifact == "dipole":
        shine, light = light, light * length / 2 / (sigma * np.sqrt(2 * np.pi))
        return light, float(np.sqrt(area * per_pixel + shine / layout.gain)), 0.0
    if source.artifact == "satellite_trail":  # its signal to noise is that of a few pixels' length
        return light, float(np.sqrt(area / sigma * per_pixel + light / layout.gain)), 0.0
    area += 2 * np.sqrt(np.pi) * sigma * length
    change = light - source.reference_flux * conditions.throughput
    return change, float(np.sqrt(area * per_pixel + light / layout.gain)), 0.0
