"""Survey frames to network inputs: the one function that training and inference share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from astrid_training import background, cosmic_rays, scaling
from astrid_training.background import BackgroundMesh, prepare_meshes
from astrid_training.digests import digest_value
from astrid_training.errors import ParityError, ProcessorError
from astrid_training.params import PreprocessSpec
from astrid_training.scratch import room
from astrid_training.settings import Settings
from astrid_training.stamps import (
    ROLES,
    Flag,
    Overlap,
    Stamp,
    StampRefusedError,
    Stamps,
    central,
    centre_pixel,
    has,
    overlap,
)
from astrid_training.surveys.frames import Frame

__all__ = [
    "ALGORITHMS",
    "AstronomicalImageProcessor",
    "ExposureFrames",
    "check_parity",
    "fingerprint",
    "same_grid",
]

ALGORITHMS: Mapping[str, int] = {
    "cut": 1,
    "missing": 1,
    "cosmic_rays": cosmic_rays.ALGORITHM,
    "background": background.ALGORITHM,
    "scale": scaling.ALGORITHM,
    "fill": 1,
}
"""Version of each step; any change of what a step computes raises its number."""
LEAST_VALUES = 16  # fewer have no noise to speak of
LEAST_ON_IMAGE = 0.8
SATURATED_FROM = 0.95

Floats = NDArray[np.float64]
Pixels = NDArray[np.intp]


def fingerprint(spec: PreprocessSpec) -> str:
    """Return what names this preprocessing: 64 hex digits over the spec and every algorithm."""
    return digest_value({"spec": spec.model_dump(mode="json"), "algorithms": dict(ALGORITHMS)})


def check_parity(expected: str, got: str) -> None:
    """Return if two preprocessing fingerprints are one.

    Raises:
        ParityError: if they differ.
    """
    if expected != got:
        raise ParityError(expected, got)


@dataclass(frozen=True, slots=True)
class ExposureFrames:
    """The images of one exposure. Each may lie on a pixel grid of its own."""

    science: Frame
    reference: Frame | None = None
    difference: Frame | None = None

    @property
    def primary(self) -> Frame:
        """The image whose pixels positions refer to: the difference, else science."""
        return self.difference or self.science

    def role(self, name: str) -> Frame | None:
        """Return the image that plays this role, if there is one."""
        frame: Frame | None = getattr(self, name)
        return frame

    def centres(self, name: str, x: Pixels, y: Pixels) -> tuple[Pixels, Pixels]:
        """Return which pixels of an image lie under pixels of the primary one, 0-based.

        Without a WCS, images of one shape are taken to share their grid; others are not placed.
        """
        frame, primary = self.role(name), self.primary
        if frame is None or frame is primary or same_grid(frame, primary):
            return x, y
        if frame.wcs is None or primary.wcs is None:
            nowhere = centre_pixel(np.full(len(x), np.nan))
            return nowhere, nowhere
        sky = primary.wcs.all_pix2world(x, y, 0, ra_dec_order=True)
        other_x, other_y = frame.wcs.all_world2pix(*sky, 0, ra_dec_order=True, quiet=True)
        return centre_pixel(other_x), centre_pixel(other_y)


class _Windows:
    """Where the stamps of an exposure lie on one of its images, and the sky there."""

    def __init__(
        self,
        channel: int,
        frame: Frame,
        mesh: BackgroundMesh | None,
        centres: list[tuple[int, int]],
        size: int,
    ) -> None:
        self.channel, self.frame, self.mesh, self._centres = channel, frame, mesh, centres
        self.places = [overlap(x - size // 2, y - size // 2, size, frame.shape) for x, y in centres]
        self.inside = [(place.rows, place.columns) for place in self.places if place is not None]

    def subtract_sky(self, raw: NDArray[np.float32], values: Floats) -> None:
        """Take the sky off `values` (n, y, x), which are those of `raw`; nothing without a mesh."""
        if self.mesh is None:
            return
        for index, place in enumerate(self.places):
            if place is not None:
                window = raw[index][place.inside]
                values[index][place.inside] -= _level(self.mesh, place, window)

    def sky_noise(self) -> list[float]:
        """Return the noise of the sky under each centre; NaN beyond the image and without a mesh."""
        if self.mesh is None:
            return [np.nan] * len(self._centres)
        return [
            self.mesh.rms(y, x) if _on_frame(self.frame, x, y) else np.nan for x, y in self._centres
        ]


class AstronomicalImageProcessor:
    """Cuts, cleans and scales stamps as its spec says. Pure: equal inputs give equal bits."""

    def __init__(self, spec: PreprocessSpec | None = None) -> None:
        self.spec = spec or PreprocessSpec()
        self.fingerprint = fingerprint(self.spec)
        """Names this preprocessing; see `fingerprint`."""

    @classmethod
    def from_dataset(
        cls, dataset_id: object, settings: Settings | None = None, *, allow_revoked: bool = False
    ) -> Self:
        """Return the processor whose stamps are, to the bit, those that a dataset holds.

        Args:
            dataset_id: its UUID or the text of it; a version id or a name, which means the active one.
            settings: where the database is; None: as the environment and the home say.
            allow_revoked: also of a dataset that was withdrawn.

        Raises:
            DatasetNotFoundError: if there is no such dataset.
            DatasetRevokedError: if it was withdrawn and `allow_revoked` is False.
            ParityError: if this installation would prepare its pixels in another way.
            ProcessorError: if another class prepared them; `inference.processor_of` gives that.
        """
        from astrid_training.inference import processor_of  # knows this class

        made = processor_of(dataset_id, settings, allow_revoked=allow_revoked)
        if not isinstance(made, cls):
            name = f"{type(made).__module__}:{type(made).__qualname__}"
            raise ProcessorError(
                name, f"it prepared {dataset_id}, not {cls.__name__}; take inference.processor_of"
            )
        return made

    def apply(
        self, frames: ExposureFrames, x: float, y: float, fwhm_px: float | None = None
    ) -> Stamp:
        """Return the stamp whose pixel `padded_size // 2` holds (x, y).

        Args:
            frames: the exposure.
            x: 0-based column in the difference image, in science where there is none.
            y: 0-based row.
            fwhm_px: of the PSF; needed to look for cosmic rays.

        Raises:
            StampRefusedError: if the position or the pixels allow no stamp.
        """
        return Stamp.only(self.apply_many(frames, np.array([x]), np.array([y]), fwhm_px))

    def apply_many(
        self, frames: ExposureFrames, x: Floats, y: Floats, fwhm_px: float | None = None
    ) -> Stamps:
        """Return one stamp per position, each with the bits that `apply` gives.

        Args:
            frames: the exposure.
            x: (n,) 0-based columns in the difference image, in science where there is none.
            y: (n,) 0-based rows.
            fwhm_px: of the PSF; needed to look for cosmic rays.
        """
        column, row = centre_pixel(x), centre_pixel(y)
        raw, values, noise = self._cut(frames, column, row)
        levels, scales = self._scale(frames, values)
        flags = self._flag(frames, raw, scales, column, row)
        looked = self._flag_cosmic_rays(frames, flags, (column, row), fwhm_px)
        problems = self._problems(frames, flags, scales, np.array([column, row]))
        half = self.spec.padded_size // 2
        pixels = self._fill(values)
        return Stamps(
            pixels, flags, raw, levels, scales, noise, column - half, row - half, problems, looked
        )

    def _cut(
        self, frames: ExposureFrames, column: Pixels, row: Pixels
    ) -> tuple[NDArray[np.float32], Floats, Floats]:
        """Return native values, the same without their sky, and the noise of the science sky.

        The axes are (n, role, y, x), (role, n, y, x) and (n,).
        """
        count, size = len(column), self.spec.padded_size
        raw = np.full((count, len(ROLES), size, size), np.nan, np.float32)
        values = room("values", (len(ROLES), count, size, size), np.float64)
        noise = np.full(count, np.nan)
        windows: list[_Windows] = []
        for channel, role in enumerate(ROLES):
            frame = frames.role(role)
            if frame is not None:
                centres = np.stack(frames.centres(role, column, row), axis=1).tolist()
                mesh = self._mesh(frame) if role != "difference" else None
                windows.append(_Windows(channel, frame, mesh, centres, size))
                self._read(windows[-1], raw[:, channel])
        prepare_meshes({one.mesh: one.inside for one in windows if one.mesh is not None})
        values[:] = raw.swapaxes(0, 1)
        for one in windows:
            one.subtract_sky(raw[:, one.channel], values[one.channel])
            if ROLES[one.channel] == "science":
                noise[:] = one.sky_noise()
        return raw, values, noise

    def _read(self, windows: _Windows, raw: NDArray[np.float32]) -> None:
        """Copy the pixels of windows into `raw` (n, y, x), which is NaN beyond the frame."""
        for window, place in zip(raw, windows.places, strict=True):
            if place is not None:
                windows.frame.unmasked(place.rows, place.columns, window[place.inside])
        with np.errstate(invalid="ignore"):
            raw[~(np.abs(raw) <= self.spec.missing_above)] = np.nan

    def _mesh(self, frame: Frame) -> BackgroundMesh | None:
        if self.spec.background != "mesh" or frame.kind == "stamp":
            return None
        key = ("background", self.spec.cell_px, self.spec.missing_above)
        if key not in frame.caches:
            frame.caches[key] = BackgroundMesh(frame, self.spec.cell_px, self.spec.missing_above)
        mesh: BackgroundMesh = frame.caches[key]
        return mesh

    def _scale(self, frames: ExposureFrames, values: Floats) -> tuple[Floats, Floats]:
        """Scale `values` (role, n, y, x) in place; return levels and noise (n, role), NaN = unusable."""
        rows, columns = central(self.spec.margin, self.spec.stamp_size)
        stamps = values.shape[:2]
        images = values.reshape(-1, *values.shape[2:])
        centres = room("centres", (len(images), self.spec.stamp_size**2), np.float64)
        centres.reshape(len(images), self.spec.stamp_size, -1)[:] = images[:, rows, columns]
        level, noise, valid = scaling.measure_noise(centres)
        usable = (valid >= LEAST_VALUES) & (noise > 0)
        of_role = level.reshape(stamps)
        for channel, role in enumerate(ROLES):
            if role == "difference":
                of_role[channel] = 0
            elif self._takes_median(frames.role(role)):
                values[channel] -= of_role[channel, :, None, None]
                centres.reshape(*stamps, -1)[channel] -= of_role[channel, :, None]
                of_role[channel] = 0
        levels, scales = (np.where(usable, one, np.nan).reshape(stamps).T for one in (level, noise))
        images[~usable], centres[~usable], level[~usable], noise[~usable] = np.nan, 0, 0, 1
        scaling.scale_in_place(images, centres, level, noise, self.spec)
        return levels, scales

    def _fill(self, values: Floats) -> NDArray[np.float32]:
        """Return stored channels (n, channel, y, x) of scaled values (role, n, y, x), 0 = missing."""
        _, count, height, width = values.shape
        pixels = np.empty((count, len(self.spec.channels), height, width), np.float32)
        for index, channel in enumerate(self.spec.channels):
            pixels[:, index] = values[ROLES.index(channel)]
        pixels[np.isnan(pixels)] = 0
        return pixels

    def _takes_median(self, frame: Frame | None) -> bool:
        """Tell whether the stamp's own median is the sky: always so where there is no frame."""
        wanted = self.spec.background
        if frame is None:
            return False
        return wanted == "median" or (wanted == "mesh" and frame.kind == "stamp")

    def _flag(
        self,
        frames: ExposureFrames,
        raw: NDArray[np.float32],
        scales: Floats,
        column: Pixels,
        row: Pixels,
    ) -> NDArray[np.uint8]:
        """Return the flag planes (n, y, x), cosmic rays left out."""
        primary = _primary(frames)
        missing = np.isnan(raw)
        for channel in set(range(len(ROLES))) - {primary}:
            missing[np.isnan(scales[:, channel]), channel] = True
        padded = _beyond_edges(frames.primary.shape, column, row, self.spec.padded_size)
        flags: NDArray[np.uint8] = missing[:, primary] * np.uint8(Flag.MISSING)
        flags[padded] = np.uint8(Flag.PADDED)
        for channel, role in enumerate(ROLES):
            if role in self.spec.channels and channel != primary:
                flags |= missing[:, channel] * np.uint8(Flag.OTHER_MISSING)
            frame = frames.role(role)
            if role != "difference" and frame is not None and frame.meta.saturation is not None:
                full = raw[:, channel] >= SATURATED_FROM * frame.meta.saturation
                flags |= full * np.uint8(Flag.SATURATED)
        return flags

    def _flag_cosmic_rays(
        self,
        frames: ExposureFrames,
        flags: NDArray[np.uint8],
        centre: tuple[Pixels, Pixels],
        fwhm_px: float | None,
    ) -> str:
        """Add cosmic rays to `flags`; return `found`, or why science was not searched."""
        if self.spec.cosmic_rays == "off":
            return "off"
        size, limit = self.spec.padded_size, self.spec.missing_above
        for role in ("science", "reference"):
            frame = frames.role(role)
            if frame is None or cosmic_rays.why_not(frame, fwhm_px) != cosmic_rays.FOUND:
                continue
            for plane, x, y in zip(flags, *frames.centres(role, *centre), strict=True):
                left, bottom = int(x) - size // 2, int(y) - size // 2
                hit = cosmic_rays.flag_cosmic_rays(frame, left, bottom, size, limit)
                plane[hit] |= np.uint8(Flag.COSMIC_RAY)
        return cosmic_rays.why_not(frames.science, fwhm_px)

    def _problems(
        self, frames: ExposureFrames, flags: NDArray[np.uint8], scales: Floats, centre: Pixels
    ) -> list[StampRefusedError | None]:
        rows, columns = central(self.spec.margin, self.spec.stamp_size)
        seen = flags[:, rows, columns]
        on_image = 1 - has(seen, Flag.PADDED).mean(axis=(1, 2))
        valid = (~has(seen, Flag.PADDED | Flag.MISSING)).sum(axis=(1, 2))
        noise = scales[:, _primary(frames)]
        height, width = frames.primary.shape
        return [
            _problem(x, y, (height, width), on_image[i], valid[i], noise[i])
            for i, (x, y) in enumerate(centre.T.tolist())
        ]


