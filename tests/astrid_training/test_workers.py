import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from astrid_training import steps, workers
from astrid_training.errors import FitsRefusedError, WorkerLostError
from astrid_training.fits_guard import refusal
from astrid_training.records import MaskRef
from astrid_training.store import Credentials
from astrid_training.workers import Workers
from astrid_training.workplace import Workplace

SECRET = "secret-of-the-store"


@pytest.fixture
def pool() -> Iterator[Workers]:
    pool = Workers(2)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Workers]:
    """Those of the tests that end none of them: one takes two seconds to start."""
    pool = Workers(2)
    yield pool
    pool.close()


def test_a_worker_has_imported_the_library_and_nothing_of_who_asks(pool: Workers) -> None:
    loaded = set(pool.run(eval, "sorted(__import__('sys').modules)"))

    assert "astrid_training.build" in loaded
    assert not loaded & {"prefect", "mlflow", "torch", "pytest", "matplotlib"}


def test_a_call_returns_what_the_function_returns_in_another_process(shared: Workers) -> None:
    assert shared.run(max, 3, 7) == 7
    assert shared.run(os.getpid) not in {os.getpid(), 0}


def test_one_worker_serves_one_call_after_the_other() -> None:
    pool = Workers(1)

    with ThreadPoolExecutor(4) as threads:
        pids = set(threads.map(lambda _: pool.run(os.getpid), range(8)))

    assert len(pids) == 1
    pool.close()


def test_two_threads_are_served_side_by_side_by_two_workers(shared: Workers) -> None:
    shared.start(2)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(shared.run, eval, LINGER) for _ in range(2)]
        pids = {call.result() for call in calls}

    assert len(pids) == 2


LINGER = "[__import__('time').sleep(0.5), __import__('os').getpid()][1]"


def test_an_error_of_a_worker_is_raised_as_it_is_with_the_place_where_it_arose(
    shared: Workers,
) -> None:
    with pytest.raises(FitsRefusedError, match="truncated: ends early") as caught:
        shared.run(_raise, "truncated", "ends early")

    assert (caught.value.reason, caught.value.detail) == ("truncated", "ends early")
    assert "_raise" in caught.value.__notes__[0]
    assert shared.run(max, 1, 2) == 2


def _raise(reason: str, detail: str) -> None:
    raise refusal(reason, detail)


def test_an_error_that_cannot_travel_is_told_in_words(shared: Workers) -> None:
    with pytest.raises(RuntimeError, match="LocalError: no other process knows me"):
        shared.run(_raise_what_only_this_call_knows)


def _raise_what_only_this_call_knows() -> None:
    class LocalError(Exception):
        pass

    raise LocalError("no other process knows me")


@pytest.mark.parametrize(
    ("call", "how"),
    [
        ((signal.raise_signal, signal.SIGKILL), "signal 9"),
        pytest.param((os._exit, 3), "code 3", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_is_killed_fails_its_call_and_the_next_one_has_another(
    pool: Workers, call: tuple[object, int], how: str
) -> None:
    before = pool.run(os.getpid)

    with pytest.raises(WorkerLostError, match=how) as caught:
        pool.run(*call)  # type: ignore[call-arg, arg-type]

    assert isinstance(caught.value, ConnectionError)  # what the steps of a flow try again
    assert pool.run(os.getpid) != before


def test_a_worker_that_died_while_idle_costs_no_call(pool: Workers) -> None:
    before = pool.run(os.getpid)
    psutil.Process(before).kill()
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)

    assert pool.run(os.getpid) != before


def test_what_a_function_prints_is_no_answer(shared: Workers) -> None:
    assert shared.run(print, "to the log") is None
    assert shared.run(os.write, 1, b"to the log as well\n") == 19


def test_fewer_workers_are_kept_once_fewer_are_wanted(pool: Workers) -> None:
    pool.start(2)
    with ThreadPoolExecutor(2) as threads:
        pids = set(threads.map(lambda _: pool.run(eval, LINGER), range(2)))

    pool.resize(1)

    _until_gone([(pids - {pool.run(os.getpid)}).pop()])


PARENT = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from astrid_training import workers

workers.set_workers(2)
print(workers.run(os.getpid), flush=True)
threads = ThreadPoolExecutor(2)
for _ in range(2):
    threads.submit(workers.run, eval, "[0 for _ in iter(int, 1) if _]")
time.sleep(1.5)
{end}
"""


def _workers_of(end: str, tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(end=textwrap.dedent(end)))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert parent.stdout is not None
    first = int(parent.stdout.readline())
    deadline = time.monotonic() + 20
    while len(children := psutil.Process(parent.pid).children()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [child.pid for child in children]
    assert first in pids
    return parent, pids


def _until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_end_in_the_middle_of_their_work_when_who_asked_is_killed(tmp_path: Path) -> None:
    parent, pids = _workers_of("time.sleep(60)", tmp_path)

    parent.kill()
    parent.wait()

    _until_gone(pids)


def test_idle_workers_end_with_the_process_that_started_them() -> None:
    code = "import os; from astrid_training import workers; print(workers.run(os.getpid))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )

    _until_gone([int(done.stdout)])
    assert done.stderr == ""


def test_a_forked_process_has_workers_of_its_own() -> None:
    code = """
        import os
        from astrid_training import workers

        ours = workers.run(os.getpid)
        child = os.fork()
        if child == 0:
            os._exit(0 if workers.run(os.getpid) != ours else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert workers.run(os.getpid) == ours
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_the_keys_of_a_store_are_in_no_text_about_a_place(tmp_path: Path) -> None:
    keys = Credentials("http://127.0.0.1:1", "key-id", SECRET)
    place = Workplace("s3://bucket", tmp_path, keys)

    assert SECRET not in f"{place!r} {place}"
    assert pickle.loads(pickle.dumps(place)) == place


def test_the_keys_of_a_store_are_in_no_error_of_a_worker(shared: Workers, tmp_path: Path) -> None:
    place = Workplace("file://" + str(tmp_path), tmp_path, Credentials("http://x", "id", SECRET))

    with pytest.raises(FileNotFoundError) as caught:
        shared.run(steps.score_samples, place, MaskRef("0" * 64, 1, []))

    assert SECRET not in f"{caught.value} {caught.value.__notes__}"


def test_the_shared_workers_are_as_many_as_was_said() -> None:
    workers.set_workers(1)
    with ThreadPoolExecutor(2) as threads:
        pids = set(threads.map(lambda _: workers.run(eval, LINGER), range(2)))

    workers.set_workers(None)
    assert len(pids) == 1
