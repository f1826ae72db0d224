"""The four parts that are processes: how each is started, asked, and ended."""

import base64
import os
import signal
import socket
import sys
from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import httpx
import psutil

from astrid_training.settings import EMBEDDED, prefect_environment, resolve
from deployments.embedded import postgres
from deployments.embedded.processes import PART, ProcessRecord, heads, listens, spawn, strays
from deployments.embedded.state import Remembered

__all__ = [
    "POOL",
    "Mlflow",
    "Part",
    "Postgres",
    "PrefectServer",
    "Worker",
    "authorization",
    "is_far",
    "is_ok",
    "tracking_authorization",
]

POOL = "astrid-process"
"""The work pool whose runs are processes on this machine."""


class Part(ABC):
    """One part of the stack in one home."""

    name: ClassVar[str]
    title: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ()
    """The settings that follow from where it runs; by the first a real one replaces it."""
    has_port: ClassVar[bool] = True
    usual_port: ClassVar[int | None] = None
    """Taken if it is free, because people know it."""
    wait_s: ClassVar[float] = 180.0
    """How long a start may take; a loaded machine needs ten times what a quiet one does."""
    stop_signal: ClassVar[int] = signal.SIGTERM
    grace_s: ClassVar[float] = 15.0

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "logs" / f"{self.name}.log"

    @abstractmethod
    def start(self, port: int | None) -> ProcessRecord:
        """Start the part on `port`; it answers later."""

    @abstractmethod
    def answers(self, process: psutil.Process, port: int | None) -> bool:
        """Tell whether `process`, and no other, does its work now."""

    def url(self, port: int | None) -> str:
        """Return the address that makes the part the one it is."""
        return self.addresses(port)[self.settings[0]]

    @abstractmethod
    def addresses(self, port: int | None) -> dict[str, str]:
        """Return the values of `settings` when the part runs on `port`."""

    def strays(self) -> list[psutil.Process]:
        """Return processes of this part that would stand in the way of a new start."""
        return strays(self.home, [self.name])

    def external_source(self, known: Remembered) -> str | None:
        """Return who points to a real server in place of this part, or None if nobody does.

        An address that the stack itself once gave out is its own, wherever it was copied to.
        """
        if not self.settings:
            return None
        chosen = resolve(self.home)
        name = self.settings[0]
        if chosen.get(name) in {None, known.url} or chosen.sources[name] == EMBEDDED:
            return None
        return chosen.sources[name]

    def _environment(self) -> dict[str, str]:
        ours = prefect_environment(resolve(self.home))
        return dict(os.environ) | ours | {PART: self.name}

    def _run(self, arguments: list[str], extra: dict[str, str]) -> ProcessRecord:
        argv = [sys.executable, "-P", "-m", *arguments]  # -P: the working folder holds no modules
        return spawn(argv, self._environment() | extra, self.log, self.home / "run")


class Postgres(Part):
    """PostgreSQL, by the wheel's programs."""

    name = "postgres"
    title = "PostgreSQL"
    settings = ("database_url",)
    stop_signal = postgres.FAST_SHUTDOWN
    grace_s = postgres.GRACE_S

    def start(self, port: int | None) -> ProcessRecord:
        """Start the home's cluster, made now if there is none yet."""
        marks = {PART: self.name, "ASTRID_TRAINING_HOME": str(self.home)}
        return postgres.start(postgres.prepare(self.home), port, marks, self.log)

    def answers(self, process: psutil.Process, port: int | None) -> bool:  # noqa: ARG002 - the password tells
        """Tell whether `SELECT 1` comes back from our own cluster."""
        cluster = postgres.existing_cluster(self.home)
        return cluster is not None and postgres.answers(cluster, port)

    def addresses(self, port: int | None) -> dict[str, str]:
        """Return the database's URL."""
        return {"database_url": postgres.cluster_url(postgres.prepare(self.home), port)}

    def strays(self) -> list[psutil.Process]:
        """Return servers and orphaned backends on the home's data."""
        cluster = postgres.existing_cluster(self.home)
        return [] if cluster is None else postgres.servers(cluster)


class PrefectServer(Part):
    """Prefect's API, its pages and its services: the scheduler, the triggers."""

    name = "prefect_server"
    title = "Prefect server"
    settings = ("prefect_api_url", "prefect_ui_url")
    usual_port = 4200

    def start(self, port: int | None) -> ProcessRecord:
        """Start the server; its database lies in the home."""
        arguments = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        api = {"PREFECT_API_URL": self.addresses(port)["prefect_api_url"]}  # its pages call this
        vacuum = {"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs"}
        # a run that waits for another of its deployment looks again after this, not after 30 s
        patience = {"PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3"}
        return self._run(arguments, api | vacuum | patience)

    def answers(self, process: psutil.Process, port: int | None) -> bool:
        """Tell whether the API is healthy."""
        return listens(process, port) and is_ok(f"http://127.0.0.1:{port}/api/health")

    def addresses(self, port: int | None) -> dict[str, str]:
        """Return where the API and the pages are."""
        server = f"http://127.0.0.1:{port}"
        return {"prefect_api_url": f"{server}/api", "prefect_ui_url": server}


