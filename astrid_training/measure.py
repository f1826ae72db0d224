"""What is measured on each stamp: one row a stamp. NULL = not known; nothing is guessed."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrid_training.cosmic_rays import FOUND
from astrid_training.digests import digest_bytes
from astrid_training.params import PreprocessSpec
from astrid_training.positions import LEAST_SNR, Aperture, Position, aperture
from astrid_training.processor import ExposureFrames
from astrid_training.psf import UNSURE_SOURCES, ExposureContext, Psf
from astrid_training.registration import measure_registration
from astrid_training.stamps import ROLES, Flag, Stamps, central, has
from astrid_training.surveys.frames import Frame

__all__ = ["MEASUREMENTS", "measure_stamps"]

_TEXT, _NUMBER, _WHOLE, _TRUTH = pa.string(), pa.float64(), pa.int32(), pa.bool_()
MEASUREMENTS = pa.schema(
    [
        ("sample_key", _TEXT),
        ("x", _NUMBER),  # column of the target in the stored stamp, 0-based
        ("y", _NUMBER),
        ("frame_x", _NUMBER),  # column of the target on the frame, 0-based
        ("frame_y", _NUMBER),
        ("position_flags", _TEXT),  # joined by commas
        ("centroid_shift_px", _NUMBER),
        ("px_x_east", _NUMBER),  # columns per arcsecond towards the east
        ("px_y_east", _NUMBER),  # rows
        ("px_x_north", _NUMBER),
        ("px_y_north", _NUMBER),
        ("fwhm_px", _NUMBER),
        ("fwhm_source", _TEXT),
        ("diff_sign", _WHOLE),
        ("zero_point", _NUMBER),
        ("pixel_scale", _NUMBER),
        ("gain", _NUMBER),
        ("saturation", _NUMBER),
        ("exposure_s", _NUMBER),
        ("mjd_mid", _NUMBER),
        ("time_scale", _TEXT),
        ("units", _TEXT),
        ("source_kind", _TEXT),
        *((f"level_{role}", _NUMBER) for role in ROLES),
        *((f"scale_{role}", _NUMBER) for role in ROLES),
        ("valid_frac", _NUMBER),
        ("central_bad", _WHOLE),
        ("saturated_centre", _TRUTH),
        ("is_constant", _TRUTH),
        ("template_coverage", _NUMBER),
        ("background_rms", _NUMBER),
        ("depth_5sigma", _NUMBER),
        ("difference_noise_ratio", _NUMBER),
        ("difference_correlation", _NUMBER),
        ("registration_px", _NUMBER),
        ("registration_stars", _WHOLE),
        ("cr_status", _TEXT),
        ("cr_frac", _NUMBER),
        ("cr_at_centre", _TRUTH),
        ("snr", _NUMBER),
        ("elongation", _NUMBER),
        ("dipole_score", _NUMBER),
        ("image_digest", _TEXT),
        ("flag_digest", _TEXT),
    ]
)
"""Columns of a table of measurements; docs/reference/quality-metrics.md says what each means."""

AXES = ("px_x_east", "px_y_east", "px_x_north", "px_y_north")
CENTRE_HALF_PX = 2  # the central 5 x 5
MOMENT_FWHM = 2.0
PIXEL_VARIANCE = 1 / 12  # of a pixel's own width, px^2: a hot pixel is round, not undefined
LOBE_SIGMA = 3.0  # pixels that belong to a lobe of a dipole
LEAST_LOBES_SIGMA = 10.0  # of their sum: three pixels, or one that is very bright
STEP_SIGMA = 3 * math.sqrt(2)  # a step holds the noise of two pixels
LEAST_STEPS = 100
NOISE_AREA = 2.266  # of a Gaussian PSF, in FWHM^2: 4 pi (1 / 2.3548)^2


def measure_stamps(
    keys: Sequence[str],
    positions: Sequence[Position],
    stamps: Stamps,
    frames: ExposureFrames,
    context: ExposureContext,
    spec: PreprocessSpec,
    psf: Psf,
) -> list[dict[str, Any]]:
    """Return one row of `MEASUREMENTS` per stamp, in order.

    Args:
        keys: sample keys.
        positions: of the targets on the primary image.
        stamps: as the processor made them, without problems.
        frames: what they were cut from.
        context: of the exposure.
        spec: what they were made with.
        psf: of the exposure.
    """
    shared = _of_exposure(frames, context, psf)
    seen = stamps.flags[:, *central(spec.margin, spec.stamp_size)]
    columns = {
        "sample_key": list(keys),
        **_of_flags(seen, stamps, frames, spec),
        **_of_noise(stamps, frames, shared),
        "difference_correlation": _known(_noise_correlation(stamps, spec)),
        **_of_registration(positions, stamps, frames, shared["fwhm_px"]),
        "image_digest": [digest_bytes(image.tobytes()) for image in stamps.pixels],
        "flag_digest": [digest_bytes(plane.tobytes()) for plane in stamps.flags],
    }
    rows = []
    for index, position in enumerate(positions):
        row = shared | {name: values[index] for name, values in columns.items()}
        rows.append(row | _of_target(position, stamps, index, shared["fwhm_px"]))
    return rows


def _of_exposure(frames: ExposureFrames, context: ExposureContext, psf: Psf) -> dict[str, Any]:
    science, primary = frames.science.meta, frames.primary.meta
    present = {role: frames.role(role) for role in ROLES}
    kinds = {role: frame.kind for role, frame in present.items() if frame is not None}
    alike = len(set(kinds.values())) == 1
    return {
        "fwhm_px": psf.fwhm_px,
        "fwhm_source": psf.source,
        "diff_sign": frames.difference.sign if frames.difference else None,
        "zero_point": primary.zero_point,
        "pixel_scale": primary.pixel_scale_arcsec or context.pixel_scale,
        "gain": science.gain,
        "saturation": science.saturation,
        "exposure_s": science.exposure_s,
        "mjd_mid": science.mjd_mid,
        "time_scale": science.time_scale if science.mjd_mid is not None else None,
        "units": primary.units,
        "source_kind": frames.science.kind if alike else ",".join(map("=".join, kinds.items())),
        "is_constant": False,
    }


def _of_flags(
    seen: NDArray[np.uint8], stamps: Stamps, frames: ExposureFrames, spec: PreprocessSpec
) -> dict[str, list[Any]]:
    """Return what the flags of the central stamps (n, y, x) say."""
    count, side = len(seen), seen.shape[1]
    middle = slice(side // 2 - CENTRE_HALF_PX, side // 2 + CENTRE_HALF_PX + 1)
    centre = seen[:, middle, middle]
    bad = Flag.MISSING | Flag.PADDED
    levels_known = [
        frame is not None and frame.meta.saturation is not None
        for frame in (frames.science, frames.reference)
    ]
    saturated = has(centre, Flag.SATURATED).any(axis=(1, 2)).tolist()
    looked = stamps.cosmic_rays == FOUND
    hit = has(seen, Flag.COSMIC_RAY)
    template = stamps.raw[:, ROLES.index("reference"), *central(spec.margin, spec.stamp_size)]
    return {
        "valid_frac": (~has(seen, bad)).mean(axis=(1, 2)).tolist(),
        "central_bad": has(centre, bad).sum(axis=(1, 2)).tolist(),
        "saturated_centre": saturated if any(levels_known) else [None] * count,
        "template_coverage": (
            (~np.isnan(template)).mean(axis=(1, 2)).tolist() if frames.reference else [None] * count
        ),
        "cr_status": [stamps.cosmic_rays] * count,
        "cr_frac": hit.mean(axis=(1, 2)).tolist() if looked else [None] * count,
        "cr_at_centre": hit[:, middle, middle].any(axis=(1, 2)).tolist()
        if looked
        else [None] * count,
    }


def _of_noise(
    stamps: Stamps, frames: ExposureFrames, shared: dict[str, Any]
) -> dict[str, list[float | None]]:
    science = ROLES.index("science")
    rms = np.where(np.isnan(stamps.noise), stamps.scales[:, science], stamps.noise)
    rms = np.where(rms > 0, rms, np.nan)
    levels = {f"level_{role}": _known(stamps.levels[:, i]) for i, role in enumerate(ROLES)}
    scales = {f"scale_{role}": _known(stamps.scales[:, i]) for i, role in enumerate(ROLES)}
    return {
        **levels,
        **scales,
        "background_rms": _known(rms),
        "depth_5sigma": _known(_depth(rms, frames.science.meta.zero_point, shared)),
        "difference_noise_ratio": _known(_noise_ratio(stamps, frames)),
    }


def _depth(
    rms: NDArray[np.float64], zero_point: float | None, shared: dict[str, Any]
) -> NDArray[np.float64]:
    """Return the magnitude of a point source at 5 sigma; NaN where an ingredient is not known."""
    if zero_point is None or shared["fwhm_source"] in UNSURE_SOURCES:
        return np.full(len(rms), np.nan)
    depth: NDArray[np.float64] = zero_point - 2.5 * np.log10(
        5 * rms * math.sqrt(NOISE_AREA) * shared["fwhm_px"]
    )
    return depth


def _noise_ratio(stamps: Stamps, frames: ExposureFrames) -> NDArray[np.float64]:
    """Return the difference's noise over what science and reference explain; NaN if unknown."""
    factors = [_to_units_of(frames.primary, frames.role(role)) for role in ROLES]
    if frames.difference is None or None in factors:
        return np.full(len(stamps.scales), np.nan)
    science, reference, difference = (stamps.scales * np.array(factors, np.float64)).T
    ratio: NDArray[np.float64] = difference / np.hypot(science, reference)
    return ratio


