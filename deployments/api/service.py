"""What the endpoints share: where everything lies, and loads that several may wait for."""

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Engine

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database
from astrid_training.params import DEFAULT_PROCESSOR
from astrid_training.patience import Patience, persist
from astrid_training.settings import Settings, resolve
from astrid_training.store import Store, open_store
from astrid_training.warming import WarmDataset
from deployments.api.limits import Gate, Limits

__all__ = ["Loads", "Service", "TooManyLoadsError"]

T = TypeVar("T")
SILENCE_S = 20.0  # of the Prefect server; then who asks is told that it does not answer
LOADS_AT_ONCE = 2  # each saturates the store or the disk by itself
MOST_LOADS = 16  # that wait or run


class TooManyLoadsError(ConnectionError):
    """More datasets are wanted at once than this machine can load in a reasonable time."""


class Loads:
    """Loads of datasets, few at once; who wants one that is on its way waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="load")
        self._lock = Lock()
        self._running: dict[str, Future[WarmDataset]] = {}

    def share(self, dataset_id: str, job: Callable[[], WarmDataset]) -> Future[WarmDataset]:
        """Return the load of the dataset that is on its way, else begin one.

        Raises:
            TooManyLoadsError: if too many are.
        """
        with self._lock:
            if (known := self._running.get(dataset_id)) is not None:
                return known
            if len(self._running) >= MOST_LOADS:
                raise TooManyLoadsError(f"{MOST_LOADS} datasets are being loaded")
            begun = self._running[dataset_id] = self._pool.submit(job)
        begun.add_done_callback(lambda _: self._forget(dataset_id))
        return begun

    def _forget(self, dataset_id: str) -> None:
        with self._lock:
            self._running.pop(dataset_id, None)


class Service:
    """Places and limits of one API."""

    def __init__(
        self,
        settings: Settings | None,
        deployment: str,
        processors: Collection[str],
        limits: Limits | None = None,
    ) -> None:
        """Keep them; nothing is contacted.

        Args:
            settings: where everything lies; None: as the environment and the home say.
            deployment: whose runs collections are.
            processors: classes beside our own that a request may name.
            limits: of requests; None: the usual ones.
        """
        self._given = settings
        self.deployment = deployment
        self.processors = frozenset({DEFAULT_PROCESSOR, *processors})
        self.loads = Loads()
        self.gate = Gate(limits or Limits())
        """Counts the requests of all routes."""
        self.starting = Lock()
        """Held by who starts a run: of several at once a server on SQLite refuses most."""

    @cached_property
    def settings(self) -> Settings:
        """Where everything lies."""
        return self._given or resolve()

    @cached_property
    def engine(self) -> Engine:
        """The database's; its pool is bounded."""
        return open_database(self.settings.database_url)

    @cached_property
    def manager(self) -> TrainingDatasetManager:
        """The published datasets."""
        return TrainingDatasetManager(self.engine)

    @cached_property
    def store(self) -> Store:
        """Where objects are."""
        return open_store(self.settings)

    def ask_server(self, ask: Callable[[Any], T]) -> T:
        """Return what `ask` returns when it is given `tasks.deployment_runs`, set to our server.

        It is asked again where it is busy: it refuses whom it cannot serve at once, all but one of
        several that start the same run among them. A server that is away is not waited for.
        """
        from prefect.settings import (  # only who starts or looks at runs waits for Prefect
            PREFECT_API_REQUEST_TIMEOUT,
            PREFECT_API_URL,
            PREFECT_CLIENT_MAX_RETRIES,
            temporary_settings,
        )

        from tasks import deployment_runs

        # not for the process: the application around us may have a server of its own
        ours = {
            PREFECT_API_URL: self.settings.prefect_api_url,
            PREFECT_API_REQUEST_TIMEOUT: SILENCE_S,
            PREFECT_CLIENT_MAX_RETRIES: 0,
        }

        def once() -> T:
            with temporary_settings(ours):
                return ask(deployment_runs)

        def is_busy(error: Exception) -> bool:
            return isinstance(error, deployment_runs.ServerBusyError)

        return persist(once, is_busy, Patience(retries=8, retry_s=15.0))
