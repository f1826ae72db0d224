"""Tokens of the REST API: shown once when they are made, kept as hashes."""

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import Engine

from astrid_training.audit import record
from astrid_training.database import query, reading
from astrid_training.users import user_name

__all__ = [
    "SCOPES",
    "ApiToken",
    "TokenExistsError",
    "TokenNameError",
    "TokenNotFoundError",
    "create_token",
    "find_token",
    "list_tokens",
    "revoke_token",
]

SCOPES = {
    "read": "look at datasets and runs, and load datasets on the machine of the API",
    "collect": "start collections and choose what is reviewed next",
    "manage": "see who did what",
}
"""What a token may be good for."""
PREFIX = "astrid_"  # so that a token in a log or a commit is known for one
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SECRET_BYTES = 32
NOTED_EVERY = timedelta(minutes=1)  # a row written at each request would cost more than it tells


class TokenNameError(ValueError):
    """No token can have this name."""


class TokenExistsError(ValueError):
    """The name is taken; it stands in datasets, so it is not given again."""


class TokenNotFoundError(LookupError):
    """No token has this name."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is known of a token."""

    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it counts at this time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create_token(
    engine: Engine,
    name: str,
    scopes: Collection[str],
    created_by: str,
    valid_for: timedelta | None = None,
) -> str:
    """Make a token and return it; nobody can tell it again.

    Args:
        engine: of the database.
        name: of whom it is given to; the creator of the datasets that are asked for with it.
        scopes: any of `SCOPES`.
        created_by: who made it.
        valid_for: from now on; None: until it is revoked.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
        TokenExistsError: if there is one of this name, be it revoked.
        ValueError: for a name or a scope that cannot be.
    """
    if not NAME.fullmatch(name):
        raise TokenNameError(
            f"{name!r} is no name of a token; use up to 100 letters, digits, '.', '_' and '-'"
        )
    if not scopes or not set(scopes) <= SCOPES.keys():
        raise ValueError(f"scopes {sorted(scopes)}: give one or more of {', '.join(SCOPES)}")
    token = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    expires_at = None if valid_for is None else datetime.now(UTC) + valid_for
    values = {
        "name": name,
        "token_hash": _hash(token),
        "scopes": sorted(set(scopes)),
        "created_by": created_by,
        "expires_at": expires_at,
    }
    with reading(engine) as connection, connection.begin():
        if connection.execute(query("api_token_add"), values).one_or_none() is None:
            raise TokenExistsError(f"there is a token {name} already; give another name")
        given = {"scopes": values["scopes"], "expires_at": _isoformat(expires_at)}
        record(connection, "token created", name, created_by, given)
    return token


def find_token(engine: Engine, token: str) -> ApiToken | None:
    """Return what a token is good for; None if it is none, has expired or was revoked.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
    """
    wanted, now = _hash(token), datetime.now(UTC)
    with reading(engine) as connection, connection.begin():
        row = connection.execute(query("api_token_find"), {"token_hash": wanted}).one_or_none()
        if row is None or not hmac.compare_digest(row.token_hash, wanted):
            return None
        found = _token(row._asdict())
        if not found.is_valid(now):
            return None
        if found.last_used_at is None or now - found.last_used_at > NOTED_EVERY:
            connection.execute(query("api_token_used"), {"name": found.name})
    return found


def list_tokens(engine: Engine) -> list[ApiToken]:
    """Return all tokens by name, those that count no more among them.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
    """
    with reading(engine) as connection:
        return [_token(row._asdict()) for row in connection.execute(query("api_token_list"))]


def revoke_token(engine: Engine, name: str, by: str | None = None) -> datetime:
    """Let a token count no more and return since when it does not.

    Args:
        engine: of the database.
        name: of the token.
        by: who revokes; None: the user of this process.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
        TokenNotFoundError: if there is none.
    """
    with reading(engine) as connection, connection.begin():
        row = connection.execute(query("api_token_revoke"), {"name": name}).one_or_none()
        if row is None:
            raise TokenNotFoundError(f"no token {name}; `astrid-training token list` lists them")
        if row.is_new:
            record(connection, "token revoked", name, by or user_name(), {})
    revoked_at: datetime = row.revoked_at
    return revoked_at


def _isoformat(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _hash(token: str) -> str:
    # of 256 random bits; a slow hash guards words that people choose
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _token(row: dict[str, object]) -> ApiToken:
    known = {name: row[name] for name in ApiToken.__slots__}
    return ApiToken(**{**known, "scopes": tuple(known["scopes"])})  # type: ignore[arg-type]
