"""What befalls a collection at which of its calls: drawn from a seed, so that it can be had again."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

__all__ = ["CALLS", "KINDS", "Edge", "Fault", "Injector", "Killed", "Kind", "Schedule"]

Edge = Literal["store", "database", "commit", "disk"]
Kind = Literal["folder", "bucket"]

CALLS: dict[Edge, int] = {"store": 98, "database": 260, "commit": 7, "disk": 26}
"""Of an undisturbed collection, at least; the last commit, and the last sixth of all else, publishes."""
KINDS: dict[str, tuple[str, ...]] = {
    "folder": ("killed", "killed within", "killed after", "fails", "full", "denied", "clock"),
    "bucket": (
        *("killed", "killed after", "500", "429", "timeout", "reset", "lost"),
        *("truncated", "denied", "slow", "clock"),
    ),
    "database": (
        *("killed", "killed after", "lost before", "lost after", "refused"),
        *("serialization", "deadlock", "lock timeout", "statement timeout", "clock"),
    ),
    "commit": ("killed", "killed after", "lost before", "lost after", "serialization"),
    "disk": ("killed", "full"),
}
"""Faults by the edge that they befall; the store's by what it is."""
LASTING = frozenset({"full", "denied"})
"""What stays as it is until a person does something about it."""
REMEDIES = ("nothing", "look", "clear away")


class Killed(BaseException):
    """The process was killed here: nothing that follows in it happens any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that befalls one call."""

    edge: Edge
    call: int
    """0-based, among all calls of the edge, those of earlier tries too."""
    what: str


@dataclass(frozen=True)
class Schedule:
    """What befalls a collection, and what is done after each try that fails."""

    seed: int
    kind: Kind
    """What the store is."""
    in_parts: bool
    """Whether survey files count as large, so that only parts of them are fetched."""
    faults: tuple[Fault, ...]
    remedies: tuple[str, ...]

    @classmethod
    def of(cls, seed: int) -> "Schedule":
        """Return the schedule of a seed."""
        draw = random.Random(seed)
        kind: Kind = draw.choice(("folder", "bucket", "bucket"))
        edges: tuple[Edge, ...] = ("store", "store", "database", "commit")
        if kind == "bucket":
            edges = (*edges, "disk")  # what lies in a folder is not copied
        faults = {}
        for nth in range(1, 1 + draw.randint(1, 5)):
            edge = draw.choice(edges)
            most = CALLS[edge]
            last = most - 1 - draw.randrange(max(1, most // 6))
            call = draw.choice((draw.randrange(nth * most), last))  # later ones befall later tries
            what = draw.choice(KINDS[kind if edge == "store" else edge])
            faults[edge, call] = Fault(edge, call, what)
        remedies = tuple(draw.choices(REMEDIES, k=len(faults) + 1))
        return cls(seed, kind, draw.random() < 0.5, tuple(faults.values()), remedies)

    @classmethod
    def with_one(cls, fault: Fault) -> "Schedule":
        """Return the schedule of a collection in a folder that one fault befalls."""
        return cls(0, "folder", in_parts=False, faults=(fault,), remedies=("nothing",))


@dataclass
class Injector:
    """Says at each call of an edge what befalls it."""

    schedule: Schedule
    struck: list[Fault] = field(default_factory=list)
    clock: timedelta = timedelta(0)
    """How far this machine's clock is ahead."""
    waited_s: float = 0.0
    """Seconds that slow answers took."""
    is_dead: bool = False
    _is_calm: bool = False
    calls: Counter[Edge] = field(default_factory=Counter)
    _lasting: set[tuple[Edge, str]] = field(default_factory=set)
    _ends: list[Callable[[], None]] = field(default_factory=list)

    def befalls(self, edge: Edge) -> str | None:
        """Count a call and return what befalls it, None for nothing.

        Raises:
            Killed: if the process is dead.
        """
        if self.is_dead:
            raise Killed
        if self._is_calm:
            return None
        number = self.calls[edge]
        self.calls[edge] += 1
        lasting = next((what for where, what in sorted(self._lasting) if where == edge), None)
        fault = next(
            (one for one in self.schedule.faults if (one.edge, one.call) == (edge, number)), None
        )
        if fault is None or lasting:
            return lasting
        self.struck.append(fault)
        if fault.what in LASTING:
            self._lasting.add((edge, fault.what))
        if fault.what == "clock":
            hours = random.Random(f"{self.schedule.seed} {number}").uniform(-30, 30)
            self.clock += timedelta(hours=hours)
            return None
        return fault.what

    def killed(self) -> Killed:
        """Return what ends the process here, and let no call of it reach anything any more."""
        self.is_dead = True
        return Killed()

    def at_end(self, end: Callable[[], None]) -> None:
        """Call `end` when the process of this try has ended."""
        self._ends.append(end)

    def begin_anew(self) -> None:
        """End what the process of this try held, and mend what a person would mend."""
        for end in self._ends:
            end()
        self._ends.clear()
        self._lasting.clear()
        self.is_dead = False

    def calm_down(self) -> None:
        """Let nothing befall anything any more, and set the clock right."""
        self._is_calm, self.clock = True, timedelta(0)
