"""What is stale, remembered: each breach opens once, is told once, closes once, is told once more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from astrid_training.database import query

__all__ = ["Breach", "KeptBreach", "settle_breaches", "tell_breaches"]


@dataclass(frozen=True, slots=True)
class Breach:
    """Something that is not as fresh, or not as usual, as it should be."""

    kind: str
    """waiting, backlog, label_age or quality."""
    survey: str
    band: str
    """Empty where it is of the whole survey."""
    detail: str
    """A sentence for people."""


@dataclass(frozen=True, slots=True)
class KeptBreach:
    """A breach in the table."""

    id: int
    kind: str
    survey: str
    band: str
    detail: str


def settle_breaches(
    connection: Connection, found: Sequence[Breach], looked_at: Sequence[str]
) -> tuple[list[KeptBreach], list[KeptBreach]]:
    """Enter what was found, close what is over, and return what is new and what was closed.

    Of runs that settle at once, each breach is new to one.

    Args:
        connection: in a transaction.
        found: at most one of a kind, survey and band.
        looked_at: the surveys that were looked at; breaches of others stay as they are.
    """
    connection.execute(query("breach_lock"))
    names = ("kind", "survey", "band", "detail")
    columns = {f"{name}s": [getattr(one, name) for one in found] for name in names}
    rows = [row._asdict() for row in connection.execute(query("breach_open"), columns)]
    opened = [KeptBreach(**row) for row in rows if row.pop("is_new")]
    over = {"looked_at": list(looked_at), "still": [row["id"] for row in rows]}
    closed = [
        KeptBreach(**row._asdict()) for row in connection.execute(query("breach_close"), over)
    ]
    return sorted(opened, key=lambda one: one.id), sorted(closed, key=lambda one: one.id)


def tell_breaches(engine: Engine, tell: Callable[[str, str], None]) -> int:
    """Tell of each breach that came and each that went, once, and return how many messages that took.

    A message that is not taken is told by the next call; what was told before it stays told.

    Args:
        engine: of the database.
        tell: takes subject and body, and raises if they reach nobody.
    """
    told = 0
    while True:
        with engine.begin() as connection:  # the row is held while its message is under way
            row = connection.execute(query("breach_untold")).one_or_none()
            if row is None:
                return told
            breach = KeptBreach(row.id, row.kind, row.survey, row.band, row.detail)
            tell(*_message(breach, row.opened_at, row.closed_at))
            connection.execute(query("breach_told"), {"id": row.id})
        told += 1


def _message(
    breach: KeptBreach, opened_at: datetime, closed_at: datetime | None
) -> tuple[str, str]:
    where = " ".join(filter(None, [breach.survey, breach.band]))
    state = "stale" if closed_at is None else "recovered"
    since = f"since {opened_at:%Y-%m-%d %H:%M} UTC"
    until = "" if closed_at is None else f" until {closed_at:%Y-%m-%d %H:%M} UTC"
    return f"astrid-training: {where} {state}: {breach.kind}", f"{breach.detail}\n{since}{until}"
