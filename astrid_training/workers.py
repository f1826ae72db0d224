"""Processes that compute: threads that hold the interpreter's lock get nowhere side by side.

A worker is a fresh interpreter that imports this library and nothing of who asks, so that it is
ready within a second and small. It hears requests on its standard input and answers on its standard
output, both pickled; when the input ends, because the asking process closed it or was killed, so
does the worker, whatever it is doing.
"""

import atexit
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from queue import SimpleQueue
from threading import Condition, RLock, Thread, Timer
from typing import Any, ParamSpec, TypeVar

from astrid_training import cpu
from astrid_training.errors import WorkerLostError, WorkerTimeoutError

__all__ = ["Workers", "cores", "run", "set_workers", "start_workers"]

P = ParamSpec("P")
R = TypeVar("R")

COMMAND = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from astrid_training.workers import serve; serve()"
)
STEPS = "astrid_training.steps"  # imported while nothing is asked yet
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a worker has one core
FAREWELL_S = 5.0
LONGEST_S = 7200.0
"""For one call: a step that takes longer hangs, on a mount or a socket that nothing else ends."""


class Workers:
    """At most so many worker processes, started when they are needed, kept until they are closed.

    Args:
        most: workers at once; a call beyond it waits. None: one for each core.
        longest_s: seconds that a call may take in a worker.
    """

    def __init__(self, most: int | None = None, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._change = Condition()
        self._most = most or cores()
        self._idle: list[_Worker] = []
        self._busy = 0

    def resize(self, most: int | None) -> None:
        """Let at most so many workers live from now on; busy ones finish what they do."""
        with self._change:
            self._most = most or cores()
            self._trim()
            self._change.notify_all()

    def start(self, count: int) -> None:
        """Start up to `count` workers without waiting for them."""
        with self._change:
            room = min(count, self._most) - self._busy - len(self._idle)
            self._idle += [_Worker() for _ in range(room)]

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `function` returns in a worker, or raise what it raises there.

        Args:
            function: a module's function of this library.
            args: its arguments; they are pickled, as its result is, so they should be small.
            kwargs: its keyword arguments.

        Raises:
            WorkerLostError: if the worker ended before it answered; the next call has another one.
            WorkerTimeoutError: if it did not answer in its time; it is killed, whatever it hangs on.
        """
        request = pickle.dumps((function, args, kwargs))
        worker = self._borrow()
        try:
            succeeded, result = worker.ask(
                request, getattr(function, "__name__", "a call"), self._longest_s
            )
        except BaseException:  # also an interruption: what it would answer is not wanted any more
            worker.kill()
            raise
        finally:
            self._give_back(worker)
        if not succeeded:
            raise _revived(*result)
        value: R = result
        return value

    def close(self) -> None:
        """End the workers that are idle; those that are busy end when they have answered."""
        with self._change:
            self._most = 0
            self._trim()

    def _borrow(self) -> "_Worker":
        with self._change:
            self._change.wait_for(lambda: self._busy < max(self._most, 1))
            self._busy += 1
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
                worker.kill()
        try:
            return _Worker()
        except BaseException:
            self._give_back(None)
            raise

    def _give_back(self, worker: "_Worker | None") -> None:
        with self._change:
            self._busy -= 1
            if worker is not None and worker.is_alive():
                self._idle.append(worker)
            self._trim()
            self._change.notify()

    def _trim(self) -> None:
        while self._idle and len(self._idle) + self._busy > self._most:
            self._idle.pop(0).close()


class _Worker:
    """One process. Asked by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own code, in our own interpreter
            [sys.executable, "-c", COMMAND],
            env=os.environ | ONE_THREAD | cpu.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise TypeError("a worker without pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout
        pickle.dump(sys.path, self._requests)
        self._requests.flush()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: bytes, name: str, longest_s: float) -> tuple[bool, Any]:
        expired: list[bool] = []

        def end() -> None:
            expired.append(True)
            self._process.kill()  # the read below ends with the pipe

        limit = Timer(longest_s, end)
        limit.daemon = True
        limit.start()
        try:
            pickle.dump(request, self._requests)
            self._requests.flush()
            answer: tuple[bool, Any] = pickle.load(self._answers)  # noqa: S301 - our own process
        except (EOFError, OSError, pickle.UnpicklingError):
            self.kill()
            raise (_hung(name, longest_s) if expired else self._lost(name)) from None
        finally:
            limit.cancel()
        return answer

    def _lost(self, name: str) -> WorkerLostError:
        code = self._process.returncode
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return WorkerLostError(
            f"a worker process ended {how} during {name}; where memory ran short, lower `workers` "
            "or `batch_samples`"
        )

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def close(self) -> None:
        self._requests.close()
        try:
            self._process.wait(FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait()
        for pipe in (self._requests, self._answers):
            try:
                pipe.close()
            except BrokenPipeError:  # what was still to be written, nobody will read
                continue


def _hung(name: str, longest_s: float) -> WorkerTimeoutError:
    return WorkerTimeoutError(
        f"a worker process gave no answer in {longest_s:g} s during {name} and was killed; look whether "
        "the disks and mounts it works on answer, or lower `batch_samples`"
    )


def serve() -> None:
    """Answer requests until the standard input ends: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for who asks
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    requests: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(requests,), daemon=True).start()
    import_module(STEPS)
    while True:
        answers.write(_answer(requests.get()))
        answers.flush()


def _listen(requests: SimpleQueue[bytes]) -> None:
    """Pass requests on; at their end, end this process at once, in the middle of what it does."""
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))  # noqa: S301 - from who started us
    finally:
        os._exit(0)


def _answer(request: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(request)  # noqa: S301 - from who started us
        return pickle.dumps((True, function(*args, **kwargs)))
    except Exception as error:  # noqa: BLE001 - whatever it is, who asked will raise it
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        try:
            return pickle.dumps((False, (type(error), error.args, error.__dict__)))
        except (pickle.PicklingError, TypeError, AttributeError):
            told = f"{type(error).__name__}: {error}"
            return pickle.dumps((False, (RuntimeError, (told,), {})))


def _revived(kind: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Return the worker's error; its own initialiser may want other arguments than it keeps."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def cores() -> int:
    """Return how many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


_lock = RLock()
_shared: list[Workers] = []


def run(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what `function` returns in one of this process's workers; see `Workers.run`."""
    return _workers().run(function, *args, **kwargs)


def set_workers(most: int | None) -> None:
    """Let this process have at most so many workers from now on; None: one for each core."""
    _workers().resize(most)


def start_workers(count: int) -> None:
    """Start up to `count` of this process's workers, so that they are ready when work comes."""
    _workers().start(count)


def _workers() -> Workers:
    with _lock:
        if not _shared:
            _shared.append(Workers())
            atexit.register(_shared[0].close)
        return _shared[0]


def _forget() -> None:
    """In a forked process: its parent's workers answer its parent."""
    global _lock
    _lock = RLock()  # another thread of the parent may have held the old one
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
