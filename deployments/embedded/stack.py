"""`up`, `status`, `down`: the embedded stack of one home as a whole."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
from filelock import FileLock, Timeout

from astrid_training.settings import EMBEDDED, Settings, resolve, training_home, write_config
from deployments.embedded import postgres
from deployments.embedded.parts import Mlflow, Part, Postgres, PrefectServer, Worker
from deployments.embedded.processes import (
    PART,
    StackError,
    find_process,
    free_port,
    is_free,
    last_lines,
    stop,
    strays,
    wait_until,
)
from deployments.embedded.state import Remembered, RunState

__all__ = ["PartStatus", "StackError", "Status", "discard", "down", "status", "up"]

Progress = Callable[[str], None]

LOCK_WAIT_S = 600.0
ATTEMPTS = 3  # another program may take the port between our look and the part's start
STOP_ORDER = (Worker, PrefectServer, Mlflow, Postgres)


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part, as `status` found it."""

    state: str
    """running, starting, stopped, failed, or external: a real one is used in its place."""
    pid: int | None = None
    port: int | None = None
    log: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The stack of one home; an address is None where nothing is known to answer."""

    home: str
    database_url: str | None = field(repr=False)
    store_url: str | None
    prefect_api_url: str | None
    prefect_ui_url: str | None
    mlflow_tracking_uri: str | None
    parts: dict[str, PartStatus]

    @property
    def is_running(self) -> bool:
        """Whether every part runs or is replaced by a real one."""
        return all(part.state in {"running", "external"} for part in self.parts.values())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one JSON document; `database_url` holds its password."""
        return asdict(self)


def up(home: Path | str | None = None, progress: Progress | None = None) -> Status:
    """Start what does not run, wait until everything answers, and return how it stands.

    What runs already is left alone, so a second call returns at once. A part whose setting points
    to a real one is not started.

    Args:
        home: see `training_home`; made with mode 0700.
        progress: called with a line for people whenever something happened.

    Raises:
        StackError: if a part does not start; the others run on.
        InvalidSettingError: if a setting cannot be understood.
    """
    place = training_home(home)
    _make_home(place)
    say = progress or _say_nothing
    with _only_one(place, say):
        starter = _Starter(place, say)
        starter.start_all()
    return status(place)


def down(home: Path | str | None = None, progress: Progress | None = None) -> Status:
    """Stop worker, Prefect server, MLflow and PostgreSQL in this order; leave no process.

    Raises:
        StackError: if a process cannot be ended.
    """
    place = training_home(home)
    say = progress or _say_nothing
    if place.exists():
        with _only_one(place, say):
            _stop_all(place, say)
    return status(place)


def status(home: Path | str | None = None) -> Status:
    """Return how the stack stands; nothing is started and nothing is changed."""
    place = training_home(home)
    settings, state = resolve(place), RunState(place)
    parts: dict[str, PartStatus] = {}
    for kind in (Postgres, PrefectServer, Worker, Mlflow):
        part = kind(place)
        source = _external_source(settings, part.setting, state[part.name].url)
        if source is not None:
            parts[part.name] = PartStatus("external", detail=f"from {source}")
        else:
            parts[part.name] = _look_at(part, state[part.name])
    parts["store"] = _store_status(settings)
    return Status(
        home=str(place),
        database_url=settings.get("database_url"),
        store_url=settings.get("store_url"),
        prefect_api_url=settings.get("prefect_api_url"),
        prefect_ui_url=settings.prefect_ui_url if settings.get("prefect_api_url") else None,
        mlflow_tracking_uri=settings.get("mlflow_tracking_uri"),
        parts=parts,
    )


def discard(home: Path | str | None = None) -> None:
    """Stop everything and delete the embedded database for good, also where root keeps it.

    The rest of the home is an ordinary folder that its owner can remove.

    Raises:
        StackError: if a process cannot be ended.
    """
    place = training_home(home)
    if place.exists():
        down(place)
        postgres.discard(place)


class _Starter:
    """One `up`: the parts side by side, the worker after its server."""

    def __init__(self, home: Path, say: Progress) -> None:
        self.home = home
        self.say = say
        self.state = RunState(home)
        self.settings = resolve(home)

    def start_all(self) -> None:
        if self.settings.sources["store_url"] == EMBEDDED:
            (self.home / "store").mkdir(mode=0o700, exist_ok=True)
        jobs: list[list[Part]] = [
            [Postgres(self.home)],
            [PrefectServer(self.home), Worker(self.home)],
            [Mlflow(self.home)],
        ]
        with ThreadPoolExecutor(len(jobs)) as pool:
            errors = [error for error in pool.map(self._try, jobs) if error is not None]
        if errors:
            raise StackError("\n".join(map(str, errors)))

    def _try(self, parts: list[Part]) -> StackError | None:
        try:
            for part in parts:
                self._ensure(part)
        except StackError as error:
            return error
        return None

    def _ensure(self, part: Part) -> None:
        known = self.state[part.name]
        source = _external_source(self.settings, part.setting, known.url)
        if source is not None:
            write_config(self.home, dict.fromkeys(part.addresses(0)), embedded=True)
            self.say(f"{part.title} is external (from {source})")
            return
        begun = time.monotonic()
        process = find_process(known.process)
        if process is not None and self._serves_the_right_server(part, known):
            age_s = time.time() - process.create_time()
            if self._wait(part, known, part.wait_s - age_s):
                self._note(part, known, "runs already", begun)
                return
        self._clear_the_way(part, process)
        self._note(part, self._start(part, known.port or part.usual_port), "answers", begun)
