"""`astrid-training api` as a process of its own, and a token for it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

__all__ = ["ServedApi", "ask_to_collect", "serve_api"]

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "deployments.cli"]


@dataclass(frozen=True)
class ServedApi:
    """An API that runs."""

    url: str
    token: str
    process: psutil.Process
    log: Path

    @property
    def headers(self) -> dict[str, str]:
        """What a client of it sends."""
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def serve_api(home: Path, log: Path) -> Iterator[ServedApi]:
    """Run the API of a home while the block lasts; its database is the home's, or the environment's."""
    environment = os.environ | {"ASTRID_TRAINING_HOME": str(home), "PYTHONPATH": str(ROOT)}
    made = subprocess.run(
        [*PROGRAM, "token", "create", f"load-{uuid4()}", "--scope", "read", "--scope", "collect"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*PROGRAM, "api", "--port", "0", "--json", "--token-rate", "0", "--address-rate", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
    assert process.stdout is not None
    try:
        said = "".join(process.stdout.readline() for _ in range(3))
        assert said, log.read_text()
        url = json.loads(said)["url"]
        yield ServedApi(url, made.stdout.strip(), psutil.Process(process.pid), log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def ask_to_collect(client: httpx.Client, name: str, key: str, limit_s: float = 180.0) -> str:
    """Ask for a collection, again for as long as the API says to come later, and return the run's id."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = client.post(
            "/training/datasets/collect", json={"name": name}, headers={"Idempotency-Key": key}
        )
        if answer.status_code == 202:
            return str(answer.json()["flow_run_id"])
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(float(answer.headers["Retry-After"]))
