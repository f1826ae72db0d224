"""Alert packets of our own making, in the layouts of ZTF and Rubin."""

import csv
import gzip
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

CANDID = 2475433850015015000
"""19 digits: as a float it would end in other ones."""

CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}
CANDIDATE_FIELDS: dict[str, Any] = {
    "jd": "double",
    "fid": "int",
    "candid": "long",
    "isdiffpos": "string",
    "field": "int",
    "rcid": "int",
    "xpos": "double",
    "ypos": "double",
    "ra": "double",
    "dec": "double",
    "magpsf": "float",
    "sigmapsf": "float",
    "fwhm": "float",
    "rb": "float",
    "drb": ["null", "float"],
    "drbversion": "string",
    "ssdistnr": "float",
    "ssnamenr": "string",
    "magzpsci": "float",
    "exptime": "float",
    "programid": "int",
}
SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "alert",
        "fields": [
            {"name": "objectId", "type": "string"},
            {"name": "candid", "type": "long"},
            {
                "name": "candidate",
                "type": {
                    "type": "record",
                    "name": "candidate",
                    "fields": [{"name": n, "type": t} for n, t in CANDIDATE_FIELDS.items()],
                },
            },
            {"name": "cutoutScience", "type": ["null", CUTOUT]},
            {"name": "cutoutTemplate", "type": ["null", "cutout"]},
            {"name": "cutoutDifference", "type": ["null", "cutout"]},
        ],
    }
)


def pixels(height: int = 63, width: int = 63, seed: int = 0) -> np.ndarray:
    """Return noise with a source in the middle of a whole stamp, as the packets hold it."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width))
    noise[height // 2, width // 2] += 40
    return noise.astype(">f4")


def fits_bytes(image: np.ndarray, *, packed: bool = True, **cards: object) -> bytes:
    """Return a FITS file of one image."""
    buffer = io.BytesIO()
    fits.PrimaryHDU(image, fits.Header(list(cards.items()))).writeto(buffer)
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


def candidate(**values: object) -> dict[str, Any]:
    """Return a ZTF candidate; `values` replace its own."""
    return {
        "jd": 2460229.9338542,
        "fid": 1,
        "candid": CANDID,
        "isdiffpos": "t",
        "field": 505,
        "rcid": 0,
        "xpos": 1213.46,
        "ypos": 1175.15,
        "ra": 47.3641868,
        "dec": 9.7002819,
        "magpsf": 18.0,
        "sigmapsf": 0.1,
        "fwhm": 2.05,
        "rb": 0.61,
        "drb": 0.789,
        "drbversion": "d6_m7",
        "ssdistnr": -999.0,
        "ssnamenr": "null",
        "magzpsci": 26.25,
        "exptime": 30.0,
        "programid": 1,
    } | values


def ztf_record(
    cutouts: Mapping[str, object] | None = None, object_id: str = "ZTF18abcdefg", **values: object
) -> dict[str, Any]:
    """Return a ZTF alert packet's record.

    Args:
        cutouts: replaces packed cutouts: Science, Template, Difference -> bytes, struct or None.
        object_id: the survey's name of the object.
        values: of the candidate.
    """
    inner = candidate(**values)
    packed = {
        name: {"fileName": f"{name}.fits.gz", "stampData": fits_bytes(pixels(seed=seed))}
        for seed, name in enumerate(("Science", "Template", "Difference"))
    }
    stamps = packed | dict(cutouts or {})
    return {
        "objectId": object_id,
        "candid": inner["candid"],
        "candidate": inner,
        **{f"cutout{name}": value for name, value in stamps.items()},
    }


def rubin_record(**values: object) -> dict[str, Any]:
    """Return a Rubin alert packet's record: bare bytes, and a WCS in each cutout."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.1, 2.2], [16, 16]
    wcs.wcs.cdelt = [-0.2 / 3600, 0.2 / 3600]
    cards = {card.keyword: card.value for card in wcs.to_header().cards} | {"BUNIT": "nJy"}
    stamps = {
        f"cutout{name}": fits_bytes(pixels(31, 31, seed), packed=False, **cards)
        for seed, name in enumerate(("Science", "Template", "Difference"))
    }
    source = {
        "diaSourceId": 169298435264512001,
        "visit": 2025050100123,
        "detector": 41,
        "diaObjectId": 169298435264500001,
        "midpointMjdTai": 60796.25,
        "exposureTime": 30.0,
        "ra": 150.1,
        "dec": 2.2,
        "x": 1500.5,
        "y": 900.25,
        "psfFlux": -999.5,
        "snr": 22.5,
        "band": "r",
        "reliability": 0.93,
        "reliabilityVersion": "v1",
        "ixxPSF": 0.16,
        "iyyPSF": 0.16,
    } | values
    return {"diaSourceId": source["diaSourceId"], "diaSource": source, **stamps}


def write_avro(path: Path, *records: dict[str, Any], codec: str = "null") -> Path:
    """Write records of ZTF's schema."""
    with path.open("wb") as stream:
        fastavro.writer(stream, SCHEMA, records, codec=codec, sync_interval=1)
    return path


def write_parquet(path: Path, *records: dict[str, Any]) -> Path:
    """Write records as brokers archive them."""
    pq.write_table(pa.Table.from_pylist(list(records)), path, compression="snappy")
    return path


def write_triplet(
    path: Path, names: tuple[str, ...] = ("SCIENCE", "TEMPLATE", "DIFFERENCE")
) -> Path:
    """Write a FITS file of three stamps."""
    hdus = [fits.ImageHDU(pixels(seed=seed), name=name) for seed, name in enumerate(names)]
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def write_csv(path: Path, *rows: Mapping[str, object]) -> Path:
    """Write a table; columns are those of the first row."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def made() -> Any:
    """The functions of this file."""
    return sys.modules[__name__]
