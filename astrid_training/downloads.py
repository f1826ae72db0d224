"""The survey's files of a batch, on this machine, whole and checked."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import pyarrow as pa
from sqlalchemy import Connection

from astrid_training.database import query
from astrid_training.digests import digest_value
from astrid_training.errors import FitsRefusedError, MissingObjectError
from astrid_training.fits import check_fits
from astrid_training.plan import ROLES
from astrid_training.records import Downloaded, Reject, SourceFile
from astrid_training.store import Sources

__all__ = ["SourceCache", "fetch_sources", "quarantine"]

STEP = "download_fits"
FETCHES_AT_ONCE = 8  # the object store's client saturates here


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
            FitsRefusedError: if it is not the file that was looked up, or not a sound FITS file.
        """
        path = self.path(file)
        if not path.is_file():
            self._download(file, path)
        data = path.read_bytes()
        if len(data) != file.size:
            raise FitsRefusedError("changed", f"{len(data)} bytes, {file.size} were announced")
        check_fits(path)
        return SourceFile(file.path, file.etag, file.size, sha256(data).hexdigest())

    def _download(self, file: SourceFile, path: Path) -> None:
        data = self._sources.get(file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, delete=False) as partial:
            partial.write(data)
        Path(partial.name).replace(path)  # a reader sees the whole file or none


def fetch_sources(cache: SourceCache, targets: pa.Table) -> Downloaded:
    """Bring all files of `targets` here; a file that cannot be had costs its own samples only.

    Args:
        cache: where files lie.
        targets: rows of `plan.TARGETS`.
    """
    wanted: dict[SourceFile, list[str]] = defaultdict(list)
    for row in targets.to_pylist():
        for role in ROLES:
            if row[f"{role}_path"]:
                file = SourceFile(*(row[f"{role}_{what}"] for what in ("path", "etag", "size")))
                wanted[file].append(row["sample_key"])
    files: list[SourceFile] = []
    refused: dict[SourceFile, tuple[str, str]] = {}
    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        for file, outcome in zip(
            wanted, pool.map(lambda f: _outcome(cache, f), wanted), strict=True
        ):
            if isinstance(outcome, SourceFile):
                files.append(outcome)
            else:
                refused[file] = outcome
    rejects = {
        key: Reject(key, STEP, reason, f"{file.path}: {detail}")
        for file, (reason, detail) in refused.items()
        for key in wanted[file]
    }
    ordered = sorted(files, key=lambda file: file.path)
    return Downloaded(ordered, [rejects[key] for key in sorted(rejects)])


def _outcome(cache: SourceCache, file: SourceFile) -> SourceFile | tuple[str, str]:
    try:
        return cache.fetch(file)
    except FitsRefusedError as error:
        return error.reason, error.detail
    except MissingObjectError as error:
        return "missing_object", str(error)


def quarantine(connection: Connection, targets: pa.Table, rejects: list[Reject]) -> None:
    """Remember the refused files of `rejects`, so that they are not fetched again.

    A missing file is not remembered: it may be restored.
    """
    etags = {
        row[f"{role}_path"]: row[f"{role}_etag"] for row in targets.to_pylist() for role in ROLES
    }
    refused = {}
    for reject in rejects:
        path, _, detail = reject.detail.partition(": ")
        if reject.reason != "missing_object" and path in etags:
            refused[path] = (etags[path], reject.reason, detail)
    if refused:
        connection.execute(
            query("quarantine_add"),
            {
                "uris": list(refused),
                "etags": [etag for etag, _, _ in refused.values()],
                "reasons": [reason for _, reason, _ in refused.values()],
                "details": [detail for _, _, detail in refused.values()],
            },
        )
