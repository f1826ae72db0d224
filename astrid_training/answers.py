"""A database that falls silent in the middle of a session is left, not waited for.

The server's own statement_timeout ends what takes long; it says nothing of a server that is frozen, or of a
network that swallows what is sent. The wait for each answer ends here, on our side of the socket.
"""

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.rows import TupleRow

__all__ = ["ANSWER_S", "AnsweringConnection", "connect"]

ANSWER_S = 330.0
"""Until a statement's answer begins, or goes on: more than any statement may take on the server."""

RV = TypeVar("RV")


class AnsweringConnection(psycopg.Connection[TupleRow]):
    """A connection whose every wait for the server ends.

    Attributes:
        answer_s: seconds for one answer; None: as long as it takes.
    """

    answer_s: float | None = None

    def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> RV:
        """Return what the server answers; psycopg calls this for all that it sends.

        Raises:
            OperationalError: if no answer comes in time; the session is closed then.
        """
        limit = self.answer_s if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except _WaitTimeout:
            if timeout is not None:  # psycopg's own, which it handles
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server gave no answer in {limit:g} s; look whether PostgreSQL and the way to it "
                "are alive, and run it again"
            ) from None


def connect(answer_s: float | None, *args: Any, **options: Any) -> AnsweringConnection:  # noqa: ANN401 - psycopg's own
    """Return a new session whose answers are waited for `answer_s` seconds each."""
    session = AnsweringConnection.connect(*args, **options)
    session.answer_s = answer_s
    return session
