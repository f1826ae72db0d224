"""Which image of an exposure plays which role for a detection: a frame, or a stamp of its own."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrid_training.params import CHANNELS, SourcePolicy
from astrid_training.problems import Problems

__all__ = ["IMAGES", "SOURCES", "choose_images", "image_problems"]

SOURCES = pa.schema(
    [
        (name, pa.string())
        for name in (
            "observation_id",
            "science_raw",
            "science_processed",
            "difference_path",
            "reference_raw",
            "reference_processed",
        )
    ]
)
"""What the query exposure_sources tells."""

IMAGES = pa.schema(
    [(f"{role}_{what}", pa.string()) for role in CHANNELS for what in ("path", "kind")]
)
"""The path of each role's image and its kind, raw, processed or stamp; null where there is none."""


def choose_images(sources: pa.Table, stamp_path: pa.Array, policy: SourcePolicy) -> pa.Table:
    """Return the images that detections are cut from, rows of `IMAGES`.

    A detection that brings a stamp file, as an imported alert does, is cut from that alone.

    Args:
        sources: (n,) rows of `SOURCES`, of each detection's observation.
        stamp_path: (n,) of each detection, null where it has none.
        policy: whether processed images are taken before raw ones, alone, or not at all.
    """
    columns = {}
    for role in CHANNELS:
        if role == "difference":
            path, kind = sources["difference_path"], pa.scalar("raw")
        else:
            path, kind = _frame(sources[f"{role}_processed"], sources[f"{role}_raw"], policy)
        path, kind = _first(stamp_path, pa.scalar("stamp"), path, kind)
        columns[f"{role}_path"] = path
        columns[f"{role}_kind"] = pc.if_else(pc.is_valid(path), kind, pa.scalar(None, pa.string()))
    return pa.table(columns, schema=IMAGES)


def _frame(
    processed: pa.ChunkedArray, raw: pa.ChunkedArray, policy: SourcePolicy
) -> tuple[pa.Array, pa.Array]:
    if policy == "raw":
        return raw, pa.scalar("raw")
    if policy == "processed":
        return processed, pa.scalar("processed")
    return _first(processed, pa.scalar("processed"), raw, pa.scalar("raw"))


def _first(
    path: pa.Array, kind: pa.Scalar, other: pa.Array, other_kind: pa.Scalar
) -> tuple[pa.Array, pa.Array]:
    """Return path and kind, the other's where there is no path."""
    return pc.coalesce(path, other), pc.if_else(pc.is_valid(path), kind, other_kind)


def image_problems(
    images: pa.Table, policy: SourcePolicy, *, science_masks: bool = False
) -> Problems:
    """Return which detections become no sample for want of an image.

    Args:
        images: of each detection, as `choose_images` chose them.
        policy: whether raw images will do.
        science_masks: whether masks may be drawn without a difference image.
    """
    no_science = _missing(images["science_path"])
    only_processed = no_science & (policy == "processed")
    return {
        "no_processed": (only_processed, "no completed preprocess run with an image"),
        "no_science": (no_science, "the observation names no file of its own"),
        "no_difference": (
            _missing(images["difference_path"]) & (not science_masks),
            "no completed difference run with an image",
        ),
    }


def _missing(paths: pa.ChunkedArray) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = pc.is_null(paths).to_numpy()
    return missing
