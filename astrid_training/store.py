"""Objects in a directory or a bucket: the place for everything that is larger than a record."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, S3Store

from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config

__all__ = [
    "Credentials",
    "ObjectChangedError",
    "ObjectInfo",
    "Sources",
    "Store",
    "StoreUnavailableError",
    "UnusablePathError",
    "open_sources",
    "open_store",
]

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
LONGEST_NAME = 255  # bytes, of a file's name on every common file system
UNFINISHED = re.compile(r"#\d+$")  # how the directory store names what it is still writing


class StoreUnavailableError(ConnectionError):
    """The object store does not answer or refuses us."""


class ObjectChangedError(ValueError):
    """An object is no longer the one that was looked up."""


class UnusablePathError(ValueError):
    """A path of the database that no store can hold."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach an S3-compatible store; the secrets stay out of its repr."""

    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str = "auto"

    def __repr__(self) -> str:
        return f"Credentials(endpoint_url={self.endpoint_url!r}, region={self.region!r})"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object without reading it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Changes when the object does; comparable within one store only."""


class Store:
    """One directory (`file:///…`) or one bucket and prefix (`s3://bucket/prefix`)."""

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        self.url = url.rstrip("/") if url != "file:///" else url
        self._root = _local_root(self.url)
        self._objects = _open(self.url, self._root, credentials or Credentials())

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def put(self, key: str, data: bytes) -> None:
        """Write `data` at `key`, whole or not at all, replacing what was there."""
        try:
            obstore.put(self._objects, key, data)
        except BaseError as error:
            raise self._unavailable("write", key, error) from error

    def put_named_by_content(self, folder: str, suffix: str, data: bytes) -> str:
        """Write `data` as `<folder>/<digest><suffix>` unless it is there; return the digest.

        An object of that name but another size is damaged, and is written anew.
        """
        digest = digest_bytes(data)
        key = f"{folder}/{digest}{suffix}"
        try:
            obstore.put(self._objects, key, data, mode="create")
        except AlreadyExistsError:
            if obstore.head(self._objects, key)["size"] != len(data):
                self.put(key, data)
        except BaseError as error:
            raise self._unavailable("write", key, error) from error
        return digest

    def get(self, key: str, etag: str | None = None) -> bytes:
        """Return the object's bytes.

        Args:
            key: of the object.
            etag: what the object must have, as `head` told it; None or empty: whatever is there.

        Raises:
            MissingObjectError: if there is none.
            ObjectChangedError: if it has another ETag.
            StoreUnavailableError: if the store fails.
        """
        try:
            found = obstore.get(self._objects, key, options={"if_match": etag} if etag else None)
            if etag and found.meta["e_tag"] != etag:  # some servers do not know If-Match
                raise self._changed(key)
            return bytes(found.bytes())
        except FileNotFoundError as error:
            raise MissingObjectError(self._missing(key)) from error
        except PreconditionError as error:
            raise self._changed(key) from error
        except BaseError as error:
            raise self._unavailable("read", key, error) from error

    def get_verified(self, folder: str, suffix: str, digest: str) -> bytes:
        """Return the object named `digest` after hashing it.

        Raises:
            MissingObjectError: if there is none.
            StoreCorruptError: if its bytes are not those the name promises.
        """
        key = f"{folder}/{digest}{suffix}"
        data = self.get(key)
        got = digest_bytes(data)
        if got != digest:
            raise StoreCorruptError(
                f"{self.url}/{key} holds other bytes than its name promises (digest {got[:12]}); "
                "remove it and collect again: it will be rebuilt"
            )
        return data

    def head(self, key: str) -> ObjectInfo | None:
        """Return size and ETag of the object, or None if there is none."""
        try:
            meta = obstore.head(self._objects, key)
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._unavailable("look up", key, error) from error
        return ObjectInfo(key, meta["size"], meta["e_tag"] or "")

    def local_path(self, key: str) -> Path | None:
        """Return where the object lies on this machine, or None for a bucket."""
        return None if self._root is None else self._root / key

    def keys(self, prefix: str) -> list[str]:
        """Return all keys under `prefix`, sorted."""
        return sorted(meta["path"] for page in obstore.list(self._objects, prefix) for meta in page)

    def delete(self, key: str) -> None:
        """Remove the object; removing one that is not there changes nothing."""
        try:
            obstore.delete(self._objects, key)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise self._unavailable("delete", key, error) from error

    def _missing(self, key: str) -> str:
        return (
            f"no object {key} in {self.url}; restore it there or correct the path in the database"
        )

    def _changed(self, key: str) -> ObjectChangedError:
        return ObjectChangedError(
            f"{key} in {self.url} changed since it was looked up; collect again"
        )

    def _unavailable(self, verb: str, key: str, error: BaseError) -> StoreUnavailableError:
        cause = str(error).splitlines()[0]
        return StoreUnavailableError(
            f"cannot {verb} {key} in {self.url}: {cause}; check ASTRID_STORE_URL and its credentials"
        )


class Sources:
    """Where AstrID's paths lead: its own bucket, another one, or this machine.

    A path is an object key, `s3://bucket/key`, `r2://bucket/key`, `file:///…` or absolute. Only
    `file:///…` is percent-encoded; in all others each character stands for itself.
    """

    def __init__(
        self, store: Store, credentials: Credentials | None = None, bucket: str | None = None
    ) -> None:
        self._credentials = credentials or Credentials()
        self._bare = store if bucket is None else Store(f"s3://{bucket}", self._credentials)
        self._stores: dict[str, Store] = {}

    def locate(self, path: str) -> tuple[Store, str]:
        """Return the store and the key that `path` means.

        Raises:
            UnusablePathError: if the path's scheme is not one of the above, it climbs out of its
                store, or it is no name of an object.
        """
        url, key = _split(path)
        _check_key(path, key)
        return self._bare if url is None else self._opened(url), key

    def head(self, path: str) -> ObjectInfo | None:
        """Return size and ETag of the file at `path`, or None if there is none."""
        store, key = self.locate(path)
        return store.head(key)

    def get(self, path: str, etag: str | None = None) -> bytes:
        """Return the bytes of the file at `path`; see `Store.get` for `etag` and errors."""
        store, key = self.locate(path)
        return store.get(key, etag)

    def local_path(self, path: str) -> Path | None:
        """Return where the file lies on this machine, or None if it must be fetched."""
        store, key = self.locate(path)
        return store.local_path(key)

    def _opened(self, url: str) -> Store:
        if url not in self._stores:
            self._stores[url] = Store(url, self._credentials)
        return self._stores[url]


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
        if bucket:
            return f"s3://{bucket}", key
    if scheme == "file" and found[2] and rest.startswith("/"):
        return "file:///", unquote(rest[1:])
    if scheme in {"http", "https"}:
        raise UnusablePathError(
            f"path {path!r} is a web address, and files are only read from object stores; "
            "ingest the file and store its key"
        )
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


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name."""
    return Store(settings.store_url, _credentials(settings))


def open_sources(settings: Settings) -> Sources:
    """Return where AstrID's paths lead, by the settings."""
    return Sources(open_store(settings), _credentials(settings), settings.source_bucket)


def _credentials(settings: Settings) -> Credentials:
    return Credentials(
        settings.store_endpoint_url,
        settings.store_access_key_id,
        settings.store_secret_access_key,
        settings.store_region,
    )


def _local_root(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _open(url: str, root: Path | None, credentials: Credentials) -> LocalStore | S3Store:
    if root is not None:
        return LocalStore(root, mkdir=True)
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"store {url!r} is no file:///folder or s3://bucket; set ASTRID_STORE_URL")
    endpoint = credentials.endpoint_url
    config: S3Config = {"region": credentials.region}
    if endpoint:
        config["endpoint"] = endpoint
    if credentials.access_key_id and credentials.secret_access_key:
        config["access_key_id"] = credentials.access_key_id
        config["secret_access_key"] = credentials.secret_access_key
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
    )
