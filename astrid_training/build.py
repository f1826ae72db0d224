"""The steps of one batch: targets to stamps, stamps to masks, masks to scored samples.

Each takes the name of a table in the store and leaves another; rows and rejects together are as
many as the rows that came in.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection

from astrid_training.batches import STAMPS, exposures_of
from astrid_training.database import query
from astrid_training.digests import digest_bytes
from astrid_training.downloads import SourceCache
from astrid_training.errors import FitsRefusedError
from astrid_training.exposures import ExposureStamps, Target, build_exposure
from astrid_training.faults import fault_point
from astrid_training.masks import Targets, make_masks
from astrid_training.measure import MEASUREMENTS
from astrid_training.needs import context_of
from astrid_training.neighbours import place_neighbours
from astrid_training.packs import PackCache, PackWriter, put_table, read_table
from astrid_training.params import Channel, MaskRule, PreprocessSpec
from astrid_training.positions import REFINED
from astrid_training.processor import ExposureFrames
from astrid_training.processors import Processor
from astrid_training.psf import FEW_STARS
from astrid_training.quality import usability
from astrid_training.records import Downloaded, MaskRef, QualityRef, Reject, SourceFile, StampsRef
from astrid_training.store import Store
from astrid_training.surveys import Frame, profile_for, read_frame

__all__ = ["BUILT", "MASKED", "build_masks", "build_samples", "build_stamps", "register_stamps"]

PACKS = ("image_pack", "flag_pack", "significance_pack", "measure_table")
SCIENCE_MASK = "science_mask"
MASKED = pa.schema(
    [
        *STAMPS,
        ("mask_pack", pa.string()),
        ("mask_row", pa.int32()),
        ("mask_digest", pa.string()),
        ("mask_flags", pa.string()),  # joined by commas
    ]
)
"""Stamps and their masks."""

BUILT = pa.schema([*MASKED, *(field for field in MEASUREMENTS if field.name not in MASKED.names)])
"""What a batch leaves: stamps, masks and measurements, one row a sample."""

Row = dict[str, Any]


def build_stamps(
    store: Store,
    cache: SourceCache,
    targets: str,
    downloaded: Downloaded,
    processor: Processor,
) -> StampsRef:
    """Cut and scale the stamps of a batch and store them as packs of images, flags and significance.

    Args:
        store: where `targets` lies and packs go.
        cache: where the source files lie.
        targets: `targets/<digest>.parquet`.
        downloaded: the files that could be had, and the samples lost with the others.
        processor: makes the pixels.
    """
    files = {file.path: file for file in downloaded.files}
    lost = {reject.sample_key for reject in downloaded.rejects}
    rows = [row for row in _rows(store, "targets", targets) if row["sample_key"] not in lost]
    filling = _Filling(len(rows), processor.spec)
    rejects: list[Reject] = []
    for exposure in exposures_of(rows):
        try:
            frames = _frames(exposure[0], files, cache)
            stamps = build_exposure(frames, _targets(exposure), processor, context_of(exposure[0]))
        except FitsRefusedError as error:  # tiles are decoded where a stamp needs them
            rejects += _all_rejected(exposure, error)
            continue
        filling.add(stamps)
        rejects += stamps.rejects
    return StampsRef(filling.store(store), filling.count, rejects)


class _Filling:
    """The packs of a batch while they are filled, exposure by exposure."""

    def __init__(self, most: int, spec: PreprocessSpec) -> None:
        side = spec.padded_size
        self._images = PackWriter(most, (len(spec.channels), side, side), np.float32)
        self._flags = PackWriter(most, (side, side), np.uint8)
        self._significance = PackWriter(most, (side, side), np.float16)
        self._measures = [MEASUREMENTS.empty_table()]
        self.count = 0

    def add(self, stamps: ExposureStamps) -> None:
        """Put the samples of one exposure after those that are there."""
        new = slice(self.count, self.count + len(stamps.pixels))
        self._images.rows[new] = stamps.pixels
        self._flags.rows[new] = stamps.flags
        self._significance.rows[new] = stamps.significance
        self._measures.append(stamps.measures)
        self.count = new.stop

    def store(self, store: Store) -> str:
        """Store the packs and return the digest of the table of `STAMPS` that says where each is."""
        count = self.count
        if not count:
            return put_table(store, "stamps", STAMPS.empty_table())
        measured = pa.concat_tables(self._measures)
        where = {
            "image_pack": self._images.store(store, "images", count),
            "flag_pack": self._flags.store(store, "flags", count),
            "significance_pack": self._significance.store(store, "significance", count),
            "measure_table": put_table(store, "measures", measured),
        }
        columns = {
            "sample_key": measured["sample_key"],
            **{name: [digest] * count for name, digest in where.items()},
            "pack_row": np.arange(count, dtype=np.int32),
        }
        return put_table(store, "stamps", pa.table(columns, schema=STAMPS))


def _rows(store: Store, kind: str, digest: str) -> list[Row]:
    rows: list[Row] = read_table(store, kind, digest).to_pylist()
    return rows


def _frames(row: Row, files: dict[str, SourceFile], cache: SourceCache) -> ExposureFrames:
    def frame(role: Channel) -> Frame | None:
        path, kind = row[f"{role}_path"], row[f"{role}_kind"]
        if not path:
            return None
        return read_frame(cache.path(files[path]), profile_for(row["survey"], kind), role, kind)

    science = frame("science")
    if science is None:
        raise FitsRefusedError("no_science", "the observation names no file of its own")
    return ExposureFrames(science, frame("reference"), frame("difference"))


def _all_rejected(exposure: Sequence[Row], error: FitsRefusedError) -> list[Reject]:
    return [Reject(row["sample_key"], "preprocess", error.reason, error.detail) for row in exposure]


def _targets(exposure: Sequence[Row]) -> list[Target]:
    names = ("sample_key", "ra_deg", "dec_deg", "pixel_x", "pixel_y")
    return [Target(**{name: row[name] for name in names}) for row in exposure]


def register_stamps(
    connection: Connection, store: Store, targets: str, stamps: StampsRef, fingerprint: str
) -> None:
    """Enter what became of a batch into the catalogue, so that no later run builds it again."""
    fault_point("register_stamps", "before")
    asked = read_table(store, "targets", targets).select(["sample_key", "input_digest"])
    sources = dict(zip(*(column.to_pylist() for column in asked.columns), strict=True))
    if stamps.rejects:
        connection.execute(
            query("catalogue_reject"),
            {
                "fingerprint": fingerprint,
                "sample_keys": [reject.sample_key for reject in stamps.rejects],
                "input_digests": [sources[reject.sample_key] for reject in stamps.rejects],
                "reasons": [reject.reason for reject in stamps.rejects],
                "details": [reject.detail for reject in stamps.rejects],
            },
        )
    built = read_table(store, "stamps", stamps.stamps)
    if not built.num_rows:
        return
    keys = built["sample_key"].to_pylist()
    connection.execute(
        query("catalogue_add"),
        {
            "fingerprint": fingerprint,
            **{name: built[name][0].as_py() for name in PACKS},
            "sample_keys": keys,
            "input_digests": [sources[key] for key in keys],
            "pack_rows": built["pack_row"].to_pylist(),
        },
    )


def build_masks(
    store: Store, packs: PackCache, stamps: StampsRef, labels: str, rule: MaskRule
) -> MaskRef:
    """Draw the masks of a batch and store them as one pack.

    Args:
        store: where tables lie and the pack goes.
        packs: where flags and significance lie.
        stamps: the batch's stamps.
        labels: `labels/<digest>.parquet`.
        rule: how masks are drawn.
    """
    said = {row["sample_key"]: row for row in _rows(store, "labels", labels)}
    pack: PackWriter | None = None
    rows: list[Row] = []
    rejects: list[Reject] = []
    for group, flags, lit, measured in _pack_groups(store, packs, stamps.stamps):
        pack = pack or PackWriter(stamps.rows, flags.shape[1:], np.uint8)
        labelled = [said[row["sample_key"]] for row in group]
        near = place_neighbours([label["neighbours"] for label in labelled], measured)
        masks = make_masks(flags, lit, _mask_targets(labelled, measured), near, rule)
        told = zip(group, measured, masks.pixels, masks.dropped, masks.from_science, strict=True)
        for row, measures, pixels, dropped, from_science in told:
            if dropped:
                detail = f"more than {rule.max_missing:.0%} of the target has no pixels"
                rejects.append(Reject(row["sample_key"], "make_masks", "target_masked", detail))
                continue
            mask = {"mask_row": len(rows), "mask_digest": digest_bytes(pixels.tobytes())}
            flagged = _mask_flags(measures, from_science=bool(from_science))
            pack.rows[len(rows)] = pixels
            rows.append({**row, **mask, "mask_flags": flagged})
    digest = pack.store(store, "masks", len(rows)) if pack and rows else None
    table = pa.Table.from_pylist([{**row, "mask_pack": digest} for row in rows], schema=MASKED)
    return MaskRef(put_table(store, "mask_tables", table), len(rows), rejects)


def _mask_targets(labels: Sequence[Row], measured: Sequence[Row]) -> Targets:
    x, y, fwhm = (np.array([row[name] for row in measured]) for name in ("x", "y", "fwhm_px"))
    codes = np.array([label["code"] for label in labels], np.uint8)
    return Targets(x, y, fwhm, codes, np.array([label["moving"] for label in labels], np.bool_))


def _mask_flags(measured: Row, *, from_science: bool) -> str:
    """Return what a person should know of a mask: codes joined by commas."""
    flags = [flag for flag in measured["position_flags"].split(",") if flag not in ("", REFINED)]
    flags += [FEW_STARS] * (measured["fwhm_source"] == FEW_STARS)
    flags += [SCIENCE_MASK] * from_science
    return ",".join(flags)


def _pack_groups(
    store: Store, packs: PackCache, stamps: str
) -> Iterator[tuple[list[Row], NDArray[np.uint8], NDArray[np.float16], list[Row]]]:
    """Yield (rows, flags, significance, measurements) of each pack that the stamps lie in."""
    rows = _rows(store, "stamps", stamps)
    for names, group in groupby(rows, lambda row: tuple(row[name] for name in PACKS[1:])):
        flag_pack, lit_pack, measure_table = names
        members = list(group)
        measured = _rows(store, "measures", measure_table)
        at = [row["pack_row"] for row in members]
        flags = np.asarray(packs.open("flags", flag_pack)[at])
        lit = np.asarray(packs.open("significance", lit_pack)[at])
        yield members, flags, lit, [measured[i] for i in at]


def build_samples(store: Store, masks: MaskRef) -> QualityRef:
    """Join each masked stamp with its measurements and drop those that nobody could use.

    Args:
        store: where tables lie.
        masks: the batch's masks.
    """
    rows = _rows(store, "mask_tables", masks.masks)
    joined: list[pa.Table] = []
    rejects: list[Reject] = []
    for measure_table, group in groupby(rows, lambda row: row["measure_table"]):
        members = pa.Table.from_pylist(list(group), schema=MASKED)
        measured = read_table(store, "measures", measure_table).take(members["pack_row"])
        problems = usability(measured)
        for key, problem in zip(members["sample_key"].to_pylist(), problems, strict=True):
            if problem is not None:
                rejects.append(Reject(key, "score_quality", problem))
        usable = pa.array([problem is None for problem in problems])
        for name in measured.column_names:
            if name not in members.column_names:
                members = members.append_column(name, measured[name])
        joined.append(members.filter(usable))
    table = pa.concat_tables(joined) if joined else BUILT.empty_table()
    return QualityRef(put_table(store, "built", table), table.num_rows, rejects)
