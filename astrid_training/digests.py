"""Names made from content: the same bytes or values give the same text on any machine."""

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

__all__ = [
    "TextDigest",
    "canonical_json",
    "digest_bytes",
    "digest_many",
    "digest_value",
    "sample_key",
    "unit_hash",
]


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return `value` as JSON with sorted keys and no spaces, so that equal values are equal bytes.

    Raises:
        TypeError: if the value holds something that is not JSON (a set, a datetime).
        ValueError: if it holds NaN or an infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_bytes(data: bytes | bytearray | memoryview) -> str:
    """Return the blake2b-256 of `data`, 64 hex digits."""
    return blake2b(data, digest_size=32).hexdigest()


def digest_value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the blake2b-256 of the canonical JSON of `value`, 64 hex digits."""
    return digest_bytes(canonical_json(value))


class TextDigest:
    """One blake2b-256 of texts in the order in which they come."""

    def __init__(self) -> None:
        self._total = blake2b(digest_size=32)

    def add(self, part: str) -> None:
        """Add one text."""
        self._total.update(part.encode())
        self._total.update(b"\x00")  # so that ("ab", "c") is not ("a", "bc")

    def __str__(self) -> str:
        """Return the 64 hex digits of what was added so far."""
        return self._total.hexdigest()


def digest_many(parts: Iterable[str]) -> str:
    """Return one digest of texts in their order; the caller sorts them by key."""
    total = TextDigest()
    for part in parts:
        total.add(part)
    return str(total)


def sample_key(kind: str, *identity: str) -> str:
    """Return the lasting name of a sample, 32 hex digits (blake2b-128).

    Args:
        kind: `det` for a detection's subject, `sky` for a sky negative.
        identity: the detection id; or reference key, grid index and exposure id.
    """
    return blake2b("|".join((kind, *identity)).encode(), digest_size=16).hexdigest()


def unit_hash(salt: str, key: str) -> float:
    """Return a number in [0, 1) that depends on salt and key alone (blake2b, 8 bytes / 2^64)."""
    return int.from_bytes(blake2b(f"{salt}|{key}".encode(), digest_size=8).digest()) / 2**64
