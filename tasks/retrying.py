"""Which failures are worth another attempt."""

from typing import Any

import httpx
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from sqlalchemy.exc import InterfaceError, OperationalError

__all__ = ["RETRIES", "is_transient"]

PASSING = (
    ConnectionError,  # the store's, MLflow's and our own are of this kind
    TimeoutError,
    OperationalError,
    InterfaceError,
    httpx.TransportError,  # the Prefect server restarts
)


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether the failure may pass: lost connections and time-outs, never bad content."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, PASSING)


RETRIES: dict[str, Any] = {
    "retries": 3,  # a restart of PostgreSQL or a store's bad minute
    "retry_delay_seconds": [1, 5, 20],
    "retry_jitter_factor": 0.5,  # batches that failed together do not come back together
    "retry_condition_fn": is_transient,
}
"""The policy of every step: what a step computes from its inputs cannot change by trying again."""
