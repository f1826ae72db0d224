"""From a selection to units of work: what is built already is not asked for again."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine

from astrid_training.batches import BUILT_STAMPS, READY, build_batches, reuse_batches
from astrid_training.database import query
from astrid_training.digests import canonical_json, digest_bytes, digest_many
from astrid_training.errors import UnusablePathError
from astrid_training.fits_guard import guard_version
from astrid_training.memory import give_back
from astrid_training.neighbours import label_code
from astrid_training.packs import pack_key, read_table
from astrid_training.presence import problems
from astrid_training.records import Plan, Reject, Selection
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import ObjectInfo, Store
from astrid_training.surveys import Kind, profile_for
from astrid_training.urls import mask_url

__all__ = ["plan_batches"]

MOVING = "asteroid"
LOOKUPS_AT_ONCE = 8  # the object store's client saturates here
ROWS_AT_ONCE = 4096  # as Python objects

READING_VERSION = 5
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
_IMAGES = tuple(f"{role}_{what}" for role in ROLES for what in ("path", "kind"))
_LABELS = ("is_anomaly", "anomaly_type", "label_source", "neighbours")
Row = dict[str, Any]
Refusal = tuple[str, str]  # reason and detail
Found = ObjectInfo | Refusal


@dataclass(frozen=True, slots=True)
class _Files:
    """What is known of the source files."""

    found: dict[str, Found]
    """By path."""
    quarantined: dict[str, Refusal]
    verify_checksums: bool
    readings: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    """How files of a survey and some kinds are read, as JSON."""

    def refusal(self, path: str) -> Refusal | None:
        """Return why the file at `path` cannot be had, if so."""
        info = self.found[path]
        return info if isinstance(info, tuple) else self.quarantined.get(path)

    def reading(self, survey: str, *kinds: Kind) -> bytes:
        """Return version and profiles by which files of these kinds are read, as JSON."""
        found = self.readings.get((survey, *kinds))
        if found is None:
            profiles = [
                profile_for(survey, kind).model_dump(mode="json", exclude={"reference_values"})
                for kind in kinds
            ]
            found = self.readings[survey, *kinds] = canonical_json([READING_VERSION, profiles])
        return found


def plan_batches(
    engine: Engine,
    store: Store,
    sources: Sources,
    selection: Selection,
    fingerprint: str,
    batch_samples: int,
    *,
    verify_checksums: bool = True,
) -> Plan:
    """Return the units of work that turn the kept subjects of `selection` into samples.

    Subjects whose files are missing or quarantined become rejects here, before anything is fetched.

    Args:
        engine: of the database, for the catalogue of built stamps and the quarantine.
        store: where tables are written and packs lie.
        sources: where the survey's files lie.
        selection: what was selected.
        fingerprint: of the preprocessing; stamps of another one are not reused.
        batch_samples: most samples of one batch.
        verify_checksums: whether files are compared with the sums that they state.
    """
    table = read_table(store, "selections", selection.digest)
    needed = ["sample_key", "observation_id", *_PLACE, *_IMAGES, *_LABELS]
    kept = table.select(needed).filter(pc.is_null(table["reason"]))
    del table
    found = _look_up(sources, kept)
    with engine.connect() as connection:
        quarantined = _quarantined(connection, found, verify_checksums=verify_checksums)
    files = _Files(found, quarantined, verify_checksums)
    rejects: list[Reject] = []
    missing, built = [READY.empty_table()], [BUILT_STAMPS.empty_table()]
    there: dict[str, bool] = {}
    for some in kept.to_batches(max_chunksize=ROWS_AT_ONCE):
        rows, lost = _with_sources(some.to_pylist(), files)
        with engine.connect() as connection:
            known = _known(connection, rows, fingerprint)
        asked = {key for stamp in known.values() for key in _objects(stamp)} - there.keys()
        wrong = problems(engine, store, asked)
        there |= {key: key not in wrong for key in asked}
        old, new, hopeless = _divide(known, rows, there)
        built.append(pa.Table.from_pylist(old, schema=BUILT_STAMPS))
        missing.append(pa.Table.from_pylist(new, schema=READY))
        rejects += lost + hopeless
    del kept
    give_back()
    reused = pa.concat_tables(built)
    batches = [
        *build_batches(store, pa.concat_tables(missing), batch_samples),
        *reuse_batches(store, reused, batch_samples),
    ]
    return Plan(batches, rejects, reused.num_rows, _source_digest(found))


def _look_up(sources: Sources, rows: pa.Table) -> dict[str, Found]:
    """Return what is at each path that the rows name, or why nothing can be had there."""

    def look(path: str) -> Found:
        try:
            return sources.head(path) or ("missing_object", "nothing is there")
        except UnusablePathError as error:
            return error.reason, str(error)

    named = [path for role in ROLES for path in pc.unique(rows[f"{role}_path"]).to_pylist()]
    paths = sorted(set(named) - {None})
    with ThreadPoolExecutor(LOOKUPS_AT_ONCE) as pool:
        return dict(zip(paths, pool.map(look, paths), strict=True))


def _source_digest(found: dict[str, Found]) -> str:
    return digest_many(
        f"{path}|{info.size}|{info.etag}"
        for path, info in sorted(found.items())
        if isinstance(info, ObjectInfo)
    )


def _quarantined(
    connection: Connection, found: dict[str, Found], *, verify_checksums: bool = True
) -> dict[str, Refusal]:
    there = [(path, info.etag) for path, info in found.items() if isinstance(info, ObjectInfo)]
    rows = connection.execute(
        query("quarantine_find"),
        {
            "guard_version": guard_version(verify_checksums=verify_checksums),
            "uris": [path for path, _ in there],
            "etags": [etag for _, etag in there],
        },
    )
    return {row.uri: (row.reason, row.detail) for row in rows}


def _with_sources(rows: Iterable[Row], files: _Files) -> tuple[list[Row], list[Reject]]:
    """Return the rows with size and ETag of their files, and those that cannot be had."""
    ready, rejects = [], []
    for row in rows:
        problem = None
        for role in ROLES:
            path = row[f"{role}_path"]
            info = files.found[path] if path else None
            row[f"{role}_etag"] = info.etag if isinstance(info, ObjectInfo) else None
            row[f"{role}_size"] = info.size if isinstance(info, ObjectInfo) else None
            refusal = files.refusal(path) if path else None
            problem = problem or (
                refusal and (refusal[0], f"{role}: {mask_url(path)}: {refusal[1]}")
            )
        if problem:
            rejects.append(Reject(row["sample_key"], "download_fits", *problem))
            continue
        row["input_digest"] = _input_digest(row, files)
        row["code"] = label_code(row)
        row["moving"] = row["is_anomaly"] and row["anomaly_type"] == MOVING
        ready.append(row)
    return ready, rejects


def _input_digest(row: Row, readings: _Files) -> str:
    """Return the digest of all that a stamp and its measurements are made from, beside the spec."""
    files = [[row[f"{role}_{what}"] for what in ("path", "kind", "size", "etag")] for role in ROLES]
    kinds = sorted({row[f"{role}_kind"] for role in ROLES} - {None})
    reading = readings.reading(row["survey"], *kinds)
    unverified = [] if readings.verify_checksums else ["unverified"]
    place = canonical_json([files, [row[name] for name in _PLACE], *unverified])
    return digest_bytes(reading[:-1] + b"," + place[1:])


def _known(connection: Connection, rows: Sequence[Row], fingerprint: str) -> dict[str, Row]:
    """Return what the catalogue has of these rows, by sample."""
    found = connection.execute(
        query("catalogue_find"),
        {
            "sample_keys": [row["sample_key"] for row in rows],
            "input_digests": [row["input_digest"] for row in rows],
            "fingerprint": fingerprint,
        },
    ).mappings()
    return {row["sample_key"]: dict(row) for row in found}


def _divide(
    known: dict[str, Row], rows: Iterable[Row], there: dict[str, bool]
) -> tuple[list[Row], list[Row], list[Reject]]:
    """Return the rows whose stamps are built and still whole, those to be built, and the hopeless.

    Args:
        known: what the catalogue has of the rows.
        rows: ready ones.
        there: object key -> whether it is there and whole.
    """
    built, missing, hopeless = [], [], []
    for row in rows:
        key = row["sample_key"]
        stamp = known.get(key)
        if stamp is not None and stamp["reason"] is not None:
            hopeless.append(Reject(key, "preprocess", stamp["reason"], stamp["detail"]))
        elif stamp is not None and all(there[name] for name in _objects(stamp)):
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
