"""A fault on purpose, for tests of recovery: `ASTRID_FAULT=<step>:<before|after>:<what>`."""

import os
import signal
import time
from pathlib import Path

__all__ = ["InjectedFaultError", "fault_point"]


class InjectedFaultError(RuntimeError):
    """The failure that ASTRID_FAULT asked for."""


def fault_point(step: str, moment: str) -> None:
    """Fail or stand still here if ASTRID_FAULT names this step and moment; else do nothing.

    Args:
        step: name of the task, such as `make_masks`, or of a moment in one: `store_pack`, a pack goes
            to the store; `register_stamps`, stamps are entered in the catalogue; `write_file`, a
            file of this machine is whole and has no name yet.
        moment: `before` the step's work or `after` it, while its result is not yet recorded.

    Raises:
        InjectedFaultError: for `raise`; `kill` ends the process as kill -9 does; `wait=<file>` goes on
            when the file has gone, and writes this process's id into it before.
    """
    wanted = os.environ.get("ASTRID_FAULT", "")
    if not wanted.startswith(f"{step}:{moment}:"):
        return
    _, _, what = wanted.split(":", 2)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what.startswith("wait="):
        _wait(Path(what.removeprefix("wait=")))
        return
    raise InjectedFaultError(f"ASTRID_FAULT={wanted}: unset it to run on")


def _wait(file: Path) -> None:
    """Tell the file who waits, and wait until somebody removes it; there is none: nobody waits."""
    try:
        with file.open("r+", encoding="utf-8") as opened:
            opened.write(f"{os.getpid()}\n")
    except FileNotFoundError:
        return
    while file.exists():
        time.sleep(0.05)