def _problem(
    x: int,
    y: int,
    shape: tuple[int, int],
    on_image: float,
    valid: int,
    noise: float,
) -> StampRefusedError | None:
    height, width = shape
    if not (0 <= x < width and 0 <= y < height):
        return StampRefusedError("off_image", f"({x}, {y}) on an image of {width} x {height} px")
    if valid == 0:
        return StampRefusedError("no_valid_pixels", "every pixel of the stamp is missing")
    if on_image < LEAST_ON_IMAGE:
        return StampRefusedError("edge", f"{on_image:.0%} of the stamp is on the image")
    if not noise > 0:
        return StampRefusedError("constant", f"{valid} valid pixels without spread")
    return None


def _primary(frames: ExposureFrames) -> int:
    return ROLES.index("science" if frames.difference is None else "difference")


def _on_frame(frame: Frame, x: int, y: int) -> bool:
    return 0 <= y < frame.shape[0] and 0 <= x < frame.shape[1]


def _level(mesh: BackgroundMesh, place: Overlap, window: NDArray[np.float32]) -> Floats:
    """Return the sky under a window, its own median where the mesh has none."""
    level = mesh.at(place.rows, place.columns)
    unknown = np.isnan(level)
    if unknown.any():
        valid = window[~np.isnan(window)]
        level[unknown] = np.median(valid.astype(np.float64)) if valid.size else 0.0
    return level


def _beyond_edges(
    shape: tuple[int, int], column: Pixels, row: Pixels, size: int
) -> NDArray[np.bool_]:
    """Return which pixels of the stamps (n, size, size) lie beyond the frame."""
    offsets = np.arange(size) - size // 2
    x, y = column[:, None] + offsets, row[:, None] + offsets
    beyond_x, beyond_y = (x < 0) | (x >= shape[1]), (y < 0) | (y >= shape[0])
    beyond: NDArray[np.bool_] = beyond_y[:, :, None] | beyond_x[:, None, :]
    return beyond


def same_grid(frame: Frame, other: Frame) -> bool:
    """Tell whether two frames have the same pixel for each place on the sky."""
    a, b = frame.wcs, other.wcs
    if a is None or b is None:
        return a is b and frame.shape == other.shape
    if a.has_distortion or b.has_distortion:
        return False
    from astropy.wcs import WCSCOMPARE_ANCILLARY

    return bool(a.wcs.compare(b.wcs, cmp=WCSCOMPARE_ANCILLARY))
