"""A stack under review, faults and collections for a long while: `python -m tests.load.soak --minutes 30`.

It runs a stack of its own in a folder of its own, and takes both away again, whatever happens. What
it measured is written beside: `readings.csv`, `summary.json` and `soak.png`; with `--page` also into the
documentation.
"""

import argparse
import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from prefect.client.orchestration import get_client

from astrid_training.database import open_database
from astrid_training.store import open_store
from deployments.bootstrap import bootstrap
from deployments.embedded.stack import status
from tests.conftest import _run_stack
from tests.load.ageing import let_days_pass
from tests.load.breakages import BREAKAGES
from tests.load.invariants import Invariants
from tests.load.readings import (
    Reading,
    read_parts,
    read_places,
    wait_for_runs_to_end,
    write_csv,
)
from tests.load.rounds import Round, Rounds
from tests.load.served_api import serve_api
from tests.load.soak_page import draw, write_page
from tests.load.trends import judge

__all__ = ["Soak", "main"]

LEAST_MINUTES = 10.0
"""A shorter soak shows no trend."""


@dataclass
class Soak:
    """What a soak did and measured so far."""

    rounds: list[Round] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    failure: str = ""
    """Of the round that failed; empty: none did."""

    def summary(self) -> dict[str, Any]:
        """Return what is told of it."""
        is_long = bool(self.readings) and self.readings[-1].minute >= LEAST_MINUTES
        trends = judge(self.readings) if is_long else []
        return {
            "minutes": round(self.readings[-1].minute, 1) if self.readings else 0.0,
            "rounds": len(self.rounds),
            "counts": self.counts,
            "failure": self.failure,
            "memory_start_mb": round(self._memory(first=True)),
            "memory_end_mb": round(self._memory(first=False)),
            "trends": [asdict(one) | {"is_flat": one.is_flat} for one in trends],
        }

    def _memory(self, *, first: bool) -> float:
        rounds = [one.round for one in self.readings]
        wanted = (min(rounds) if first else max(rounds)) if rounds else 0
        parts = [one for one in self.readings if one.pid and one.round == wanted]
        return sum(one.mb for one in parts)


def soak(home: Path, minutes: float, every: int, told: Path) -> Soak:
    """Run the stack of `home` for so many minutes and return what was seen; a failure ends it.

    Args:
        home: of the stack, which ends with the call.
        minutes: after which no more round begins.
        every: so many rounds, something dies.
        told: the folder for the API's log and the readings, which are written after each round.
    """
    seen = Soak()
    with _everything(home, told) as (rounds, invariants, api_process):
        begun, broken = time.monotonic(), cycle(BREAKAGES)
        number = 0
        try:
            while time.monotonic() - begun < minutes * 60:
                breaks = number % every == every - 1
                seen.rounds.append(rounds.run(number, next(broken) if breaks else ""))
                invariants.check_round(rounds.api, rounds.rng)
                _read(seen, home, rounds, invariants, api_process, begun)
                write_csv(seen.readings, told / "readings.csv")
                _say(f"{seen.readings[-1].minute:.1f} min: {seen.rounds[-1]}")
                number += 1
            for one in invariants.seen.values():
                invariants.check_unchanged(one)
            let_days_pass(rounds, invariants, home, number)
        except Exception:  # noqa: BLE001 - whatever it was is told with what was seen until then
            seen.failure = traceback.format_exc()
            _keep_evidence(home, told)
        seen.counts = {
            **rounds.counts,
            "datasets": len(invariants.seen),
            "requests": invariants.requests,
        }
    return seen


def _keep_evidence(home: Path, told: Path) -> None:
    """Keep the logs, and how each part stood, before all of it goes."""
    shutil.copytree(home / "logs", told / "logs", dirs_exist_ok=True)
    parts = {name: asdict(part) for name, part in status(home).parts.items()}
    (told / "parts.json").write_text(json.dumps(parts, indent=2), encoding="utf-8")


@contextmanager
def _everything(home: Path, told: Path) -> Iterator[tuple[Rounds, Invariants, Any]]:
    """Run stack and API while the block lasts."""
    with ExitStack() as running:
        stack = running.enter_context(_run_stack(home))
        bootstrap(stack.settings)
        engine, store = open_database(stack.settings.database_url), open_store(stack.settings)
        running.callback(engine.dispose)
        api = running.enter_context(serve_api(home, told / "api.log"))
        client = running.enter_context(get_client(sync_client=True))
        asking = httpx.Client(base_url=api.url, headers=api.headers, timeout=120, trust_env=False)
        rounds = Rounds(stack, engine, client, store, running.enter_context(asking), Random(8))
        yield rounds, Invariants(engine, store), api.process


def _read(
    seen: Soak, home: Path, rounds: Rounds, invariants: Invariants, api: Any, begun: float
) -> None:
    wait_for_runs_to_end(home)
    minute = (time.monotonic() - begun) / 60
    number, datasets = len(seen.rounds) - 1, len(invariants.seen)
    for name, pid, mb, handles in (*read_parts(home, api), *read_places(home, rounds.engine)):
        collections = rounds.counts["collections"]
        seen.readings.append(Reading(minute, number, collections, datasets, name, pid, mb, handles))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run a soak as the command line says; 1 if anything failed or grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=int, default=3, help="so many rounds, something dies")
    parser.add_argument("--told", type=Path, help="folder for what was measured")
    parser.add_argument("--page", action="store_true", help="keep it in the documentation too")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is taken down
    with TemporaryDirectory(prefix="soak-") as folder:
        told = asked.told or Path(folder)
        told.mkdir(parents=True, exist_ok=True)
        seen = soak(Path(folder) / "home", asked.minutes, asked.every, told)
        return _tell(seen, told, page=asked.page)


def _tell(seen: Soak, told: Path, *, page: bool) -> int:
    summary = seen.summary()
    (told / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    _say(json.dumps(summary, indent=2))
    if seen.readings:
        draw(seen.readings, seen.rounds, told / "soak.png")
    if page and seen.readings:
        write_page(summary, told / "soak.png")
    grows = [one["name"] for one in summary["trends"] if not one["is_flat"]]
    _say(seen.failure or (f"grows: {grows}" if grows else "all flat"))
    return int(bool(seen.failure or grows))


if __name__ == "__main__":
    sys.exit(main())