class Mlflow(Part):
    """MLflow's tracking server over SQLite, with its artifacts in the home."""

    name = "mlflow"
    title = "MLflow"
    settings = ("mlflow_tracking_uri",)
    usual_port = 5000

    def start(self, port: int | None) -> ProcessRecord:
        """Start the server with one worker: each takes some 150 MB."""
        database = f"sqlite:///{self.home / 'mlflow.db'}"
        arguments = ["deployments.embedded.tracking", database, "server", "--workers", "1"]
        arguments += ["--host", "127.0.0.1", "--port", str(port)]
        arguments += ["--backend-store-uri", database]
        arguments += ["--artifacts-destination", str(self.home / "mlartifacts")]
        # nine processes for jobs that nobody submits
        return self._run(arguments, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})

    def answers(self, process: psutil.Process, port: int | None) -> bool:
        """Tell whether the server is healthy."""
        return listens(process, port) and is_ok(f"http://127.0.0.1:{port}/health")

    def addresses(self, port: int | None) -> dict[str, str]:
        """Return the tracking URI."""
        return {"mlflow_tracking_uri": f"http://127.0.0.1:{port}"}


class Worker(Part):
    """The process worker: it runs what the configured Prefect server schedules for our pool."""

    name = "worker"
    title = "Worker"
    has_port = False

    def url(self, port: int | None) -> str:  # noqa: ARG002 - it listens nowhere
        """Return the API that the worker serves."""
        return resolve(self.home).prefect_api_url

    def start(self, port: int | None) -> ProcessRecord:  # noqa: ARG002 - it listens nowhere
        """Start the worker; it makes the pool if there is none."""
        self._ask("DELETE", self.worker_name)  # what the server knows from now on is this one
        temporary = self.home / "run" / "tmp"
        temporary.mkdir(mode=0o700, exist_ok=True)
        arguments = ["deployments.embedded.worker", str(temporary)]
        arguments += ["worker", "start", "--pool", POOL, "--type", "process"]
        arguments += ["--name", self.worker_name, "--limit", "2", "--install-policy", "never"]
        return self._run(arguments, {})

    def answers(self, process: psutil.Process, port: int | None) -> bool:  # noqa: ARG002 - it listens nowhere
        """Tell whether the server has heard from the worker since it was started."""
        reply = self._ask("POST", "filter", json={})
        if reply is None or not reply.is_success:
            return False
        return any(worker["name"] == self.worker_name for worker in reply.json())

    def addresses(self, port: int | None) -> dict[str, str]:  # noqa: ARG002 - it listens nowhere
        """Return nothing: nobody calls a worker."""
        return {}

    def strays(self) -> list[psutil.Process]:
        """Return other workers of this home; flow runs of a killed one may finish."""
        return [each for each in super().strays() if _is_worker(each)]

    def flow_runs(self) -> list[psutil.Process]:
        """Return the processes that run flows for this home's workers."""
        return heads(each for each in super().strays() if not _is_worker(each))

    @property
    def worker_name(self) -> str:
        """The worker's name on the server, the same at every start."""
        return f"{socket.gethostname()}-{sha256(str(self.home).encode()).hexdigest()[:6]}"

    def _ask(self, method: str, path: str, json: object = None) -> httpx.Response | None:
        """Return what the server says to a request about the pool's workers, if it does."""
        api = resolve(self.home).prefect_api_url
        url = f"{api}/work_pools/{POOL}/workers/{path}"
        try:
            return httpx.request(
                method, url, json=json, headers=authorization(), timeout=5, trust_env=is_far(url)
            )
        except httpx.HTTPError:
            return None


def _is_worker(process: psutil.Process) -> bool:
    try:
        return {"worker", POOL} <= set(process.cmdline())
    except psutil.Error:
        return False


def is_far(url: str) -> bool:
    """Tell whether a proxy may stand between us and `url`."""
    return httpx.URL(url).host not in {"127.0.0.1", "localhost"}


def is_ok(url: str) -> bool:
    """Tell whether a GET of `url` succeeds within seconds."""
    try:
        reply = httpx.get(url, timeout=5, trust_env=is_far(url))
    except httpx.HTTPError:
        return False
    return reply.is_success


def authorization() -> dict[str, str]:
    """Return the header for a Prefect server that wants one, from Prefect's own variables."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return _basic(os.environ.get("PREFECT_API_AUTH_STRING"))


def tracking_authorization() -> dict[str, str]:
    """Return the header for an MLflow that wants one, from MLflow's own variables."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    given = [os.environ.get(f"MLFLOW_TRACKING_{what}", "") for what in ("USERNAME", "PASSWORD")]
    return _basic(":".join(given) if all(given) else None)


def _basic(auth: str | None) -> dict[str, str]:
    if not auth:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}
