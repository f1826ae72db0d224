"""Where the paths of AstrID's database lead: object stores, this machine, allowed web servers."""

import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote

from astrid_training.errors import FolderNotAllowedError, UnusablePathError
from astrid_training.patience import PATIENT, Patience
from astrid_training.settings import Settings
from astrid_training.store import Credentials, ObjectInfo, Store, credentials_of, open_store
from astrid_training.web import Web

__all__ = ["Sources", "open_sources"]

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
LONGEST_NAME = 255  # bytes, of a file's name on every common file system
UNFINISHED = re.compile(r"#\d+$")  # how the directory store names what it is still writing


class Sources:
    """Where AstrID's paths lead: its own bucket, another one, this machine, or a web server.

    A path is an object key, `s3://bucket/key`, `r2://bucket/key`, `file:///…`, absolute, or the
    address of a file on a web server that is allowed. Only `file:///…` and web addresses are
    percent-encoded; in all others each character stands for itself.

    Args:
        store: where bare keys lie unless `bucket` is given.
        credentials: of every bucket; there is one set for all.
        bucket: where bare keys lie.
        hosts: web servers that may be asked; see `Web`.
        folders: in which files of this machine may lie beside a store's own, whatever links say;
            None: any.
        patience: with web servers and with buckets other than the store's.
    """

    def __init__(
        self,
        store: Store,
        credentials: Credentials | None = None,
        bucket: str | None = None,
        hosts: Collection[str] = (),
        patience: Patience = PATIENT,
        folders: Collection[str] | None = None,
    ) -> None:
        self._credentials = credentials or Credentials()
        self._patience = patience
        self._stores: dict[str, Store] = {}
        # else the client would ask this machine's cloud for a role, because of a row
        self._has_buckets = bool(
            bucket or self._credentials != Credentials() or not store.url.startswith("file:")
        )
        self._bare = store if bucket is None else self._opened(f"s3://{bucket}")
        self._web = Web(hosts, patience)
        self._folders = None if folders is None else self._real(folders, store)

    def locate(self, path: str) -> tuple[Store | Web, str]:
        """Return where the file of `path` lies and its key there.

        Raises:
            UnusablePathError: if the path's scheme is not one of the above, it climbs out of its
                store, it is no name of an object, or it leads into a folder that is not listed.
        """
        scheme = SCHEME.match(path)
        if scheme and scheme[1].lower() in {"http", "https"}:
            return self._web, path
        url, key = _split(path)
        _check_key(path, key)
        place = self._bare if url is None else self._opened(url)
        self._check_folder(path, place.local_path(key))
        return place, key

    def head(self, path: str) -> ObjectInfo | None:
        """Return size and ETag of the file at `path`, or None if there is none.

        Raises:
            UnusablePathError: if the path leads nowhere, or to a host that may not be asked.
            StoreUnavailableError: if the store or the web server fails.
        """
        place, key = self.locate(path)
        local = place.local_path(key)
        if local is not None and local.exists() and not (local.is_file() or local.is_dir()):
            raise UnusablePathError(f"{path!r} is a pipe or a device; name a file")
        return place.head(key)

    def save(self, path: str, size: int, etag: str, target: Path) -> None:
        """Copy the file at `path`, as `head` told of it, to the file `target` of this machine.

        Raises:
            MissingObjectError: if there is none any more.
            ObjectChangedError: if it has another size or ETag by now.
            UnusablePathError, StoreUnavailableError: as `head`.
        """
        place, key = self.locate(path)
        place.save(key, size, etag, target)

    def get_range(self, path: str, etag: str, start: int, stop: int) -> bytes:
        """Return bytes of the file at `path`, as `head` told of it; see `Store.get_range`.

        Raises:
            NoRangesError: if the server gives whole files only.
            MissingObjectError, ObjectChangedError: as `save`.
            UnusablePathError, StoreUnavailableError: as `head`.
        """
        place, key = self.locate(path)
        return place.get_range(key, etag, start, stop)

    def put(self, key: str, data: bytes) -> None:
        """Write `data` at a bare key, where `head` and `save` look for it.

        Raises:
            UnusablePathError: if no store can hold an object of this name.
            StoreUnavailableError: if the store fails.
        """
        _check_key(key, key)
        self._bare.put(key, data)

    def local_path(self, path: str) -> Path | None:
        """Return where the file lies on this machine, or None if it must be fetched."""
        place, key = self.locate(path)
        return place.local_path(key)

    def _check_folder(self, path: str, local: Path | None) -> None:
        if self._folders is None or local is None:
            return
        real = Path(os.path.realpath(local))  # unlike `resolve` it bears a loop of links
        if not any(folder in real.parents for folder in self._folders):
            raise FolderNotAllowedError(
                f"{path!r} lies in none of the folders that may be read; add its folder to "
                "ASTRID_SOURCE_FOLDERS and run `astrid-training bootstrap`, or store the file in the bucket"
            )

    @staticmethod
    def _real(folders: Collection[str], store: Store) -> list[Path]:
        own = store.local_path("")
        listed = [Path(one) for one in folders]
        return [one.resolve() for one in (*listed, *([own] if own else []))]

    def _opened(self, url: str) -> Store:
        if url.startswith("s3:") and not self._has_buckets:
            raise UnusablePathError(
                f"a path names the bucket {url}, but none is set up here; set "
                "CLOUDFLARE_R2_ENDPOINT_URL and the bucket's keys, or store the file in the folder"
            )
        if url not in self._stores:
            self._stores[url] = Store(url, self._credentials, self._patience)
        return self._stores[url]


def open_sources(settings: Settings) -> Sources:
    """Return where AstrID's paths lead, by the settings."""
    return Sources(
        open_store(settings),
        credentials_of(settings),
        settings.source_bucket,
        settings.source_hosts,
        folders=settings.source_folders,
    )


def _split(path: str) -> tuple[str | None, str]:
    """Return the address of the store that `path` names (None: the default one) and the key."""
    if path.startswith("/"):
        return "file:///", path[1:]
    found = SCHEME.match(path)
    if found is None:
        return None, path
    scheme, rest = found[1].lower(), path[found.end() :]
    if scheme in {"s3", "r2"} and found[2]:
        bucket, _, key = rest.partition("/")
        if BUCKET.fullmatch(bucket):
            return f"s3://{bucket}", key
    if scheme == "file" and found[2] and rest.startswith("/"):
        return "file:///", unquote(rest[1:])
    raise UnusablePathError(
        f"path {path!r} begins with {found[0]!r}, which leads to no store; "
        "use s3://bucket/key, r2://bucket/key, file:///path, an absolute path or a key"
    )


def _check_key(path: str, key: str) -> None:
    segments = key.split("/")
    if ".." in segments:
        raise UnusablePathError(f"path {path!r} climbs out of its store; write it without '..'")
    if "" in segments or "." in segments:
        raise UnusablePathError(f"path {path!r} has an empty part; correct it in the database")
    if any(unicodedata.category(character) == "Cc" for character in key):
        raise UnusablePathError(
            f"path {path!r} holds control characters; correct it in the database"
        )
    if any(len(part.encode()) > LONGEST_NAME for part in segments) or UNFINISHED.search(key):
        raise UnusablePathError(
            f"path {path[:80]!r} has a part of over {LONGEST_NAME} bytes or ends in # and digits, "
            "which no folder can hold for us; store the file under another name"
        )
