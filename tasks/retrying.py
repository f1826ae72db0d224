"""Which failures are worth another attempt, and how many."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.tasks import Task
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from astrid_training import meter
from astrid_training.errors import (
    DatabaseUnavailableError,
    WorkerLostError,
    WorkerTimeoutError,
)
from astrid_training.files import DISK_FULL
from astrid_training.store import StoreRefusedError, StoreUnavailableError
from astrid_training.tracking import TrackingUnavailableError
from tasks.deployment_runs import DeploymentMissingError, ServerUnavailableError, is_away

__all__ = ["KINDS", "RETRIES", "Kind", "is_transient", "kind_of", "try_again"]

T = TypeVar("T")

MOST = 3
DELAYS_S = (1, 5, 20)  # the third outlasts the restart of any part
JITTER = 0.5  # batches that failed together do not come back together
SESSION_LOST = "08"  # SQLSTATE classes and codes: PostgreSQL, appendix A
PASSING_CODES = {
    "25P03": "a transaction was left idle for too long",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "53200": "out of memory",
    "53300": "too many connections",
    "55P03": "a lock was not to be had",
    "57014": "a statement ran out of its time",
    "57P01": "the server shuts down",
    "57P02": "the server crashed",
    "57P03": "the server starts",
    "57P05": "an idle session was closed",
}
REFUSALS = (  # in a connection's failure the server's code is lost, only its words arrive
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of failure that a step meets."""

    name: str
    retries: int
    reason: str
    """Why another attempt may, or cannot, end otherwise."""
    holds: Callable[[BaseException], bool]
    """Tells whether a failure is of this kind, if it is of none before it."""


def _of(*types: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda error: isinstance(error, types)


def _is_lost_session(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeoutError | DatabaseUnavailableError)
    code = getattr(error.orig, "sqlstate", None)
    if code is None:  # no server said it: the connection broke, or was never made
        return error.connection_invalidated or _is_operational(error)
    return code in PASSING_CODES or code.startswith(SESSION_LOST)


def _is_operational(error: DBAPIError) -> bool:
    return type(error).__name__ in {"OperationalError", "InterfaceError"}


def _is_refused_session(error: BaseException) -> bool:
    if isinstance(error, DatabaseUnavailableError):  # where tables lack, a statement was refused
        return isinstance(error.__cause__, DBAPIError) and not _is_operational(error.__cause__)
    if not isinstance(error, DBAPIError):
        return False
    no_code = getattr(error.orig, "sqlstate", None) is None
    return no_code and any(words in str(error.orig) for words in REFUSALS)


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in DISK_FULL


KINDS = (
    Kind(
        "the store refuses",
        0,
        "keys, rights, a bucket's name or a full disk do not mend themselves",
        _of(StoreRefusedError),
    ),
    Kind(
        "the store is away",
        MOST,
        "408, 429, 5xx and silence pass; each attempt has asked for minutes by itself",
        _of(StoreUnavailableError),
    ),
    Kind(
        "the database refuses",
        0,
        "a password, a role, a database or tables that are not there stay away",
        _is_refused_session,
    ),
    Kind(
        "the database is away",
        MOST,
        "a restart takes seconds; deadlocks, lost sessions and statements out of time go otherwise the next time",
        _is_lost_session,
    ),
    Kind(
        "MLflow is away",
        MOST,
        "a restart takes 20 s, and logging twice reuses the run",
        _of(TrackingUnavailableError),
    ),
    Kind(
        "there is no such deployment",
        0,
        "`bootstrap` makes it, nothing else does",
        _of(DeploymentMissingError),
    ),
    Kind(
        "the Prefect server is away",
        MOST,
        "a restart takes 11 s, and a run is started under a key",
        lambda error: isinstance(error, ServerUnavailableError) or is_away(error),
    ),
    Kind(
        "a worker process was killed",
        1,
        "memory may have been short for a moment; what kills the second one will kill the third",
        _of(WorkerLostError),
    ),
    Kind(
        "a worker process ran out of time",
        1,
        "a disk or a mount that hung may answer again; a step that is too large for its time stays so",
        _of(WorkerTimeoutError),
    ),
    Kind("a disk is full", 0, "it stays full until somebody clears it", _is_full),
    Kind(
        "a connection broke",
        MOST,
        "sockets that nobody has named yet: networks come back",
        _of(ConnectionError, TimeoutError),
    ),
)
"""The first that holds counts. What none holds (bad content, refused parameters, a failed gate, a bug)
is what the step computes from its inputs and cannot change by trying again."""


def kind_of(error: BaseException) -> Kind | None:
    """Return the kind of a failure, or None where trying again is of no use and nobody wonders."""
    return next((kind for kind in KINDS if kind.holds(error)), None)


def is_transient(_task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Tell whether the failure may pass and its kind has an attempt left."""
    kind = kind_of(state.result(raise_on_failure=False))
    again = kind is not None and run.run_count <= kind.retries
    meter.count(retries=int(again))  # asked once for each attempt that failed and was not the last
    return again


RETRIES: dict[str, Any] = {
    "retries": MOST,
    "retry_delay_seconds": list(DELAYS_S),
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": is_transient,
}
"""The policy of every step: how often is its failure's to say."""


def try_again(
    function: Callable[..., T],
    *inputs: Any,  # noqa: ANN401 - the function's own inputs
) -> T:
    """Return what `function` returns, tried again as a step would be.

    For what a flow asks between its steps, where Prefect tries nothing again.
    """
    attempt = 0
    while True:
        try:
            return function(*inputs)
        except Exception as error:
            kind = kind_of(error)
            if kind is None or attempt >= kind.retries:
                raise
            wait_s = DELAYS_S[attempt] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
            get_run_logger().warning("%s; again in %.0f s: %s", kind.name, wait_s, error)
        attempt += 1
        meter.count(retries=1)
        time.sleep(wait_s)
