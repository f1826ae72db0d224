"""Tokens of the REST API: made once, shown once, kept as hashes."""

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Engine

from astrid_training.database import query
from astrid_training.users import user_name

__all__ = [
    "SCOPES",
    "Caller",
    "TokenRecord",
    "create_token",
    "find_caller",
    "revoke_token",
    "tokens",
]

SCOPES = ("read", "collect")
"""To look at datasets and load them; to start collections as well."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PREFIX = "ast_"  # so that a scanner for leaked secrets, and a person, know what it is


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as it is kept: all but the token."""

    name: str
    scopes: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


def create_token(
    engine: Engine, name: str, scopes: Iterable[str], expires_at: datetime | None = None
) -> str:
    """Return a new token, 256 random bits as text; nobody can read it again.

    Args:
        engine: of the database.
        name: of who will ask; it stands as the creator of the datasets collected with it.
        scopes: of `SCOPES`.
        expires_at: aware; None: never.

    Raises:
        ValueError: if the name is used already or no name, or a scope is unknown.
    """
    asked = sorted(set(scopes))
    if not asked or set(asked) - set(SCOPES):
        raise ValueError(f"scopes {asked}: give one or more of {', '.join(SCOPES)}")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name; give up to 100 letters, digits, dots, _ or -")
    token = PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "token_hash": _hash(token),
        "scopes": asked,
        "created_by": user_name(),
        "expires_at": expires_at,
    }
    with engine.begin() as connection:
        if connection.execute(query("token_add"), values).one_or_none() is None:
            raise ValueError(f"there is a token named {name} already; names are used once")
    return token


def find_caller(engine: Engine, token: str) -> Caller | None:
    """Return whose token it is; None if it is nobody's, expired or revoked."""
    wanted = _hash(token)
    with engine.connect() as connection:
        row = connection.execute(query("token_find"), {"token_hash": wanted}).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, wanted):
        return None
    return Caller(row.name, frozenset(row.scopes))


def tokens(engine: Engine) -> list[TokenRecord]:
    """Return what is kept of all tokens, by name."""
    with engine.connect() as connection:
        return [TokenRecord(**row._asdict()) for row in connection.execute(query("token_list"))]


def revoke_token(engine: Engine, name: str) -> None:
    """Let a token open nothing any more.

    Raises:
        LookupError: if there is none of this name.
    """
    with engine.begin() as connection:
        if connection.execute(query("token_revoke"), {"name": name}).one_or_none() is None:
            raise LookupError(f"no token named {name}")


def _hash(token: str) -> str:
    # the token is random and long: a slow hash would protect nothing more
    return sha256(token.encode()).hexdigest()
