"""Stamps a second from frames in memory: cut, background, scale, flags, metrics, digests.

Beside it the physical limit: copying the same windows out of the frames.
"""

import numpy as np
from astropy.wcs import WCS

from astrid_training.exposures import ExposureContext, Target, build_exposure
from astrid_training.params import PreprocessSpec
from astrid_training.processor import AstronomicalImageProcessor, ExposureFrames
from astrid_training.surveys import Frame, profile_for
from astrid_training.surveys.frames import FrameMeta
from benchmarks.timing import interleave

SIDE = 2048
FRAMES = 4


def make_exposure(seed: int) -> ExposureFrames:
    """Return three frames of noise with a sky, on one grid."""
    rng = np.random.default_rng(seed)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [SIDE / 2, SIDE / 2]
    wcs.wcs.cdelt = [-1.01 / 3600, 1.01 / 3600]
    meta = FrameMeta(seeing_px=2.2, pixel_scale_arcsec=1.01, gain=6.2, saturation=60_000.0)

    def frame(sky: float, noise: float) -> Frame:
        pixels = rng.normal(sky, noise, (SIDE, SIDE)).astype(np.float32)
        return Frame(pixels, wcs, meta, "raw", 1)

    return ExposureFrames(frame(300, 10), frame(280, 5), frame(0, 11))


def measure(detections: int) -> tuple[float, float]:
    """Return samples per CPU second of the build, and of the bare copy."""
    spec = PreprocessSpec()
    context = ExposureContext("sim_ztf", "ztf_r", 2.2, 1.01, profile_for("sim_ztf"))
    frames = [make_exposure(seed) for seed in range(FRAMES)]
    rng = np.random.default_rng(9)
    places = rng.uniform(60, SIDE - 60, (FRAMES, detections, 2))
    skies = [one.science.wcs.all_pix2world(at, 0) for one, at in zip(frames, places, strict=True)]
    size = spec.padded_size
    out = np.empty((detections, 3, size, size), np.float32)

    def build() -> None:
        for exposure, sky, at in zip(frames, skies, places, strict=True):
            processor = AstronomicalImageProcessor(spec)
            for frame in (exposure.science, exposure.reference, exposure.difference):
                if frame is not None:
                    frame.caches.clear()  # the background's cells are cold, as on a new exposure
            targets = [
                Target(f"{n:032d}", *map(float, sky[n]), *map(float, at[n]))
                for n in range(detections)
            ]
            build_exposure(exposure, targets, processor, context)

    def copy() -> None:
        for exposure, at in zip(frames, places, strict=True):
            for n, (x, y) in enumerate(at.astype(int)):
                window = slice(y - 36, y + 36), slice(x - 36, x + 36)
                for c, frame in enumerate(
                    (exposure.science, exposure.reference, exposure.difference)
                ):
                    if frame is not None:
                        out[n, c] = frame.pixels[window]

    times = interleave({"build": build, "copy": copy})
    total = FRAMES * detections
    return total / times["build"].cpu_s, total / times["copy"].cpu_s


def report() -> list[str]:
    """Return the lines of the table of results."""
    lines = []
    for detections in (30, 2):
        built, copied = measure(detections)
        lines.append(
            f"| build core, {detections} detections per {SIDE}x{SIDE} exposure | "
            f"{built:,.0f} samples/CPU-s | copy {copied:,.0f} | {built / copied:.4f} |"
        )
    return lines
