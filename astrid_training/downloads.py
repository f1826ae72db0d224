"""The survey's files of a batch, on this machine, whole and checked."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.digests import digest_value
from astrid_training.errors import FitsRefusedError, MissingObjectError, UnusablePathError
from astrid_training.fits import MAX_FILE_BYTES, check_fits
from astrid_training.fits_guard import GUARD_VERSION, refusal
from astrid_training.records import Downloaded, RefusedFile, Reject, SourceFile
from astrid_training.sources import Sources
from astrid_training.stamps import ROLES
from astrid_training.store import ObjectChangedError
from astrid_training.urls import mask_url

__all__ = ["PASSING", "SourceCache", "fetch_sources", "quarantine"]

STEP = "download_fits"
FETCHES_AT_ONCE = 8  # the object store's client saturates here
PASSING = frozenset(
    {"changed", "host_not_allowed", "missing_object", "unusable_path", "web_refused"}
)
"""Reasons that lie in the store and not in the file: it may be had the next time."""


class SourceCache:
    """Source files by path, size and ETag: in place when the store is a folder, else fetched once."""

    def __init__(self, sources: Sources, folder: Path) -> None:
        self._sources = sources
        self._folder = folder

    def path(self, file: SourceFile) -> Path:
        """Return where the file lies on this machine, whether it is there or not."""
        local = self._sources.local_path(file.path)
        return local or self._folder / digest_value([file.path, file.size, file.etag])

    def fetch(self, file: SourceFile) -> SourceFile:
        """Bring the file here unless it is, and return it with its sha256.

        Raises:
            MissingObjectError: if it has gone since it was looked up.
            ObjectChangedError: if it is not the file that was looked up.
            UnusablePathError: if it lies on a web server that refuses it by now.
            FitsRefusedError: if it is not a sound FITS file.
            OSError: if this machine cannot read or write it now.
        """
        if file.size > MAX_FILE_BYTES:  # known before a byte is fetched
            raise refusal("too_large", f"{file.size} bytes, over {MAX_FILE_BYTES}")
        path = self.path(file)
        if self._sources.local_path(file.path) is not None:
            self._check_in_place(file)
        elif not path.is_file() or path.stat().st_size != file.size:
            self._sources.save(file.path, file.size, file.etag, path)
        check_fits(path)
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        return SourceFile(file.path, file.etag, file.size, digest)

    def _check_in_place(self, file: SourceFile) -> None:
        found = self._sources.head(file.path)
        if found is None:
            raise MissingObjectError(f"no file {file.path}; restore it there")
        if (found.size, found.etag) != (file.size, file.etag):
            raise ObjectChangedError(f"{file.path} changed since it was looked up; collect again")


def fetch_sources(cache: SourceCache, targets: pa.Table) -> Downloaded:
    """Bring all files of `targets` here; a file that cannot be had costs its own samples only.

    Args:
        cache: where files lie.
        targets: rows of `batches.TARGETS`.
    """
    wanted: dict[SourceFile, list[str]] = defaultdict(list)
    for row in targets.to_pylist():
        for role in ROLES:
            if row[f"{role}_path"]:
                file = SourceFile(*(row[f"{role}_{what}"] for what in ("path", "etag", "size")))
                wanted[file].append(row["sample_key"])
    files: list[SourceFile] = []
    failed: dict[SourceFile, tuple[str, str]] = {}
    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        for file, outcome in zip(
            wanted, pool.map(lambda f: _outcome(cache, f), wanted), strict=True
        ):
            if isinstance(outcome, SourceFile):
                files.append(outcome)
            else:
                failed[file] = outcome
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


def _outcome(cache: SourceCache, file: SourceFile) -> SourceFile | tuple[str, str]:
    try:
        return cache.fetch(file)
    except FitsRefusedError as error:
        return error.reason, error.detail
    except ObjectChangedError as error:
        return "changed", str(error)
    except MissingObjectError as error:
        return "missing_object", str(error)
    except UnusablePathError as error:
        return error.reason, str(error)


def quarantine(connection: Connection, downloaded: Downloaded) -> None:
    """Remember the refused files, so that they are not fetched again by this guard.

    Missing and changed files are not among them: they may be restored.
    """
    refused = downloaded.refused
    if not refused:
        return
    connection.execute(
        query("quarantine_add"),
        {
            "guard_version": GUARD_VERSION,
            "uris": [file.path for file in refused],
            "etags": [file.etag for file in refused],
            "reasons": [file.reason for file in refused],
            "details": [file.detail for file in refused],
        },
    )
