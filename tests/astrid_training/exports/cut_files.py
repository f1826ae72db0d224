"""A dataset cut from frames of every kind of WCS, in a directory store, without database or pipeline."""

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_training.digests import sample_key
from astrid_training.exports import SkyReader
from astrid_training.packs import FORMAT_VERSION, PackCache, put_array, put_table
from astrid_training.params import PreprocessSpec, TrainingDataCollectionParams
from astrid_training.positions import positions_on_frame
from astrid_training.processor import fingerprint
from astrid_training.records import FunnelRow, TrainingDataset
from astrid_training.samples import SCHEMA
from astrid_training.source_cache import SourceCache
from astrid_training.sources import Sources
from astrid_training.store import Store
from astrid_training.surveys import profile_for, read_frame

SHAPE = (180, 220)
"""Rows and columns of the frames."""
EXTRA = pa.schema(
    [
        *((name, pa.float64()) for name in ("frame_x", "frame_y", "centroid_shift_px")),
        *((f"px_{a}_{b}", pa.float64()) for a in "xy" for b in ("east", "north")),
        *((f"{what}_{role}", pa.float64()) for what in ("level", "scale") for role in ("science",)),
        *((name, pa.float64()) for name in ("mjd_mid", "exposure_s")),
        *((name, pa.string()) for name in ("position_flags", "units", "time_scale")),
        *((f"{role}_kind", pa.string()) for role in ("science", "reference", "difference")),
    ]
)
PLACES = ((100.0, 90.0), (101.4, 88.7), (30.0, 150.0), (195.3, 60.2))
"""Where targets lie on a frame, 0-based columns and rows; near edges, too."""


class Cut(NamedTuple):
    """A dataset, its objects, and the files that it was cut from."""

    record: TrainingDataset
    store: Store
    samples: pa.Table
    images: NDArray[np.float32]
    """(sample, channel, y, x) in the table's order, with margin."""
    masks: NDArray[np.uint8]
    flags: NDArray[np.uint8]

    @property
    def packs(self) -> PackCache:
        return PackCache(self.store, Path("not-needed"))

    def sky(self, cache: Path) -> SkyReader:
        sources = Sources(self.store)
        return SkyReader(sources, SourceCache(sources, cache))


def tangent(*, turned: float = 0.3, scale: float = 0.5) -> fits.Header:
    """Keywords of a plain WCS, turned and with east to the left."""
    cos, sin = scale / 3600 * np.cos(turned), scale / 3600 * np.sin(turned)
    return fits.Header(
        {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": 150.1,
            "CRVAL2": 2.2,
            "CRPIX1": 500.5,
            "CRPIX2": -300.25,
            "CD1_1": -cos,
            "CD1_2": sin,
            "CD2_1": sin,
            "CD2_2": cos,
            "RADESYS": "ICRS",
        }
    )


def bent() -> fits.Header:
    """Keywords with a strong SIP distortion."""
    header = tangent(scale=0.26)
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    for axis, terms in (("A", (3e-5, -1e-5)), ("B", (-2e-5, 1.5e-5))):
        header[f"{axis}_ORDER"] = 2
        header[f"{axis}_2_0"], header[f"{axis}_1_1"] = terms
    return header


def frame_file(header: fits.Header) -> bytes:
    """A frame of noise with the WCS of the header."""
    pixels = np.random.default_rng(5).normal(100, 5, SHAPE).astype(np.float32)
    hdu = fits.PrimaryHDU(pixels, header)
    buffer = BytesIO()
    hdu.writeto(buffer)
    return buffer.getvalue()


EXPOSURES: dict[str, dict[str, Any]] = {
    "plain": {"roles": ("science", "reference", "difference"), "header": tangent()},
    "bent": {"roles": ("science",), "header": bent()},
    "gone": {"roles": ("science", "difference"), "header": tangent(turned=2.0)},
    "blind": {"roles": ("science", "difference"), "header": fits.Header()},
}


def _rows(store: Store, spec: PreprocessSpec) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, (name, exposure) in enumerate(EXPOSURES.items()):
        paths = {role: f"raw/{name}.{role}.fits" for role in exposure["roles"]}
        for path in paths.values():
            store.put(path, frame_file(exposure["header"]))
        rows += _samples_of(store, number, name, paths, spec)
    store.put("raw/plain.reference.fits", frame_file(elsewhere()))
    for role in EXPOSURES["gone"]["roles"]:
        store.delete(f"raw/gone.{role}.fits")
    return sorted(rows, key=lambda row: str(row["sample_key"]))


def elsewhere() -> fits.Header:
    """A reference frame on a grid of its own: turned, and of larger pixels."""
    header = tangent(turned=-0.4, scale=0.6)
    header["CRPIX1"], header["CRPIX2"] = 100.0, -500.0
    world = WCS(tangent()).all_pix2world([PLACES[0]], 0)
    header["CRVAL1"], header["CRVAL2"] = world[0]
    header["CRPIX1"], header["CRPIX2"] = 90.3, 70.8
    return header


