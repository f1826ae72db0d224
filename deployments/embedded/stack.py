"""`up`, `status`, `down`: the embedded stack of one home as a whole."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from astrid_training.settings import EMBEDDED, Settings, resolve, training_home, write_config
from deployments.embedded import postgres
from deployments.embedded.parts import Mlflow, Part, Postgres, PrefectServer, Worker
from deployments.embedded.processes import StackError, find_process, stop, strays
from deployments.embedded.starter import Progress, Starter
from deployments.embedded.state import Remembered, RunState

__all__ = ["PartStatus", "Progress", "StackError", "Status", "discard", "down", "status", "up"]

LOCK_WAIT_S = 600.0
RUN_GRACE_S = 15.0


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
        Starter(place, say).start_all()
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
    kinds = (Postgres, PrefectServer, Worker, Mlflow)
    parts = {kind.name: _look_at(kind(place), state[kind.name]) for kind in kinds}
    parts["store"] = _look_at_store(settings)
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


def _stop_all(home: Path, say: Progress) -> None:
    state = RunState(home)
    runs = Worker(home).flow_runs()  # before their worker: they tell the server that they end
    if runs:
        stop(runs, signal.SIGTERM, RUN_GRACE_S)
        say(f"{len(runs)} flow run(s) ended early; the server shows them as crashed")
    for part in (Worker(home), PrefectServer(home), Mlflow(home), Postgres(home)):
        begun = time.monotonic()
        process = find_process(state[part.name].process)
        left = strays(home, [part.name]) + part.strays() + ([] if process is None else [process])
        stop(list({each.pid: each for each in left}.values()), part.stop_signal, part.grace_s)
        state.forget_process(part.name)
        write_config(home, dict.fromkeys(part.settings), embedded=True)
        if left:
            say(f"{part.title} stopped ({time.monotonic() - begun:.1f} s)")
    shutil.rmtree(home / "run" / "tmp", ignore_errors=True)  # the worker's; nobody is left to ask


def _look_at(part: Part, known: Remembered) -> PartStatus:
    source = part.external_source(known)
    if source is not None:
        return PartStatus("external", detail=f"from {source}")
    log = str(part.log) if part.log.exists() else None
    if known.process is None:
        return PartStatus(
            "stopped", port=known.port, log=log, detail="start it: astrid-training up"
        )
    process = find_process(known.process)
    if process is None:
        cure = "it ended by itself; read its log and run `astrid-training up`"
        return PartStatus("failed", port=known.port, log=log, detail=cure)
    if part.answers(process, known.port):
        return PartStatus("running", process.pid, known.port, log, "answers")
    if time.time() - process.create_time() < part.wait_s:
        return PartStatus("starting", process.pid, known.port, log, "does not answer yet")
    cure = "runs and does not answer; `astrid-training up` starts it anew"
    return PartStatus("failed", process.pid, known.port, log, cure)


def _look_at_store(settings: Settings) -> PartStatus:
    if settings.sources["store_url"] != EMBEDDED:
        return PartStatus("external", detail=f"from {settings.sources['store_url']}")
    folder = settings.home / "store"
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return PartStatus("running", detail=str(folder))
    return PartStatus("stopped", detail=f"no folder {folder} to write to; run astrid-training up")


def _make_home(home: Path) -> None:
    """Make the home, or close one that is new; one that someone shares is refused."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = home.stat()
    if info.st_mode & 0o077 and not any(home.iterdir()):
        home.chmod(0o700)
    elif info.st_mode & 0o022 or info.st_uid != os.geteuid():
        raise StackError(
            f"others may write to {home} (or own it), and it is to hold passwords; "
            "choose another folder by ASTRID_TRAINING_HOME, or chmod 700 this one"
        )
    (home / "run").mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _only_one(home: Path, say: Progress) -> Iterator[None]:
    """Hold the home's lock: one `up` or `down` at a time, released by the kernel at any end."""
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(home / "run" / "stack.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another `up` or `down` of this home is at work; waiting for it")
        try:
            lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout as error:
            raise StackError(
                f"another `up` or `down` holds {lock.lock_file} for {LOCK_WAIT_S:.0f} s; end it"
            ) from error
    try:
        yield
    finally:
        lock.release()


def _say_nothing(_line: str) -> None:
    pass
