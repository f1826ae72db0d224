"""From a selection to units of work: what is built already is not asked for again."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.digests import digest_many, digest_value
from astrid_training.errors import UnusablePathError
from astrid_training.fits_guard import GUARD_VERSION
from astrid_training.neighbours import NEIGHBOURS, label_code
from astrid_training.packs import pack_key, put_table, read_table
from astrid_training.presence import problems
from astrid_training.records import BatchRef, Plan, Reject, Selection
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import ObjectInfo, Store
from astrid_training.surveys import profile_for
from astrid_training.urls import mask_url

__all__ = ["LABELS", "STAMPS", "TARGETS", "exposures_of", "plan_batches"]

BATCH_BYTES = 1_000_000_000  # what one unit of work may fetch
MOVING = "asteroid"
LOOKUPS_AT_ONCE = 8  # the object store's client saturates here

READING_VERSION = 4
"""Raised by hand when files are read, positions found or stamps measured in another way; what
changes pixels under one spec is in `processor.ALGORITHMS`."""

_PLACE = (
    "survey",
    "band",
    "seeing_arcsec",
    "pixel_scale",
    "ra_deg",
    "dec_deg",
    "pixel_x",
    "pixel_y",
    "candidates_fwhm_px",
)
_SOURCES = [
    field
    for role in ROLES
    for field in (
        (f"{role}_path", pa.string()),
        (f"{role}_kind", pa.string()),
        (f"{role}_etag", pa.string()),
        (f"{role}_size", pa.int64()),
    )
]
TARGETS = pa.schema(
    [
        ("sample_key", pa.string()),
        ("observation_id", pa.string()),
        ("survey", pa.string()),
        ("band", pa.string()),
        ("seeing_arcsec", pa.float64()),
        ("pixel_scale", pa.float64()),
        ("ra_deg", pa.float64()),
        ("dec_deg", pa.float64()),
        ("pixel_x", pa.int32()),
        ("pixel_y", pa.int32()),
        ("candidates_fwhm_px", pa.float64()),
        *_SOURCES,
        ("input_digest", pa.string()),
    ]
)
"""What a batch cuts, sorted by observation, files and sample; nothing in it depends on labels."""

LABELS = pa.schema(
    [
        ("sample_key", pa.string()),
        ("code", pa.uint8()),  # of its own target in the mask: 1 real, 2 rejected, 0 none
        ("moving", pa.bool_()),  # whether it leaves a trail
        ("neighbours", NEIGHBOURS),
    ]
)
"""What masks need of the labels of a batch."""

STAMPS = pa.schema(
    [
        ("sample_key", pa.string()),
        ("image_pack", pa.string()),
        ("flag_pack", pa.string()),
        ("significance_pack", pa.string()),
        ("measure_table", pa.string()),
        ("pack_row", pa.int32()),
    ]
)
"""Where built stamps lie."""

Row = dict[str, Any]
Refusal = tuple[str, str]  # reason and detail
Found = ObjectInfo | Refusal


def plan_batches(
    connection: Connection,
    store: Store,
    sources: Sources,
    selection: Selection,
    fingerprint: str,
    batch_samples: int,
) -> Plan:
    """Return the units of work that turn the kept subjects of `selection` into samples.

    Subjects whose files are missing or quarantined become rejects here, before anything is fetched.

    Args:
        connection: for the catalogue of built stamps and the quarantine.
        store: where tables are written and packs lie.
        sources: where the survey's files lie.
        selection: what was selected.
        fingerprint: of the preprocessing; stamps of another one are not reused.
        batch_samples: most samples of one batch.
    """
    table = read_table(store, "selections", selection.digest)
    kept = [row for row in table.to_pylist() if row["reason"] is None]
    found = _look_up(sources, kept)
    quarantined = _quarantined(connection, found)
    rows, rejects = _with_sources(kept, found, quarantined)
    built, missing, known = _divide(connection, store, rows, fingerprint)
    batches = [
        *_build_batches(store, missing, batch_samples),
        *_reuse_batches(store, built, batch_samples),
    ]
    files = sorted(
        f"{path}|{info.size}|{info.etag}"
        for path, info in found.items()
        if isinstance(info, ObjectInfo)
    )
    return Plan(batches, rejects + known, len(built), digest_many(files))


def _look_up(sources: Sources, rows: Iterable[Row]) -> dict[str, Found]:
    """Return what is at each path that the rows name, or why nothing can be had there."""

    def look(path: str) -> Found:
        try:
            return sources.head(path) or ("missing_object", "nothing is there")
        except UnusablePathError as error:
            return error.reason, str(error)

    paths = sorted({row[f"{role}_path"] for row in rows for role in ROLES} - {None})
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as pool:
        return dict(zip(paths, pool.map(look, paths), strict=True))


def _quarantined(connection: Connection, found: dict[str, Found]) -> dict[str, Refusal]:
    there = [(path, info.etag) for path, info in found.items() if isinstance(info, ObjectInfo)]
    rows = connection.execute(
        query("quarantine_find"),
        {
            "guard_version": GUARD_VERSION,
            "uris": [path for path, _ in there],
            "etags": [etag for _, etag in there],
        },
    )
    return {row.uri: (row.reason, row.detail) for row in rows}


def _with_sources(
    rows: Iterable[Row], found: dict[str, Found], quarantined: dict[str, Refusal]
) -> tuple[list[Row], list[Reject]]:
    """Return the rows with size and ETag of their files, and those that cannot be had."""
    ready, rejects = [], []
    for row in rows:
        files: Row = {}
        problem = None
        for role in ROLES:
            path = row[f"{role}_path"]
            info = found[path] if path else None
            files[f"{role}_etag"] = info.etag if isinstance(info, ObjectInfo) else None
            files[f"{role}_size"] = info.size if isinstance(info, ObjectInfo) else None
            refusal = info if isinstance(info, tuple) else quarantined.get(path)
            problem = problem or (
                refusal and (refusal[0], f"{role}: {mask_url(path)}: {refusal[1]}")
            )
        if problem:
            rejects.append(Reject(row["sample_key"], "download_fits", *problem))
            continue
        ready.append({**row, **files, "input_digest": _input_digest({**row, **files})})
    return ready, rejects


def _input_digest(row: Row) -> str:
    """Return the digest of all that a stamp and its measurements are made from, beside the spec."""
    files = [[row[f"{role}_{what}"] for what in ("path", "kind", "size", "etag")] for role in ROLES]
    kinds = sorted({row[f"{role}_kind"] for role in ROLES} - {None})
    profiles = [
        profile_for(row["survey"], kind).model_dump(mode="json", exclude={"reference_values"})
        for kind in kinds
    ]
    return digest_value([READING_VERSION, profiles, files, [row[name] for name in _PLACE]])


def _divide(
    connection: Connection, store: Store, rows: list[Row], fingerprint: str
) -> tuple[list[Row], list[Row], list[Reject]]:
    """Return the rows whose stamps are built and still whole, those to be built, and the hopeless."""
    found = connection.execute(
        query("catalogue_find"),
        {
            "sample_keys": [row["sample_key"] for row in rows],
            "input_digests": [row["input_digest"] for row in rows],
            "fingerprint": fingerprint,
        },
    ).mappings()
    known = {row["sample_key"]: dict(row) for row in found}
    objects = {key for stamp in known.values() for key in _objects(stamp)}
    there = objects - problems(connection.engine, store, objects).keys()
    built, missing, hopeless = [], [], []
    for row in rows:
        key = row["sample_key"]
        stamp = known.get(key)
        if stamp is not None and stamp["reason"] is not None:
            hopeless.append(Reject(key, "preprocess", stamp["reason"], stamp["detail"]))
        elif stamp is not None and _objects(stamp) <= there:
            built.append({**stamp, **row})
        else:
            missing.append(row)
    return built, missing, hopeless


def _objects(stamp: Row) -> set[str]:
    if stamp["reason"] is not None:
        return set()
    return {
        pack_key("images", stamp["image_pack"]),
        pack_key("flags", stamp["flag_pack"]),
        pack_key("significance", stamp["significance_pack"]),
        f"measures/{stamp['measure_table']}.parquet",
    }


def _build_batches(store: Store, rows: Sequence[Row], batch_samples: int) -> list[BatchRef]:
    """Return batches of whole exposures, bounded by samples and by bytes."""
    ordered = sorted(rows, key=lambda row: (*_images(row), row["sample_key"]))
    batches: list[BatchRef] = []
    pending: list[list[Row]] = []
    for exposure in exposures_of(ordered):
        grown = [*pending, exposure]
        if pending and (_samples(grown) > batch_samples or _bytes(grown) > BATCH_BYTES):
            batches.append(_build_batch(store, pending))
            grown = [exposure]
        pending = grown
    return [*batches, _build_batch(store, pending)] if pending else batches


def exposures_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows that are cut from the same images of one observation, which lie together."""
    for _, group in groupby(rows, _images):
        yield list(group)


