"""What a service that looks for transients needs to see the pixels that a model was trained on.

Imports neither torch nor Prefect nor MLflow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrid_training.catalogue import get_dataset
from astrid_training.database import open_database
from astrid_training.fits import check_fits
from astrid_training.params import CHANNELS, Channel, PreprocessSpec
from astrid_training.positions import positions_on_frame
from astrid_training.processor import ExposureFrames
from astrid_training.processors import Processor, recipe_of
from astrid_training.settings import Settings, resolve
from astrid_training.stamps import central
from astrid_training.surveys import Frame, Kind, profile_for, read_frame

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = [
    "frames_from_arrays",
    "frames_from_files",
    "network_input",
    "pixel_positions",
    "processor_of",
]

Kinds = Kind | Mapping[Channel, Kind]
Image = tuple[NDArray[Any], "Header"]


def processor_of(
    dataset_id: object, settings: Settings | None = None, *, allow_revoked: bool = False
) -> Processor:
    """Return what prepared the pixels of a published dataset, ours or one named by its path.

    Args:
        dataset_id: its UUID or the text of it; a version id or a name, which means the active one.
        settings: where the database is; None: as the environment and the home say.
        allow_revoked: also of a dataset that was withdrawn.

    Raises:
        DatasetNotFoundError: if there is no such dataset.
        DatasetRevokedError: if it was withdrawn and `allow_revoked` is False.
        ParityError: if this installation would prepare its pixels in another way.
        ProcessorError: if the class that prepared them cannot be had here.
    """
    engine = open_database((settings or resolve()).database_url)
    return recipe_of(get_dataset(engine, str(dataset_id), allow_revoked=allow_revoked)).load()


def frames_from_files(
    survey: str,
    science: Path,
    reference: Path | None = None,
    difference: Path | None = None,
    *,
    kinds: Kinds = "raw",
) -> ExposureFrames:
    """Return an exposure read from its files, each of which is looked at by the guard first.

    Args:
        survey: as in the database; it says which HDU, units and saturation are meant.
        science: a FITS file, perhaps gzipped; one file may hold several of the three images.
        reference: the same.
        difference: the same.
        kinds: what the files are, raw, processed or stamp; by channel where they are not alike.

    Raises:
        FitsRefusedError: if a file is broken, hostile, or has no such image.
    """
    paths: dict[Channel, Path | None] = {
        "science": science,
        "reference": reference,
        "difference": difference,
    }
    for path in {path for path in paths.values() if path is not None}:
        check_fits(path)
    return _exposure(survey, paths, kinds)


def frames_from_arrays(
    survey: str,
    science: Image,
    reference: Image | None = None,
    difference: Image | None = None,
    *,
    kinds: Kinds = "raw",
) -> ExposureFrames:
    """Return the exposure that files of these pixels and headers would be read as.

    Args:
        survey: as in the database.
        science: (height, width) pixels in the file's units and their header; unsigned 16-bit counts
            as such, since their type says where they are full. What a plane of the file condemns
            must be NaN already; distortions in tables of the file cannot be known.
        reference: the same.
        difference: the same, with the sign that the survey stores.
        kinds: as for `frames_from_files`.

    Raises:
        FitsRefusedError: if no pixel has a value, or the header says what cannot be.
    """
    images: dict[Channel, Image | None] = {
        "science": science,
        "reference": reference,
        "difference": difference,
    }
    with TemporaryDirectory() as folder:  # so that one reader decides what a header means
        paths: dict[Channel, Path | None] = {
            role: _written(Path(folder), role, image) for role, image in images.items()
        }
        frames = _exposure(survey, paths, kinds, one_image_each=True)
        held = {role: _held(frames.role(role)) for role in CHANNELS}
        del frames
    if held["science"] is None:
        raise TypeError("an exposure without a science image; give one")
    return ExposureFrames(held["science"], held["reference"], held["difference"])


def pixel_positions(
    frames: ExposureFrames,
    ra_deg: Sequence[float],
    dec_deg: Sequence[float],
    pixels: Sequence[tuple[float, float]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 0-based columns and rows that stamps are framed by; NaN where nothing tells.

    Args:
        frames: the exposure; its difference counts, its science image where there is none.
        ra_deg: right ascensions, degrees, ICRS.
        dec_deg: declinations, degrees, ICRS.
        pixels: 0-based (column, row) of each, taken where the image has no WCS.
    """
    stored = pixels if pixels is not None else [(float("nan"), float("nan"))] * len(ra_deg)
    columns, rows = [x for x, _ in stored], [y for _, y in stored]
    found = positions_on_frame(frames.primary, ra_deg, dec_deg, columns, rows, 1.0)
    at = np.array([(one.frame_x, one.frame_y) for one in found], np.float64).reshape(-1, 2)
    return at[:, 0], at[:, 1]


def network_input(
    pixels: NDArray[np.float32],
    spec: PreprocessSpec,
    channels: Sequence[Channel] = ("difference",),
) -> NDArray[np.float32]:
    """Return what a dataset of this spec hands to a network: some channels, without the margin.

    Args:
        pixels: (..., channel, y, x) of a `Stamp` or of `Stamps`.
        spec: of the processor that made them.
        channels: those that the network was trained on, in its order.

    Returns:
        (..., channel, stamp_size, stamp_size) float32, a copy.
    """
    stored = [spec.channels.index(channel) for channel in channels]
    rows, columns = central(spec.margin, spec.stamp_size)
    return np.ascontiguousarray(pixels[..., stored, rows, columns])


def _exposure(
    survey: str,
    paths: Mapping[Channel, Path | None],
    kinds: Kinds,
    *,
    one_image_each: bool = False,
) -> ExposureFrames:
    frames: dict[str, Frame] = {}
    for role, path in paths.items():
        if path is not None:
            kind = kinds if isinstance(kinds, str) else kinds.get(role, "raw")
            profile = profile_for(survey, kind)
            if one_image_each:
                profile = profile.model_copy(update={"hdus": {}})
            frames[role] = read_frame(path, profile, role, kind)
    return ExposureFrames(**frames)


def _written(folder: Path, role: str, image: Image | None) -> Path | None:
    from astropy.io import fits  # heavy; not needed where files are read by others

    if image is None:
        return None
    pixels, header = image
    path = folder / f"{role}.fits"
    said = header.copy(strip=True)
    fits.PrimaryHDU(pixels, said).writeto(path, output_verify="silentfix+ignore")
    return path


def _held(frame: Frame | None) -> Frame | None:
    """Return the frame with its pixels in memory, no matter what becomes of its file."""
    if frame is None:
        return None
    height, width = frame.shape
    pixels = np.array(frame.pixels[slice(0, height), slice(0, width)])
    return replace(frame, pixels=pixels, caches={})
