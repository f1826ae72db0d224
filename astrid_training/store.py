"""Objects in a directory or a bucket: the place for everything that is larger than a record."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import LocalStore

from astrid_training import meter
from astrid_training.buckets import (
    PART_BYTES,
    PARTS_AT_ONCE,
    Credentials,
    explain,
    is_of_bucket,
    is_refusal,
    may_be_asked_again,
    open_bucket,
)
from astrid_training.digests import digest_bytes
from astrid_training.errors import MissingObjectError, StoreCorruptError
from astrid_training.files import write_atomically
from astrid_training.patience import PATIENT, Patience, persist
from astrid_training.settings import Settings

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

__all__ = [
    "Credentials",
    "NoRangesError",
    "ObjectChangedError",
    "ObjectInfo",
    "Store",
    "StoreRefusedError",
    "StoreUnavailableError",
    "credentials_of",
    "exactly",
    "open_store",
]

T = TypeVar("T")
FINAL = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Permission denied",
)
WHOLE = "non-partial response"  # the client's words for an answer of the whole file


class StoreUnavailableError(ConnectionError):
    """The object store does not answer or refuses us."""


class StoreRefusedError(StoreUnavailableError):
    """The object store answers, and will answer the same until somebody mends what it says."""


class ObjectChangedError(ValueError):
    """An object is no longer the one that was looked up."""


class NoRangesError(ValueError):
    """A server gives whole files only."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object without reading it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Changes when the object does; comparable within one store only."""
    modified: datetime | None = None
    """When it was last written, UTC; None for what is no object of a store."""


