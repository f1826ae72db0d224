"""A step is tried again when the world failed it, not when its input did."""

import os
import signal
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prefect import flow, task
from prefect.states import Failed
from sqlalchemy.exc import OperationalError

from astrid_training import workers
from astrid_training.errors import StoreCorruptError, WorkerLostError
from tasks.retrying import RETRIES, is_transient


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (OperationalError("SELECT 1", {}, Exception("gone")), True),
        (httpx.ConnectError("refused"), True),
        (httpx.ReadTimeout("slow"), True),
        (httpx.RemoteProtocolError("closed"), True),
        (WorkerLostError("killed"), True),
        (StoreCorruptError("digest"), False),
        (httpx.InvalidURL("bad"), False),
        (KeyError("bug"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, again: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    nobody = cast("Any", None)

    assert is_transient(nobody, nobody, Failed(data=error)) is again


def _die_once(mark: str) -> int:
    """Be killed as a worker that took too much memory is, the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@pytest.mark.usefixtures("stack")
def test_a_step_whose_worker_is_killed_is_tried_again_in_another(tmp_path: Path) -> None:
    @task(**(RETRIES | {"retry_delay_seconds": 0}))
    def step() -> int:
        return workers.run(_die_once, str(tmp_path / "died"))

    @flow
    def collection() -> int:
        return step()

    assert collection() != os.getpid()
    assert (tmp_path / "died").exists()
