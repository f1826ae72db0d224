"""The survey's files of a batch, on this machine as far as they are needed, and checked."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training import meter
from astrid_training.batches import exposures_of
from astrid_training.database import query
from astrid_training.errors import FitsRefusedError, MissingObjectError, UnusablePathError
from astrid_training.fits_guard import guard_version
from astrid_training.needs import needed_windows
from astrid_training.params import CHANNELS, Channel, PreprocessSpec
from astrid_training.processor import ExposureFrames
from astrid_training.records import Downloaded, RefusedFile, Reject, SourceFile
from astrid_training.source_cache import Need, SourceCache
from astrid_training.store import ObjectChangedError
from astrid_training.surveys import profile_for, read_frame
from astrid_training.urls import mask_url

__all__ = ["PASSING", "SourceCache", "fetch_sources", "quarantine"]

STEP = "download_fits"
PASSING = frozenset(
    {"changed", "folder_not_allowed", "host_not_allowed", "missing_object"}
    | {"unusable_path", "web_refused"}
)
"""Reasons that lie in the store and not in the file: it may be had the next time."""

Row = dict[str, Any]
Outcome = SourceFile | tuple[str, str]


def fetch_sources(
    cache: SourceCache,
    targets: pa.Table,
    spec: PreprocessSpec | None = None,
    *,
    verify_checksums: bool = True,
) -> Downloaded:
    """Bring all files of `targets` here; a file that cannot be had costs its own samples only.

    Args:
        cache: where files lie.
        targets: rows of `batches.TARGETS`.
        spec: how pixels are prepared: what it needs of large files is all that is fetched of them.
            None: files come whole.
        verify_checksums: compare files with the sums that they state, for which they come whole.
    """
    rows = targets.to_pylist()
    wanted: dict[SourceFile, list[str]] = defaultdict(list)
    for row in rows:
        for role in CHANNELS:
            if row[f"{role}_path"]:
                wanted[_file(row, role)].append(row["sample_key"])
    begin = cache.begin if spec else cache.fetch
    with cache.connections(wanted) as at_once, meter.pool(at_once) as pool:

        def each(step: Callable[..., SourceFile], *inputs: Sequence[Any]) -> list[Outcome]:
            checked = partial(step, verify_checksums=verify_checksums)
            return list(pool.map(partial(_outcome, checked), *inputs))

        found = dict(zip(wanted, each(begin, [*wanted]), strict=True))
        parts = [file for file in found.values() if isinstance(file, SourceFile) and file.extents]
        needs = _needs(cache, rows, found, spec) if spec and parts else {}
        completed = each(cache.complete, parts, [needs.get(file.path, ()) for file in parts])
    by_path = {file.path: outcome for file, outcome in zip(parts, completed, strict=True)}
    return _downloaded(wanted, {file: by_path.get(file.path, found[file]) for file in wanted})


def _file(row: Row, role: str) -> SourceFile:
    return SourceFile(*(row[f"{role}_{what}"] for what in ("path", "etag", "size")))


def _needs(
    cache: SourceCache,
    rows: Sequence[Row],
    found: Mapping[SourceFile, Outcome],
    spec: PreprocessSpec,
) -> dict[str, list[Need]]:
    """Return what is needed of each file by its path; of a file that is not there: all of it.

    Where an exposure cannot be placed, nothing is known to be needed, and its files come whole.
    """
    needs: dict[str, list[Need]] = defaultdict(list)
    whole: set[str] = set()
    for exposure in exposures_of(rows):
        first = exposure[0]
        files = {role: found[_file(first, role)] for role in CHANNELS if first[f"{role}_path"]}
        had = {role: file for role, file in files.items() if isinstance(file, SourceFile)}
        if len(had) < len(files):
            continue  # its samples are lost
        try:
            windows = _windows(cache, exposure, had, spec)
        except FitsRefusedError:
            whole.update(file.path for file in had.values())
            continue
        for role, file in had.items():
            profile, kind = (
                profile_for(first["survey"], first[f"{role}_kind"]),
                first[f"{role}_kind"],
            )
            needs[file.path].append(Need(profile, role, kind, windows[role]))
    return {path: need for path, need in needs.items() if path not in whole}


def _windows(
    cache: SourceCache,
    exposure: Sequence[Row],
    files: Mapping[Channel, SourceFile],
    spec: PreprocessSpec,
) -> dict[str, list[tuple[slice, slice]]]:
    first = exposure[0]
    frames = {
        role: read_frame(
            cache.path(file),
            profile_for(first["survey"], first[f"{role}_kind"]),
            role,
            first[f"{role}_kind"],
        )
        for role, file in files.items()
    }
    if "science" not in frames:
        raise FitsRefusedError("no_science", "the observation names no file of its own")
    return needed_windows(ExposureFrames(**frames), exposure, spec)


def _downloaded(
    wanted: Mapping[SourceFile, Sequence[str]], outcomes: Mapping[SourceFile, Outcome]
) -> Downloaded:
    files = [outcome for outcome in outcomes.values() if isinstance(outcome, SourceFile)]
    failed = {
        file: outcome for file, outcome in outcomes.items() if not isinstance(outcome, SourceFile)
    }
    rejects = {
        key: Reject(key, STEP, reason, f"{mask_url(file.path)}: {detail}")
        for file, (reason, detail) in failed.items()
        for key in wanted[file]
    }
    refused = [
        RefusedFile(file.path, file.etag, reason, detail)
        for file, (reason, detail) in failed.items()
        if reason not in PASSING
    ]
    return Downloaded(
        sorted(files, key=lambda file: file.path),
        [rejects[key] for key in sorted(rejects)],
        sorted(refused, key=lambda file: file.path),
    )


def _outcome(step: Callable[..., SourceFile], *inputs: object) -> Outcome:
    try:
        return step(*inputs)
    except FitsRefusedError as error:
        return error.reason, error.detail
    except ObjectChangedError as error:
        return "changed", str(error)
    except MissingObjectError as error:
        return "missing_object", str(error)
    except UnusablePathError as error:
        return error.reason, str(error)


def quarantine(
    connection: Connection, downloaded: Downloaded, *, verify_checksums: bool = True
) -> None:
    """Remember the refused files, so that they are not fetched again by this guard.

    Missing and changed files are not among them: they may be restored.

    Args:
        connection: to the catalogue.
        downloaded: what became of a batch's files.
        verify_checksums: whether they were compared with the sums that they state.
    """
    refused = downloaded.refused
    if not refused:
        return
    connection.execute(
        query("quarantine_add"),
        {
            "guard_version": guard_version(verify_checksums=verify_checksums),
            "uris": [file.path for file in refused],
            "etags": [file.etag for file in refused],
            "reasons": [file.reason for file in refused],
            "details": [file.detail for file in refused],
        },
    )