class Store:
    """One directory (`file:///…`) or one bucket and prefix (`s3://bucket/prefix`).

    What passes by itself is asked for again (see `Patience`); then, or where the store refuses, each
    method raises `StoreUnavailableError` with cause and cure and without any key.
    """

    def __init__(
        self, url: str, credentials: Credentials | None = None, patience: Patience = PATIENT
    ) -> None:
        self.url = url.rstrip("/") if url != "file:///" else url
        self._root = _local_root(self.url)
        self._credentials = credentials or Credentials()
        self._patience = patience
        self._objects = (
            open_bucket(self.url, self._credentials, patience)
            if self._root is None
            else LocalStore(self._root, mkdir=True)
        )

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write `data` at `key`, whole or not at all, replacing what was there."""

        def write() -> None:
            obstore.put(
                self._objects,
                key,
                data,
                use_multipart=self._root is None and len(data) > PART_BYTES,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

        self._ask("write", key, write)
        meter.count(written=memoryview(data).nbytes)

    def put_named_by_content(self, folder: str, suffix: str, data: bytes | memoryview) -> str:
        """Write `data` as `<folder>/<digest><suffix>` and return the digest.

        What is there is written again: so a damaged object is mended, and a lasting one counts as
        new for those who clear up what nobody has wanted for long.
        """
        digest = digest_bytes(data)
        self.put(f"{folder}/{digest}{suffix}", data)
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
        data = self._ask("read", key, lambda: bytes(self._found(key, etag).bytes()))
        meter.count(fetched=len(data))
        return data

    def get_range(self, key: str, etag: str, start: int, stop: int) -> bytes:
        """Return the object's bytes from `start` to before `stop`.

        Args:
            key: of the object.
            etag: what the object must have, as `head` told it.
            start: 0-based.
            stop: at most the object's size.

        Raises:
            NoRangesError: if the server does not know ranges.
            MissingObjectError, ObjectChangedError, StoreUnavailableError: as `get`.
        """
        found = self._ask("read", key, lambda: self._read_range(key, etag, start, stop))
        if len(found) != stop - start:  # it is shorter than it was
            raise self._changed(key)
        meter.count(fetched=len(found))
        return found

    def save(self, key: str, size: int, etag: str, target: Path) -> None:
        """Copy the object to the file `target`, whole or not at all, without holding it in memory.

        Args:
            key: of the object.
            size: bytes, as `head` told it.
            etag: as for `get`.
            target: replaced if it is there.

        Raises:
            MissingObjectError: if there is none.
            ObjectChangedError: if it has another size or ETag.
            StoreUnavailableError: if the store fails.
        """
        found = self._ask("read", key, lambda: self._found(key, etag))
        write_atomically(target, exactly(self._chunks(key, found), size))

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
            meta = self._ask("look up", key, lambda: obstore.head(self._objects, key))
        except MissingObjectError:
            return None
        return _info(meta)

    def local_path(self, key: str) -> Path | None:
        """Return where the object lies on this machine, or None for a bucket."""
        return None if self._root is None else self._root / key

    def keys(self, prefix: str) -> list[str]:
        """Return all keys under `prefix`, sorted."""
        return [info.key for info in self.objects(prefix)]

    def objects(self, prefix: str) -> list[ObjectInfo]:
        """Return all objects under `prefix`, sorted by key.

        In a directory a top folder may be a link to another disk; what further links lead to is none
        of ours, and neither copied nor removed.
        """

        def list_all() -> list[ObjectInfo]:
            pages = obstore.list(self._objects, prefix)
            return [_info(meta) for page in pages for meta in page]

        found = sorted(self._ask("list", prefix, list_all), key=lambda info: info.key)
        return found if self._root is None else _without_links(self._root, found)

    def delete(self, key: str) -> None:
        """Remove the object; removing one that is not there changes nothing."""
        try:
            self._ask("delete", key, lambda: obstore.delete(self._objects, key))
        except MissingObjectError:
            return

    def _found(self, key: str, etag: str | None) -> "GetResult":
        found = obstore.get(self._objects, key, options={"if_match": etag} if etag else None)
        if etag and found.meta["e_tag"] != etag:  # some servers do not know If-Match
            raise self._changed(key)
        return found

    def _read_range(self, key: str, etag: str, start: int, stop: int) -> bytes:
        try:
            found = obstore.get(
                self._objects, key, options={"if_match": etag, "range": (start, stop)}
            )
        except BaseError as error:
            if WHOLE in str(error):
                raise NoRangesError(f"the server of {self.url} gives whole files only") from None
            raise
        if found.meta["e_tag"] != etag:  # some servers do not know If-Match
            raise self._changed(key)
        return bytes(found.bytes())

    def _chunks(self, key: str, found: "GetResult") -> Iterator[bytes]:
        """Yield the object's bytes; the client takes up by itself where a connection broke."""
        try:
            yield from map(bytes, found.stream(min_chunk_size=PART_BYTES))
        except BaseError as error:
            raise self._unavailable("read", key, error) from None

    def _ask(self, verb: str, key: str, call: Callable[[], T]) -> T:
        """Return what `call` returns, or say what fails in our own words.

        The client's own error is left behind: it quotes the server's, and that may name the key.
        """
        try:
            return persist(call, lambda e: may_be_asked_again(e, self._patience), self._patience)
        except FileNotFoundError as error:
            if is_of_bucket(error):
                raise self._unavailable(verb, key, error) from None
            raise self._missing(key) from None
        except PreconditionError:
            raise self._changed(key) from None
        except BaseError as error:
            raise self._unavailable(verb, key, error) from None

    def _missing(self, key: str) -> MissingObjectError:
        return MissingObjectError(
            f"no object {key} in {self.url}; restore it there or correct the path in the database"
        )

    def _changed(self, key: str) -> ObjectChangedError:
        return ObjectChangedError(
            f"{key} in {self.url} changed since it was looked up; collect again"
        )

    def _unavailable(self, verb: str, key: str, error: Exception) -> StoreUnavailableError:
        if self._root is None:
            why, is_final = explain(error, self._credentials), is_refusal(error)
        else:
            cause = str(error).splitlines()[0]
            why = f"{cause}; check that the folder can be written, or correct ASTRID_STORE_URL"
            is_final = any(words in str(error) for words in FINAL)
        kind = StoreRefusedError if is_final else StoreUnavailableError
        return kind(f"cannot {verb} {key or 'keys'} in {self.url}: {why}")


def _without_links(root: Path, found: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    folders = {info.key.rpartition("/")[0] for info in found}
    real = {folder for folder in folders if _is_real(root, folder)}
    return [
        info
        for info in found
        if info.key.rpartition("/")[0] in real and not (root / info.key).is_symlink()
    ]


def _is_real(root: Path, folder: str) -> bool:
    """Tell whether no link leads into a folder but, perhaps, one to its top folder."""
    top, _, rest = folder.partition("/")
    return (root / folder).resolve() == (root / top).resolve() / rest


def _info(meta: "ObjectMeta") -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])


def exactly(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield `chunks`, which are counted as fetched, as long as they do not exceed `size` bytes.

    Raises:
        ObjectChangedError: at the first byte too many, or at the end if some are missing.
    """
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            raise ObjectChangedError(f"more than the {size} bytes that were announced")
        meter.count(fetched=len(chunk))
        yield chunk
    if seen < size:
        raise ObjectChangedError(f"{seen} bytes, {size} were announced")


def open_store(settings: Settings, patience: Patience = PATIENT, url: str | None = None) -> Store:
    """Return the store that the settings name, or another one at `url` with the same keys."""
    return Store(url or settings.store_url, credentials_of(settings), patience)


def credentials_of(settings: Settings) -> Credentials:
    """Return the keys of the settings, which open every bucket."""
    return Credentials(
        settings.store_endpoint_url,
        settings.store_access_key_id,
        settings.store_secret_access_key,
        settings.store_region,
    )


def _local_root(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
