"""One `up`: what does not run is started, the parts side by side, the worker after its server."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from astrid_training.settings import EMBEDDED, resolve, write_config
from deployments.embedded.parts import Mlflow, Part, Postgres, PrefectServer, Worker
from deployments.embedded.processes import (
    ProcessRecord,
    StackError,
    find_process,
    free_port,
    is_free,
    last_lines,
    stop,
    wait_until,
)
from deployments.embedded.state import Remembered, RunState

__all__ = ["Progress", "Starter"]

Progress = Callable[[str], None]

PATIENCE_S = 30.0  # a busy server is slow to answer; starting it anew would lose its work
ATTEMPTS = 3  # another program may take the port between our look and the part's start


class Starter:
    """Brings up the parts of one home; the caller holds the home's lock."""

    def __init__(self, home: Path, say: Progress) -> None:
        self.home = home
        self.say = say
        self.state = RunState(home)
        self._config = threading.Lock()

    def start_all(self) -> None:
        """Start what does not run and wait for everything.

        Raises:
            StackError: naming each part that does not start; the others run.
        """
        if resolve(self.home).sources["store_url"] == EMBEDDED:
            (self.home / "store").mkdir(mode=0o700, exist_ok=True)
        jobs: list[list[Part]] = [
            [Postgres(self.home)],
            [PrefectServer(self.home), Worker(self.home)],
            [Mlflow(self.home)],
        ]
        with ThreadPoolExecutor(len(jobs)) as pool:
            errors = [error for error in pool.map(self._ensure_each, jobs) if error is not None]
        if errors:
            raise StackError("\n".join(map(str, errors)))

    def _ensure_each(self, parts: list[Part]) -> StackError | None:
        try:
            for part in parts:
                self._ensure(part)
        except StackError as error:
            return error
        return None

    def _ensure(self, part: Part) -> None:
        known, begun = self.state[part.name], time.monotonic()
        if (source := part.external_source(known)) is not None:
            if find_process(known.process) is None:  # else others may still use the embedded one
                self._write(part, None, used=False)
            self.say(f"{part.title}: a real one is used (from {source})")
            return
        running = find_process(known.process)
        if running is not None and self._still_serves(part, known, running):
            self._write(part, known.port)
            self.say(f"{part.title} runs")
            return
        stop(self._in_the_way(part, running), part.stop_signal, part.grace_s)
        port = self._start(part)
        self._write(part, port)
        self.say(f"{part.title} answers ({time.monotonic() - begun:.1f} s)")

    def _still_serves(self, part: Part, known: Remembered, running: psutil.Process) -> bool:
        """Tell whether a running part answers, waiting for one that has only just been started."""
        if part.url(known.port) != known.url:  # a worker of a server that has moved
            return False
        left_s = part.wait_s - (time.time() - running.create_time())
        return self._wait(part, known, max(left_s, PATIENCE_S))

    def _in_the_way(self, part: Part, running: psutil.Process | None) -> list[psutil.Process]:
        found = part.strays() if running is None else [running, *part.strays()]
        return list({process.pid: process for process in found}.values())

    def _start(self, part: Part) -> int | None:
        """Start the part, on another port if someone else takes its own; return the port.

        Raises:
            StackError: if it does not answer.
        """
        known = self.state[part.name]
        port = known.port or part.usual_port
        for attempt in range(1, ATTEMPTS + 1):
            port = free_port(port) if part.has_port else None
            self.state[part.name] = Remembered(None, port, known.url)
            record = part.start(port)
            self.state[part.name] = known = Remembered(record, port, part.url(port))
            if self._wait(part, known, part.wait_s):
                break
            lost_its_port = port is not None and not find_process(record) and not is_free(port)
            if not lost_its_port or attempt == ATTEMPTS:
                raise self._failure(part, record)
        return port

    def _wait(self, part: Part, known: Remembered, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while (process := find_process(known.process)) is not None:
            if part.answers(process, known.port):
                return True
            if not wait_until(deadline):
                break
        return False

    def _failure(self, part: Part, record: ProcessRecord) -> StackError:
        process = find_process(record)
        what = "ended at its start" if process is None else f"gave no answer in {part.wait_s:.0f} s"
        stop(self._in_the_way(part, process), part.stop_signal, part.grace_s)
        return StackError(
            f"{part.title} {what}; correct what its log says and run `astrid-training up` again. "
            f"The end of {part.log}:\n{last_lines(part.log)}"
        )

    def _write(self, part: Part, port: int | None, *, used: bool = True) -> None:
        """Write the part's addresses to config.toml, or remove them where a real one is used."""
        values = part.addresses(port) if used and part.has_port else {}
        with self._config:
            write_config(self.home, dict.fromkeys(part.settings) | values, embedded=True)
