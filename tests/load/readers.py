"""Many who read the API at once, each on a connection of its own."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from statistics import quantiles

import httpx

from tests.load.served_api import ServedApi

__all__ = ["Answers", "read_at_once"]

TIMEOUT_S = 60.0
HEALTH_EVERY_S = 0.25


@dataclass
class Answers:
    """What readers were answered, and how long it took."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """Requests without an answer."""
    took_s: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)
    """Of the health endpoint meanwhile."""

    def told(self) -> str:
        """Return one line for people."""
        cut = quantiles(self.took_s, n=100)
        return (
            f"{len(self.took_s)} answers, p50 {1000 * cut[49]:.0f} ms, p99 {1000 * cut[98]:.0f} ms; "
            f"health at most {1000 * max(self.health_s):.0f} ms"
        )


def read_at_once(api: ServedApi, places: list[str], readers: int, each: int) -> Answers:
    """Let so many readers ask for so many of the places each, all at once, and return the answers."""
    return asyncio.run(_read_at_once(api, places, readers, each))


async def _read_at_once(api: ServedApi, places: list[str], readers: int, each: int) -> Answers:
    answers = Answers()
    health = asyncio.create_task(_ask_for_health(api, answers))
    jobs = [_read(api, Random(one).choices(places, k=each), answers) for one in range(readers)]
    await asyncio.gather(*jobs)
    health.cancel()
    return answers


async def _read(api: ServedApi, places: list[str], answers: Answers) -> None:
    async with _client(api) as client:
        for place in places:
            begun = time.perf_counter()
            try:
                answer = await client.get(place)
            except httpx.HTTPError as error:
                answers.failures.append(f"{place}: {error!r}")
                continue
            answers.took_s.append(time.perf_counter() - begun)
            answers.statuses[answer.status_code] += 1


async def _ask_for_health(api: ServedApi, answers: Answers) -> None:
    async with _client(api) as client:
        while True:
            begun = time.perf_counter()
            answer = await client.get("/health")
            answers.health_s.append(time.perf_counter() - begun)
            answers.statuses[answer.status_code] += 1
            await asyncio.sleep(HEALTH_EVERY_S)


def _client(api: ServedApi) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=api.url,
        headers=api.headers,
        timeout=TIMEOUT_S,
        trust_env=False,
        verify=False,
        limits=httpx.Limits(max_connections=1),
    )
