"""A survey of small frames for the benchmark of scale, made in seconds: the rows by SQL, the pixels by noise."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import Engine

__all__ = ["FIELDS", "PER_FRAME", "add_exposures", "write_frames"]

SIDE, FIELDS, PER_FRAME = 512, 41, 49
SCALE_ARCSEC, SEEING_ARCSEC = 1.01, 2.0
SKY, NOISE, LIGHT = 250.0, 10.0, 4000.0
STEP_PX, FIRST_PX = 73.3, 36.0  # a stamp with its margin apart, so that nothing is in two stamps
BSCALE = 0.25  # counts in a unit of the 16-bit integers: half the bytes of floats

Image = NDArray[np.float32]


def write_frames(folder: Path, exposures: range) -> int:
    """Write science and difference of these exposures, and all references; return the bytes."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    light = _light()
    written = 0
    for field in range(FIELDS):
        rng = np.random.default_rng([1, field])
        image = SKY + _noise(rng) * np.float32(0.25)
        written += _write(folder / f"raw/reference{field}.fits", image, field, day=-200)
    for number in exposures:
        field, day = number % FIELDS, number // FIELDS
        rng = np.random.default_rng([2, number])
        science = SKY + _noise(rng) + light
        difference = _noise(rng) + light
        name = f"raw/{number}"
        written += _write(folder / f"{name}.science.fits", science, field, day)
        written += _write(folder / f"{name}.difference.fits", difference, field, day)
    return written


def add_exposures(engine: Engine, exposures: range) -> None:
    """Insert the rows of these exposures: observations, differences, detections, reviews."""
    rows = Path(__file__).with_name("scale.sql").read_text(encoding="utf-8")
    bounds = {"{from}": exposures.start, "{to}": exposures.stop, "{fields}": FIELDS}
    for name, value in bounds.items():
        rows = rows.replace(name, str(value))
    with engine.begin() as connection:
        connection.exec_driver_sql(rows.replace("%", "%%"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _noise(rng: np.random.Generator) -> Image:
    return rng.standard_normal((SIDE, SIDE), np.float32) * np.float32(NOISE)


def _light() -> Image:
    """Return stars where the real detections are, and hot pixels where the others are."""
    sigma = SEEING_ARCSEC / SCALE_ARCSEC / 2.3548
    image = np.zeros((SIDE, SIDE), np.float32)
    rows, columns = np.indices((SIDE, SIDE), np.float32)
    for place in range(PER_FRAME):
        x, y = FIRST_PX + STEP_PX * (place % 7), FIRST_PX + STEP_PX * (place // 7)
        if place % 2:
            image[round(y), round(x)] += LIGHT / 4
            continue
        near = np.s_[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13]
        squared = (columns[near] - x) ** 2 + (rows[near] - y) ** 2
        image[near] += LIGHT / (2 * np.pi * sigma**2) * np.exp(-squared / (2 * sigma**2))
    return image


def _write(path: Path, image: Image, field: int, day: int) -> int:
    """Write the image as 16-bit integers with the header that a survey gives it."""
    numbers = np.rint(np.clip(image / BSCALE, -32768, 32767)).astype(">i2")
    data = _header(field, day).tostring().encode("ascii") + numbers.tobytes()
    return path.write_bytes(data + bytes(-len(data) % 2880))


def _header(field: int, day: int) -> fits.Header:
    degrees = SCALE_ARCSEC / 3600
    return fits.Header(
        [
            ("SIMPLE", True),
            ("BITPIX", 16),
            ("NAXIS", 2),
            ("NAXIS1", SIDE),
            ("NAXIS2", SIDE),
            ("BSCALE", BSCALE),
            ("BZERO", 0.0),
            ("BUNIT", "DN"),
            ("MAGZP", 26.3),
            ("GAIN", 6.2),
            ("READNOI", 10.3),
            ("SATURATE", 8000.0),
            ("SEEING", SEEING_ARCSEC),
            ("PIXSCALE", SCALE_ARCSEC),
            ("EXPTIME", 30.0),
            ("FILTER", "ztf_r"),
            ("AIRMASS", 1.1),
            ("MJD-OBS", 60310.0 + day),
            ("TIMESYS", "UTC"),
            ("CTYPE1", "RA---TAN"),
            ("CTYPE2", "DEC--TAN"),
            ("CUNIT1", "deg"),
            ("CUNIT2", "deg"),
            ("CRVAL1", 2.0 * field + 1),
            ("CRVAL2", 0.0),
            ("CRPIX1", (SIDE + 1) / 2),
            ("CRPIX2", (SIDE + 1) / 2),
            ("CD1_1", -degrees),
            ("CD1_2", 0.0),
            ("CD2_1", 0.0),
            ("CD2_2", degrees),
            ("RADESYS", "ICRS"),
        ]
    )
