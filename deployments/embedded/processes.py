"""Processes that outlive their starter: started detached, known again, ended for certain."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import psutil

__all__ = [
    "PART",
    "Account",
    "ProcessRecord",
    "StackError",
    "find_process",
    "free_port",
    "heads",
    "is_free",
    "last_lines",
    "listens",
    "run_as",
    "spawn",
    "stop",
    "strays",
    "wait_until",
]

PART = "ASTRID_TRAINING_PART"
"""Set in every process that the stack starts; with the home it tells ours from all others."""

LOG_LIMIT_BYTES = 10_000_000
KILL_WAIT_S = 10.0

_started: list[subprocess.Popen[bytes]] = []  # kept, so that children that ended are reaped
_reaping = threading.Lock()


class StackError(RuntimeError):
    """A part of the embedded stack cannot be started or stopped; the message says the cure."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a process runs as, where that is not our own."""

    name: str
    uid: int
    gid: int


class RunAs(TypedDict):
    """subprocess's own names for whom to run as; None: us."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """What identifies a process: its pid alone may by now belong to another one."""

    pid: int
    created: float
    """Creation time as psutil gives it, seconds since 1970."""


def spawn(
    argv: list[str],
    environment: Mapping[str, str],
    log: Path,
    cwd: Path,
    account: Account | None = None,
) -> ProcessRecord:
    """Start `argv` in a session of its own, its output going to the end of `log`.

    Raises:
        StackError: if the program cannot be run.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            argv,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            umask=0o077,
            **run_as(account),
        )
    except OSError as error:
        raise StackError(f"cannot run {argv[0]}: {error}; install the package again") from error
    finally:
        os.close(descriptor)
    record = ProcessRecord(process.pid, psutil.Process(process.pid).create_time())
    with _reaping:
        _started.append(process)
    return record


def run_as(account: Account | None) -> RunAs:
    """Return the arguments that make subprocess run a program as the account."""
    if account is None:
        return {"user": None, "group": None, "extra_groups": None}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def find_process(record: ProcessRecord | None) -> psutil.Process | None:
    """Return the recorded process if it still runs."""
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.created) < 0.05  # float to JSON and back
    except psutil.NoSuchProcess:
        return None
    return process if same and _lives(process) else None


def _reap() -> None:
    with _reaping:
        _started[:] = [process for process in _started if process.poll() is None]


def strays(home: Path, parts: Iterable[str]) -> list[psutil.Process]:
    """Return all processes that were started for `parts` of this home, recorded or not."""
    wanted = {(part, str(home)) for part in parts}
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):  # ended meanwhile, or another user's
            continue
        marks = (environment.get(PART), environment.get("ASTRID_TRAINING_HOME"))
        if alive and marks in wanted and process.pid != os.getpid():
            found.append(process)
    return found


def heads(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those whose parent is not among them; the others end with their parents."""
    among = {process.pid: process for process in processes}
    found = []
    for process in among.values():
        try:
            if process.ppid() not in among:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def stop(processes: list[psutil.Process], signal: int, grace_s: float) -> None:
    """Signal `processes`, wait for them and all their descendants, then kill what is left.

    Args:
        processes: what gets the signal; descendants are left to them until the grace is over.
        signal: the signal that asks for an orderly end.
        grace_s: seconds until SIGKILL.

    Raises:
        StackError: if a process survives even that.
    """
    family = {process.pid: process for process in processes}
    for process in processes:
        try:
            family |= {child.pid: child for child in process.children(recursive=True)}
            process.send_signal(signal)
        except psutil.NoSuchProcess:
            continue
    for process in _outlive(family.values(), grace_s):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    if immortal := _outlive(family.values(), KILL_WAIT_S):
        raise StackError(
            f"processes {[each.pid for each in immortal]} do not end; end them as their owner"
        )


def _outlive(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait for the processes and return those that still live after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    left = [process for process in processes if _lives(process)]
    while left and wait_until(deadline):
        left = [process for process in left if _lives(process)]
    return left


def _lives(process: psutil.Process) -> bool:
    _reap()
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port(preferred: int | None) -> int:
    """Return `preferred` if nothing uses it on 127.0.0.1, else a port that is free now."""
    if preferred is not None and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_free(port: int) -> bool:
    """Tell whether nothing listens on the port and we may."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # our last run's TIME_WAIT
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(process: psutil.Process, port: int | None) -> bool:
    """Tell whether the process or one of its descendants has the port open for connections."""
    try:
        family = [process, *process.children(recursive=True)]
        connections = [each for one in family for each in one.net_connections(kind="tcp")]
    except psutil.NoSuchProcess:
        return False
    return any(
        each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        for each in connections
    )


def last_lines(log: Path, count: int = 5) -> str:
    """Return the last lines of a log that say something, or a remark that there are none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")[-20_000:]
    except FileNotFoundError:
        return "(no log)"
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "(the log is empty)"


def wait_until(deadline: float) -> bool:
    """Sleep a moment and tell whether `deadline` (time.monotonic) is still ahead."""
    time.sleep(0.1)
    return time.monotonic() < deadline
