"""Rows that refer to rows which are not there, in all of our tables."""

from collections.abc import Iterator

from sqlalchemy import Engine

from astrid_training.database import query, reading
from astrid_training.verify.findings import Finding

__all__ = ["verify_references"]

CURE = (
    "restore what they refer to from a backup of the database; foreign keys forbid such rows, so "
    "somebody has loaded or deleted rows with the keys switched off"
)


def verify_references(engine: Engine) -> Iterator[Finding]:
    """Yield what refers to a row that does not exist, one finding a kind of reference.

    Raises:
        DatabaseUnavailableError: if the database does not answer or is not migrated.
    """
    with reading(engine) as connection:
        for row in connection.execute(query("verify_references")):
            problem = (
                f"{row.rows:,} rows name a {row.what} that does not exist, such as {row.example}"
            )
            yield Finding("references", row.place, problem, CURE)
