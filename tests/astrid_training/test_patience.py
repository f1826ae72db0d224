"""Only what passes is tried again, with growing random waits, and never for ever."""

import pytest

from astrid_training.patience import Patience, persist

FAST = Patience(retries=4, first_wait_s=0.1, longest_wait_s=1.0)


class Flaky:
    """Fails a number of times."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr("astrid_training.patience.time.sleep", waited.append)
    return waited


def is_passing(error: Exception) -> bool:
    return isinstance(error, ConnectionError)


def test_what_passes_is_tried_again(waits: list[float]) -> None:
    call = Flaky(*[ConnectionError()] * 4)

    assert persist(call, is_passing, FAST) == "done"

    assert (call.calls, len(waits)) == (5, 4)


@pytest.mark.parametrize(
    ("failures", "calls"),
    [
        ([ValueError("bad")], 1),
        ([ConnectionError(), ValueError("bad")], 2),
        ([ConnectionError("bad")] * 9, 5),
    ],
)
def test_what_does_not_pass_or_stays_is_raised(
    waits: list[float], failures: list[Exception], calls: int
) -> None:
    call = Flaky(*failures)

    with pytest.raises((ValueError, ConnectionError), match="bad"):
        persist(call, is_passing, FAST)

    assert call.calls == calls
    assert len(waits) == calls - 1


def test_nothing_is_tried_again_after_the_time_is_over(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Flaky(*[ConnectionError()] * 9)
    clock = iter(range(0, 9000, 100))
    monkeypatch.setattr("astrid_training.patience.time.monotonic", lambda: next(clock))

    with pytest.raises(ConnectionError):
        persist(call, is_passing, FAST)  # 180 s: the first failure comes at 100, the second at 200

    assert call.calls == 2


def test_waits_grow_and_differ(waits: list[float]) -> None:
    many = Patience(retries=60, first_wait_s=0.1, longest_wait_s=1.0)
    call = Flaky(*[ConnectionError()] * 60)

    persist(call, is_passing, many)

    assert waits[0] <= 0.2
    assert all(0.1 <= wait <= 1.0 for wait in waits)
    assert len(set(waits)) > 10
