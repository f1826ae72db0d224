"""Small files that do what real ones do, and what they are read as."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrid_training.fits import check_fits
from astrid_training.surveys import Frame, profile_for, read_frame

ROWS, COLUMNS = np.indices((50, 70))
NAMED = (100 * ROWS + COLUMNS).astype(np.float32)
ROLES = ("science", "reference", "difference")


def write(path: Path, *hdus: Any) -> Path:
    fits.HDUList(list(hdus)).writeto(path, output_verify="ignore")
    check_fits(path)
    return path


def primary(pixels: Any = None, **cards: Any) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update({name.replace("_", "-"): value for name, value in cards.items()})
    return hdu


def extension(name: str, pixels: Any = None, ver: int = 1, **cards: Any) -> fits.ImageHDU:
    hdu = fits.ImageHDU(pixels, name=name, ver=ver)
    hdu.header.update({keyword.replace("_", "-"): value for keyword, value in cards.items()})
    return hdu


def read(path: Path, survey: str = "generic", role: Any = "science", kind: Any = "raw") -> Frame:
    return read_frame(path, profile_for(survey, kind), role, kind)


def triplet(path: Path, *images: NDArray[Any], second: str = "TEMPLATE", sign: Any = None) -> Path:
    names = ("SCIENCE", second, "DIFFERENCE")
    hdus = [extension(name, image) for name, image in zip(names, images, strict=True)]
    if sign is not None:
        hdus[2].header["DIFFSIGN"] = sign
    return write(path, fits.PrimaryHDU(), *hdus)
