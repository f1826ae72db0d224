"""A fault on purpose, for tests of recovery: `ASTRID_FAULT=<step>:<before|after>:<kill|raise>`."""

import os
import signal

__all__ = ["InjectedFaultError", "fault_point"]


class InjectedFaultError(RuntimeError):
    """The failure that ASTRID_FAULT asked for."""


def fault_point(step: str, moment: str) -> None:
    """Fail here if ASTRID_FAULT names this step and moment; else do nothing.

    Args:
        step: name of the task, such as `make_masks`, or of a moment in one: `store_pack`, a pack goes
            to the store; `register_stamps`, stamps are entered in the catalogue; `write_file`, a
            file of this machine is whole and has no name yet.
        moment: `before` the step's work or `after` it, while its result is not yet recorded.

    Raises:
        InjectedFaultError: for `raise`; `kill` ends the process as kill -9 does.
    """
    wanted = os.environ.get("ASTRID_FAULT", "")
    if not wanted.startswith(f"{step}:{moment}:"):
        return
    if wanted.endswith(":kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    raise InjectedFaultError(f"ASTRID_FAULT={wanted}: unset it to run on")