def _images(row: Row) -> tuple[str, ...]:
    return (row["observation_id"], *(row[f"{role}_path"] or "" for role in ROLES))


def _samples(exposures: Sequence[Sequence[Row]]) -> int:
    return sum(len(rows) for rows in exposures)


def _bytes(exposures: Sequence[Sequence[Row]]) -> int:
    files = {
        rows[0][f"{role}_path"]: rows[0][f"{role}_size"] or 0
        for rows in exposures
        for role in ROLES
    }
    return sum(files.values())


def _build_batch(store: Store, exposures: Sequence[Sequence[Row]]) -> BatchRef:
    rows = [row for exposure in exposures for row in exposure]
    return BatchRef(
        targets=put_table(store, "targets", pa.Table.from_pylist(rows, schema=TARGETS)),
        labels=_put_labels(store, rows),
        samples=len(rows),
        exposures=len({row["observation_id"] for row in rows}),
        source_bytes=_bytes(exposures),
        built=False,
    )


def _reuse_batches(store: Store, rows: Sequence[Row], batch_samples: int) -> list[BatchRef]:
    """Return batches over stamps that are built, in the order in which they lie in their packs."""
    ordered = sorted(rows, key=lambda row: (row["image_pack"], row["pack_row"]))
    chunks = [ordered[i : i + batch_samples] for i in range(0, len(ordered), batch_samples)]
    return [
        BatchRef(
            targets=put_table(store, "stamps", pa.Table.from_pylist(chunk, schema=STAMPS)),
            labels=_put_labels(store, chunk),
            samples=len(chunk),
            exposures=len({row["observation_id"] for row in chunk}),
            source_bytes=0,
            built=True,
        )
        for chunk in chunks
    ]


def _put_labels(store: Store, rows: Sequence[Row]) -> str:
    labels = [
        {
            "sample_key": row["sample_key"],
            "code": label_code(row),
            "moving": row["is_anomaly"] and row["anomaly_type"] == MOVING,
            "neighbours": row["neighbours"],
        }
        for row in rows
    ]
    return put_table(store, "labels", pa.Table.from_pylist(labels, schema=LABELS))
