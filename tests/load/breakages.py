"""What dies in a soak, and how it is brought back."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from deployments.embedded.parts import Worker
from deployments.embedded.stack import status, up

__all__ = ["BREAKAGES", "break_part", "mend"]

IMMEDIATE = signal.SIGQUIT  # PostgreSQL's immediate stop: as if the power had failed


def _kill_part(name: str, how: signal.Signals) -> Callable[[Path], bool]:
    def kill(home: Path) -> bool:
        pid = status(home).parts[name].pid
        return pid is not None and _end(psutil.Process(pid), how)

    return kill


def _kill_flow(home: Path) -> bool:
    ended = [_end(one, signal.SIGKILL) for one in Worker(home).flow_runs()]
    return any(ended)


BREAKAGES: dict[str, Callable[[Path], bool]] = {
    "flow": _kill_flow,
    "worker": _kill_part("worker", signal.SIGKILL),
    "postgres": _kill_part("postgres", IMMEDIATE),
    "mlflow": _kill_part("mlflow", signal.SIGKILL),
}
"""Name -> what ends it in a home's stack and tells whether there was anything to end."""


def break_part(home: Path, name: str) -> bool:
    """End a part, and tell whether it was there."""
    return BREAKAGES[name](home)


def mend(home: Path) -> float:
    """Start what does not run and return the seconds that it took."""
    begun = time.monotonic()
    up(home)
    return time.monotonic() - begun


def _end(process: psutil.Process, how: signal.Signals) -> bool:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return False
    deadline = time.monotonic() + 30
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{process} outlives {how.name}"
        time.sleep(0.05)
    return True
