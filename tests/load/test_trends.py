"""What grows is found, and what only jitters or starts anew is not."""

from collections.abc import Callable
from random import Random

import pytest

from tests.load.readings import PARTS, PLACES, Reading
from tests.load.trends import judge

Value = Callable[[int], float]
ROUNDS = 60


def readings(memory: Value, handles: Value, disk: Value) -> list[Reading]:
    """Return a soak in which the worker is killed twice and all else lives on."""
    found = []
    for number in range(ROUNDS):
        place = (number / 2, number, number + 1, number)
        for name in PARTS:
            pid = 1 + number // 25 if name == "worker" else 9
            found.append(Reading(*place, name, pid, memory(number), round(handles(number))))
        found += [Reading(*place, f"disk: {name}", 0, disk(number), 0) for name in PLACES]
    return found


def grown(memory: Value, handles: Value, disk: Value) -> set[str]:
    return {one.what for one in judge(readings(memory, handles, disk)) if not one.is_flat}


def test_jitter_and_what_a_dataset_takes_are_no_growth() -> None:
    rng = Random(1)

    assert not grown(
        lambda _: 200 + rng.gauss(0, 5), lambda _: 20 + rng.randrange(6), lambda n: 2.0 * n
    )


def test_a_process_that_warms_up_is_flat_afterwards() -> None:
    assert not grown(lambda n: 200 + 4 * min(n, 12), lambda n: min(n, 10), lambda n: 2.0 * n)


@pytest.mark.parametrize(
    ("leak", "memory", "handles", "disk"),
    [
        ("memory", lambda n: 200 + 1.0 * n, lambda _: 20, lambda n: 2.0 * n),
        ("handles", lambda _: 200, lambda n: 20 + n // 3, lambda n: 2.0 * n),
        ("disk", lambda _: 200, lambda _: 20, lambda n: 0.03 * n * n),
    ],
)
def test_a_leak_is_found(leak: str, memory: Value, handles: Value, disk: Value) -> None:
    assert grown(memory, handles, disk) == {leak}


def test_a_leak_shows_across_processes_that_start_anew() -> None:
    found = judge(readings(lambda n: 200 + 1.5 * (n % 25), lambda _: 20, lambda n: 2.0 * n))

    assert [one.name for one in found if not one.is_flat and one.name == "worker"] == ["worker"]