def _noise_correlation(stamps: Stamps, spec: PreprocessSpec) -> NDArray[np.float64]:
    """Return the correlation of the difference's noise with that of science; NaN where unknown.

    Near +1 where the difference is science minus reference, near -1 where it is upside down. It is
    that of the steps between neighbouring columns, which know no sky and few sources, within 3
    sigma. Measured on 365 ZTF alerts: +0.20 to +0.98, median +0.90, in the right sign.
    """
    size = spec.stamp_size
    together = np.ones((len(stamps.raw), size, size - 1), np.bool_)
    steps = []
    for role in ("science", "difference"):
        channel = ROLES.index(role)
        pixels = stamps.raw[:, channel, *central(spec.margin, size)]
        step = (pixels[:, :, 1:] - pixels[:, :, :-1]) / stamps.scales[:, channel, None, None]
        with np.errstate(invalid="ignore"):
            together &= np.abs(step) <= STEP_SIGMA  # False where either is missing
        steps.append(step)
    science, difference = (np.where(together, step, 0) for step in steps)
    enough = together.sum(axis=(1, 2)) >= LEAST_STEPS
    norm = np.sqrt((science**2).sum(axis=(1, 2)) * (difference**2).sum(axis=(1, 2)))
    known = enough & (norm > 0)
    correlation: NDArray[np.float64] = np.full(len(known), np.nan)
    np.divide((science * difference).sum(axis=(1, 2)), norm, out=correlation, where=known)
    return correlation


