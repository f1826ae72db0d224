"""Processes are known again, never mistaken for another, and ended with all their children."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deployments.embedded.processes import (
    LOG_LIMIT_BYTES,
    PART,
    ProcessRecord,
    StackError,
    find_process,
    free_port,
    is_free,
    last_lines,
    listens,
    spawn,
    stop,
    strays,
)
from deployments.embedded.state import Remembered, RunState

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True);"
FAMILY = (
    "import subprocess, sys, time; print(2, flush=True);"
    f"subprocess.Popen([sys.executable, '-c', {DEAF + 'time.sleep(60)'!r}]); time.sleep(60)"
)


@pytest.fixture
def run(tmp_path: Path) -> Iterator["Runner"]:
    runner = Runner(tmp_path)
    yield runner
    for process in strays(tmp_path, ["test"]):
        process.kill()


class Runner:
    """Starts Python code as a part named `test` of a home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "logs" / "test.log"

    def __call__(self, code: str) -> ProcessRecord:
        marks = {PART: "test", "ASTRID_TRAINING_HOME": str(self.home)}
        return spawn([sys.executable, "-c", code], marks, self.log, self.home)

    def wait_for_log(self, lines: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.log.read_text().splitlines()) < lines:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)


def found(record: ProcessRecord) -> psutil.Process:
    process = find_process(record)
    assert process is not None
    return process


def test_a_process_is_known_by_pid_and_time_of_creation(run: Runner) -> None:
    record = run("import time; time.sleep(60)")

    assert found(record).pid == record.pid
    assert find_process(replace(record, created=record.created - 100)) is None  # a recycled pid
    found(record).kill()
    deadline = time.monotonic() + 10
    while find_process(record) is not None:  # our own child: a zombie does not count as alive
        assert time.monotonic() < deadline


def test_a_started_process_leads_a_session_of_its_own(run: Runner) -> None:
    record = run("import os; print(os.getsid(0) == os.getpid(), flush=True)")

    run.wait_for_log(1)
    assert run.log.read_text() == "True\n"
    assert run.log.stat().st_mode & 0o077 == 0
    assert record.pid > 0


def test_stop_kills_children_that_ignore_the_signal(run: Runner) -> None:
    parent = found(run(FAMILY))
    run.wait_for_log(2)
    assert len(strays(run.home, ["test"])) == 2

    stop([parent], signal.SIGTERM, grace_s=0.3)

    assert strays(run.home, ["test"]) == []


def test_an_orphan_is_found_by_the_home_it_was_started_for(run: Runner) -> None:
    parent = found(run(FAMILY))
    run.wait_for_log(2)
    (child,) = parent.children()
    parent.kill()

    assert child.pid in [process.pid for process in strays(run.home, ["test"])]
    assert strays(run.home, ["other"]) == []
    assert strays(run.home / "elsewhere", ["test"]) == []


def test_a_program_that_is_not_there_is_a_stack_error(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"cannot run .*no-such-program"):
        spawn([str(tmp_path / "no-such-program")], {}, tmp_path / "x.log", tmp_path)


def test_a_large_log_is_put_aside_at_the_next_start(run: Runner) -> None:
    run.log.parent.mkdir()
    run.log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))

    run("print('new')")

    run.wait_for_log(1)
    assert last_lines(run.log) == "new"
    assert (run.home / "logs" / "test.log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_a_port_in_use_is_passed_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        assert free_port(port) != port
    assert free_port(port) == port


def test_a_listener_on_all_addresses_makes_a_port_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert not is_free(taken.getsockname()[1])


def test_only_the_listening_process_counts_as_the_one_that_answers(run: Runner) -> None:
    stranger = found(run("import time; time.sleep(60)"))
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 0));"
    owner = found(run(code + "print(s.getsockname()[1], flush=True); time.sleep(60)"))
    run.wait_for_log(1)
    port = int(run.log.read_text())

    assert listens(owner, port)
    assert not listens(stranger, port)


def test_the_run_state_survives_its_writer_and_keeps_ports_after_a_stop(tmp_path: Path) -> None:
    record = ProcessRecord(4711, 1732350000.123)
    RunState(tmp_path)["mlflow"] = Remembered(record, 5000, "http://127.0.0.1:5000")

    state = RunState(tmp_path)

    assert state["mlflow"] == Remembered(record, 5000, "http://127.0.0.1:5000")
    assert state["worker"] == Remembered()
    state.forget_process("mlflow")
    assert RunState(tmp_path)["mlflow"] == Remembered(None, 5000, "http://127.0.0.1:5000")
    assert (tmp_path / "run" / "stack.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"mlflow": 5}', '{"mlflow": {"process": 1}}'])
def test_a_damaged_run_state_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text(text)

    assert RunState(tmp_path)["mlflow"] == Remembered()


def test_a_process_that_was_not_started_by_us_is_no_stray(tmp_path: Path) -> None:
    environment = {"ASTRID_TRAINING_HOME": str(tmp_path)}  # as in any shell of a user of the home
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env=environment
    ) as shell:
        assert strays(tmp_path, ["postgres", "prefect_server", "worker", "mlflow"]) == []
        shell.kill()
