"""How far the batches are, on the run's page."""

import time
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

__all__ = ["BatchProgress"]

EVERY_S = 10.0
"""A change costs a request to the server: a run of an hour makes 360 of them at most."""


class BatchProgress:
    """A bar on the run's page; where the server has none for us, the run goes on without.

    Args:
        total: batches; of a single one nothing is shown.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = time.monotonic()
        self._artifact: UUID | None = None
        if total > 1:
            try:
                told = self._told(0)
                self._artifact = create_progress_artifact(0.0, key="batches", description=told)  # type: ignore[assignment]  # sync here
            except httpx.HTTPError as error:
                get_run_logger().warning("the batches' progress is not shown: %s", error)

    def show(self, done: int) -> None:
        """Show that so many are done, unless something was shown a moment ago."""
        if self._artifact is None or not self._is_due(done):
            return
        self._shown = time.monotonic()
        try:
            percent = 100.0 * done / self._total
            update_progress_artifact(self._artifact, percent, description=self._told(done))
        except httpx.HTTPError as error:
            get_run_logger().warning("the batches' progress is not shown: %s", error)

    def _is_due(self, done: int) -> bool:
        return done == self._total or time.monotonic() >= self._shown + EVERY_S

    def _told(self, done: int) -> str:
        return f"{done} of {self._total} batches"
