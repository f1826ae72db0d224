"""Who did what: rows that are added in the transaction of the deed and never changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Engine

from astrid_training.database import query, reading

__all__ = ["Action", "AuditRow", "read_audit", "record"]

Action = Literal[
    "collected",
    "derived",
    "token created",
    "token revoked",
    "objects removed",
    "stamps forgotten",
    "restored",
    "repaired",
]
"""Beside these, `read_audit` tells of datasets that were superseded or revoked."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A deed."""

    at: datetime
    action: str
    subject: str
    """Id of a dataset, name of a token, or address of a store."""
    by: str
    """A token's name, or the user whom the operating system ran the process for."""
    role: str | None
    """Whom PostgreSQL knew it from; not kept of what happened to datasets later."""
    detail: dict[str, Any]


def record(
    connection: Connection, action: Action, subject: str, by: str, detail: Mapping[str, Any]
) -> None:
    """Add a row within the transaction of what is done, so that there is neither without the other."""
    values = {"action": action, "subject": subject, "by": by, "detail": json.dumps(dict(detail))}
    connection.execute(query("audit_add"), values)


def read_audit(
    engine: Engine, *, subject: str | None = None, by: str | None = None, limit: int = 100
) -> list[AuditRow]:
    """Return what was done, newest first.

    Args:
        engine: of the database.
        subject: only what was done to this dataset's id, token or store; None: all.
        by: only what this one did; None: all.
        limit: most rows.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
        DatabaseRightsError: if the role may not know.
    """
    values = {"subject": subject, "dataset_id": _uuid(subject), "by": by, "limit": limit}
    with reading(engine) as connection:
        return [
            AuditRow(**row._asdict()) for row in connection.execute(query("audit_list"), values)
        ]


def _uuid(text: str | None) -> str | None:
    try:
        return str(UUID(text or ""))
    except ValueError:
        return None
