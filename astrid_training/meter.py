"""What a piece of work took: processor time, bytes to and from stores, further attempts.

A thread measures what it does itself, what the threads do that it lends its meter to, and what worker processes
tell it. What nobody measures goes to the process's own meter, which is how a worker process knows its bytes.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, local
from time import process_time, thread_time

__all__ = ["Meter", "Usage", "count", "current", "lend", "measuring", "pool", "since_last"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was taken."""

    cpu_s: float = 0.0
    """Processor time of the process that asks."""
    worker_cpu_s: float = 0.0
    """Of its worker processes."""
    fetched_bytes: int = 0
    """From stores and web servers; what is read in place is not fetched."""
    written_bytes: int = 0
    retries: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu_s + other.cpu_s,
            self.worker_cpu_s + other.worker_cpu_s,
            self.fetched_bytes + other.fetched_bytes,
            self.written_bytes + other.written_bytes,
            self.retries + other.retries,
        )


@dataclass(slots=True)
class Meter:
    """Adds up what several threads take."""

    usage: Usage = field(default_factory=Usage)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, more: Usage) -> None:
        """Add what was taken."""
        with self._lock:
            self.usage += more

    def take(self) -> Usage:
        """Return what has been added since this was last asked."""
        with self._lock:
            taken, self.usage = self.usage, Usage()
        return taken


_own = Meter()
_of_thread = local()
_seen = [0.0]  # processor time that `since_last` has told


@contextmanager
def measuring(meter: Meter) -> Iterator[None]:
    """Add what this thread does in the block to `meter`; processor time at its end."""
    outer = current()
    lend(meter)
    begun = thread_time()
    try:
        yield
    finally:
        meter.add(Usage(cpu_s=thread_time() - begun))
        lend(outer)


def current() -> Meter:
    """Return what this thread's work is added to."""
    meter: Meter = getattr(_of_thread, "meter", _own)
    return meter


def lend(meter: Meter) -> None:
    """Let this thread add to `meter` from now on."""
    _of_thread.meter = meter


def pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool whose threads add to this thread's meter."""
    return ThreadPoolExecutor(threads, initializer=lend, initargs=(current(),))


def count(*, fetched: int = 0, written: int = 0, retries: int = 0) -> None:
    """Add bytes or a further attempt to this thread's meter."""
    current().add(Usage(fetched_bytes=fetched, written_bytes=written, retries=retries))


def since_last() -> Usage:
    """Return what this process took since this was last asked, as a worker's: its start too, at first."""
    now = process_time()
    took, _seen[0] = now - _seen[0], now
    return Usage(worker_cpu_s=took) + _own.take()
