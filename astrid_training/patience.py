"""How long a server is waited for, and how often it is asked again."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["BRIEF", "PATIENT", "Patience", "persist"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """What passes by itself (no answer, 408, 429, 5xx) is asked for again; all else is final."""

    retries: int = 6
    """Questions after the first; with the waits below some 10 s of a server that refuses."""
    retry_s: float = 180.0
    """From the first question on; after it none is asked again. A large file whose connection
    breaks within it is taken up where it broke."""
    first_wait_s: float = 0.2
    longest_wait_s: float = 10.0
    """A wait is drawn between the first one and twice the last, so that clients who failed
    together do not come back together."""
    connect_s: float = 5.0
    silence_s: float = 60.0
    """Without a byte from the server; in it a part of an upload must have gone out."""
    whole_s: float = 1800.0
    """One request with its body: the largest file at 600 kB/s."""


PATIENT = Patience()
"""For work: outlasts a store's bad minute, and a dead one is known after a minute."""

BRIEF = Patience(retries=1, retry_s=10.0, connect_s=3.0, silence_s=10.0, whole_s=30.0)
"""For someone who waits in front of a screen."""


def persist(
    call: Callable[[], T], passes: Callable[[Exception], bool], patience: Patience = PATIENT
) -> T:
    """Return what `call` returns, calling again after failures that pass by themselves.

    Args:
        call: what may be done twice without harm.
        passes: tells whether a failure may be another one, or none, the next time.
        patience: how often, how long, and with which waits.
    """
    deadline = time.monotonic() + patience.retry_s
    wait = patience.first_wait_s
    for _ in range(patience.retries):
        try:
            return call()
        except Exception as error:  # which of them pass, only the caller knows
            if not passes(error) or time.monotonic() > deadline:
                raise
        drawn = random.uniform(patience.first_wait_s, 2 * wait)  # noqa: S311 - a wait is no secret
        wait = min(drawn, patience.longest_wait_s)
        time.sleep(wait)
    return call()