def _samples_of(
    store: Store, number: int, name: str, paths: dict[str, str], spec: PreprocessSpec
) -> list[dict[str, Any]]:
    primary = paths.get("difference", paths["science"])
    path = store.local_path(primary)
    assert path is not None
    frame = read_frame(path, profile_for("generic"), "science")
    pixels = np.array(PLACES)
    blind = frame.wcs is None
    sky = np.tile([10.0, 20.0], (4, 1)) if blind else frame.wcs.all_pix2world(pixels, 0)
    (ra_deg, dec_deg), (x, y) = sky.T.tolist(), pixels.T.tolist()
    found = positions_on_frame(frame, ra_deg, dec_deg, x, y, 2.0)
    rows = []
    for place, ((ra, dec), at) in enumerate(zip(sky.tolist(), found, strict=True)):
        refined = place == 1  # its centroid lies elsewhere than its coordinates
        x, y = (at.x + 0.3, at.y - 0.4) if refined else (at.x, at.y)
        left, bottom = (int(np.floor(v + 0.5)) - spec.padded_size // 2 for v in (at.x, at.y))
        axes = at.axes or (None,) * 4
        rows.append(
            {
                "sample_key": sample_key("det", f"{name}{place}"),
                "split": ("train", "train", "val", "test")[place],
                "is_anomaly": place % 2 == 0,
                "anomaly_type": "supernova" if place % 2 == 0 else None,
                "label_source": "human",
                "p_real": 0.9,
                "confidence": 0.9,
                "weight": 0.8,
                "tier": "gold",
                "n_votes": 1,
                "votes": json.dumps([{"validator": "ada", "state": "counts"}]),
                "selected_for": "all",
                "group_key": f"g{number}{place}",
                "observation_id": str(UUID(int=100 + number)),
                "survey": "generic",
                "band": "g",
                "observation_time": datetime(2024, 3, 1, number, tzinfo=UTC),
                "ra_deg": ra,
                "dec_deg": dec,
                "x": x - left,
                "y": y - bottom,
                "frame_x": x,
                "frame_y": y,
                "position_flags": "no_wcs" if blind else "refined" if refined else "",
                "centroid_shift_px": 0.5 if refined else None,
                "px_x_east": axes[0],
                "px_y_east": axes[1],
                "px_x_north": axes[2],
                "px_y_north": axes[3],
                "fwhm_px": 2.4,
                "fwhm_source": "header",
                "pixel_scale": 0.5,
                "diff_sign": -1 if "difference" in paths else None,
                "source_kind": "raw",
                "level_science": 0.5,
                "scale_science": 5.0,
                "units": "DN",
                "mjd_mid": 60370.25,
                "time_scale": "utc",
                "image_digest": "0" * 64,
                "mask_digest": "0" * 64,
                **{f"{role}_path": one for role, one in paths.items()},
                **{f"{role}_kind": "raw" for role in paths},
            }
        )
    return rows


def cut_dataset(folder: Path, **changes: Any) -> Cut:
    """Make the dataset; `changes` replace fields of single samples, by their place in the table."""
    spec, store = PreprocessSpec(), Store(folder.as_uri())
    rows = _rows(store, spec)
    for place, fields in changes.get("rows", {}).items():
        rows[place] |= fields
    random, side = np.random.default_rng(7), spec.padded_size
    images = random.normal(0, 1, (len(rows), 3, side, side)).astype(np.float32)
    masks = random.choice([0, 1, 2, 255], (len(rows), side, side)).astype(np.uint8)
    flags = random.integers(0, 32, (len(rows), side, side)).astype(np.uint8)
    half = len(rows) // 2
    for part in (slice(0, half), slice(half, None)):
        names = {
            "image_pack": put_array(store, "images", images[part]),
            "flag_pack": put_array(store, "flags", flags[part]),
            "mask_pack": put_array(store, "masks", masks[part][::-1]),
        }
        for place, row in enumerate(rows[part]):
            row |= {**names, "image_row": place, "mask_row": len(rows[part]) - 1 - place}
    samples = pa.Table.from_pylist(rows, pa.schema([*SCHEMA, *EXTRA]))
    key = f"samples/{put_table(store, 'samples', samples)}.parquet"
    return Cut(_record(samples, key, spec), store, samples, images, masks, flags)


def _record(samples: pa.Table, key: str, spec: PreprocessSpec) -> TrainingDataset:
    params = TrainingDataCollectionParams(name="cut", preprocess=spec)
    return TrainingDataset(
        id=UUID(int=26),
        name="cut",
        description=None,
        version_id="fedcba9876543210",
        parent_id=None,
        status="active",
        created_at=datetime(2024, 5, 2, 3, tzinfo=UTC),
        created_by="ada",
        as_of=datetime(2024, 5, 1, tzinfo=UTC),
        total_samples=samples.num_rows,
        anomaly_ratio=0.5,
        quality_score=0.9,
        splits={"train": 8, "val": 4, "test": 4},
        classes={"supernova": 8, "bogus": 8},
        funnel=[FunnelRow("fetch_validated_detections", "selected", samples.num_rows)],
        format_version=FORMAT_VERSION,
        collection_params=params.model_dump(mode="json"),
        preprocess_spec=spec.model_dump(mode="json"),
        spec_fingerprint=fingerprint(spec),
        digests={name: name[0] * 64 for name in ("query", "source", "label", "content", "split")},
        quality_report={"mean_confidence": 0.9},
        samples_key=key,
        flow_run_id=None,
        mlflow_run_id=None,
    )
