"""What a trained network says of places on an exposure: the training's own processor, then the network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from numpy.typing import NDArray

from astrid_training.calibration import Calibration
from astrid_training.errors import PredictionRefusedError
from astrid_training.inference import network_input
from astrid_training.losses import IGNORE
from astrid_training.networks import Network
from astrid_training.processor import ExposureFrames
from astrid_training.scoring import score_objects
from astrid_training.stamps import Flag, StampRefusedError, Stamps, central, has

__all__ = ["Prediction", "predict_targets", "write_fits", "write_npy"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the network says of one target."""

    x: float
    """0-based column of the difference image, of science where there is none."""
    y: float
    problem: str | None
    """Why there is no stamp, in the words of the funnel, such as `edge`; None: there is one."""
    probability: float | None = None
    """Calibrated, of the target being real; None without a stamp."""
    is_real: bool | None = None
    """Whether that is the network's threshold or more."""
    left: int = 0
    """0-based column of the image under the stamp's column 0; may be negative."""
    bottom: int = 0
    """0-based row of the image under the stamp's row 0; may be negative."""
    pixels: NDArray[np.float32] | None = None
    """(y, x): probability of each pixel of the stamp to be the target's, as the network gives it."""
    mask: NDArray[np.uint8] | None = None
    """(y, x): 1 where that is the threshold or more, 0 where not, 255 where the image has no value."""

    def told(self) -> dict[str, float | str | bool | None]:
        """Return what fits into a line."""
        names = ("x", "y", "problem", "probability", "is_real")
        return {name: getattr(self, name) for name in names}


def predict_targets(
    network: Network, frames: ExposureFrames, x: Floats, y: Floats, fwhm_px: float | None = None
) -> list[Prediction]:
    """Return what the network says of each target.

    Args:
        network: as `load_network` gives it.
        frames: the exposure, with every image that the network sees.
        x: (n,) 0-based columns, see `Prediction.x`.
        y: (n,) 0-based rows.
        fwhm_px: of the PSF; needed only where the spec looks for cosmic rays.

    Raises:
        ParityError: if this installation would prepare pixels in another way than the training's.
        ProcessorError: if the class that prepared them cannot be had here.
        PredictionRefusedError: if an image is missing.
    """
    processor = network.recipe.load()
    lacking = [name for name in network.channels if frames.role(name) is None]
    if lacking:
        raise PredictionRefusedError(
            f"the network sees {', '.join(network.channels)} and there is no {' and no '.join(lacking)} "
            "image; give its file, made as those of the training were"
        )
    stamps = processor.apply_many(frames, x, y, fwhm_px)
    usable = [number for number, problem in enumerate(stamps.problems) if problem is None]
    images = network_input(stamps.pixels[usable], processor.spec, network.channels)
    with torch.no_grad():
        logits = network.model(torch.from_numpy(images))[:, 0].numpy()
    margin = processor.spec.margin
    left, bottom = stamps.left + margin, stamps.bottom + margin
    scores = score_objects(
        logits, x[usable] - left[usable], y[usable] - bottom[usable], network.radius_px
    )
    probabilities = network.calibration.probabilities(scores)
    found = [_refused(x[n], y[n], problem) for n, problem in enumerate(stamps.problems)]
    for place, number in enumerate(usable):
        probability = float(probabilities[place])
        pixels = Calibration().probabilities(logits[place]).astype(np.float32)
        found[number] = Prediction(
            float(x[number]),
            float(y[number]),
            None,
            probability,
            probability >= network.threshold,
            int(left[number]),
            int(bottom[number]),
            pixels,
            _mask(pixels, stamps, number, margin, network.threshold),
        )
    return found


def write_fits(path: Path, found: Prediction, network: Network, frames: ExposureFrames) -> None:
    """Write the probabilities of a stamp's pixels and its mask as a FITS file of two images.

    The header holds the target, its probability, the spec's fingerprint, and a WCS of the stamp where
    the image has one.

    Args:
        path: of the file; replaced if it is there.
        found: with a stamp.
        network: that said so.
        frames: that it looked at.
    """
    header = fits.Header()
    header["TARGETX"] = (found.x - found.left + 1, "column of the target in this image, from 1")
    header["TARGETY"] = (found.y - found.bottom + 1, "row of the target in this image, from 1")
    header["PROB"] = (found.probability, "calibrated probability of being real")
    header["THRESH"] = (network.threshold, "probability from which it counts as real")
    header["DATASET"] = (network.dataset_version, "version of the training set")
    header["SPECFP"] = network.recipe.fingerprint  # leaves no room for a comment
    header.update(_wcs_header(found, frames))
    images = [fits.PrimaryHDU(found.pixels, header), fits.ImageHDU(found.mask, header, "MASK")]
    fits.HDUList(images).writeto(path, overwrite=True)


def write_npy(path: Path, found: Prediction) -> None:
    """Write a stamp's mask as a .npy file, and its pixels' probabilities beside it.

    Args:
        path: of the mask; the other has `probability` for its `mask`.
        found: with a stamp.
    """
    np.save(path, found.mask)  # type: ignore[arg-type]  # one with a stamp has a mask
    np.save(path.with_name(path.name.replace("mask", "probability")), found.pixels)  # type: ignore[arg-type]  # the same


def _refused(x: float, y: float, problem: StampRefusedError | None) -> Prediction:
    return Prediction(float(x), float(y), None if problem is None else problem.reason)


def _mask(
    pixels: NDArray[np.float32], stamps: Stamps, number: int, margin: int, threshold: float
) -> NDArray[np.uint8]:
    rows, columns = central(margin, len(pixels))
    unknown = has(stamps.flags[number, rows, columns], Flag.MISSING | Flag.PADDED)
    return np.where(unknown, np.uint8(IGNORE), (pixels >= threshold).astype(np.uint8))


def _wcs_header(found: Prediction, frames: ExposureFrames) -> dict[str, float | str]:
    """Return a tangent plane at the target; nothing where the image has no WCS."""
    wcs = frames.primary.wcs
    if wcs is None:
        return {}
    steps = [(0.0, 0.0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]
    along_x, along_y = np.array(steps).T
    x, y = found.x + along_x, found.y + along_y
    ra, dec = (np.asarray(one, np.float64) for one in wcs.all_pix2world(x, y, 0, ra_dec_order=True))
    east = (np.remainder(ra - ra[0] + 180, 360) - 180) * np.cos(np.radians(dec[0]))
    header: dict[str, float | str] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    header |= {"CRVAL1": float(ra[0]), "CRVAL2": float(dec[0])}
    header |= {"CRPIX1": found.x - found.left + 1, "CRPIX2": found.y - found.bottom + 1}
    return header | {
        "CD1_1": float(east[1] - east[2]),
        "CD1_2": float(east[3] - east[4]),
        "CD2_1": float(dec[1] - dec[2]),
        "CD2_2": float(dec[3] - dec[4]),
    }