def _of_registration(
    positions: Sequence[Position], stamps: Stamps, frames: ExposureFrames, fwhm_px: float
) -> dict[str, list[Any]]:
    x = np.array([p.x for p in positions], np.float64) - stamps.left
    y = np.array([p.y for p in positions], np.float64) - stamps.bottom
    found = measure_registration(stamps, frames, x, y, fwhm_px)
    known = found.stars.tolist() if frames.reference is not None else [None] * len(stamps.raw)
    return {"registration_px": _known(found.residual_px), "registration_stars": known}


def _to_units_of(target: Frame, frame: Frame | None) -> float | None:
    """Return what a value of `frame` is multiplied by to be in `target`'s units."""
    if frame is target:
        return 1.0
    if frame is None or frame.meta.zero_point is None or target.meta.zero_point is None:
        return None
    ratio: float = 10 ** (0.4 * (target.meta.zero_point - frame.meta.zero_point))
    return ratio


def _of_target(position: Position, stamps: Stamps, index: int, fwhm_px: float) -> dict[str, Any]:
    x, y = position.x - stamps.left[index], position.y - stamps.bottom[index]
    channel = ROLES.index("difference")
    difference, noise = stamps.raw[index, channel], float(stamps.scales[index, channel])
    disk = aperture(difference, x, y, fwhm_px, noise)
    sure = disk is not None and disk.snr >= LEAST_SNR
    wide = aperture(difference, x, y, MOMENT_FWHM * fwhm_px, noise)
    return {
        "x": float(x),
        "y": float(y),
        "frame_x": position.x,
        "frame_y": position.y,
        "position_flags": ",".join(position.flags),
        "centroid_shift_px": position.shift_px,
        **dict(zip(AXES, position.axes or (None,) * len(AXES), strict=True)),
        "snr": disk.snr if disk is not None else None,
        "elongation": _elongation(wide, noise) if sure and wide is not None else None,
        "dipole_score": _dipole_score(wide.values / noise) if wide is not None else None,
    }


def _elongation(disk: Aperture, noise: float) -> float | None:
    """Return the ratio of the light's long to its short axis, from second moments."""
    light = disk.light(noise)
    total = float(light.sum())
    if total <= 0:
        return None
    dx, dy = disk.x - light @ disk.x / total, disk.y - light @ disk.y / total
    xx, yy, xy = (float(light @ (a * b)) / total for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    xx, yy = xx + PIXEL_VARIANCE, yy + PIXEL_VARIANCE
    mean, apart = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    return math.sqrt((mean + apart) / (mean - apart))


def _dipole_score(sigmas: NDArray[np.float64]) -> float | None:
    """Return how evenly the light is divided into brighter and fainter, 0 one-sided to 1 even.

    None where too little stands out to tell.
    """
    sure = sigmas[np.abs(sigmas) >= LOBE_SIGMA]
    gained, lost = (abs(float(sure[side].sum())) for side in (sure > 0, sure < 0))
    if gained + lost < LEAST_LOBES_SIGMA:
        return None
    return min(gained, lost) / max(gained, lost)


def _known(values: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
