"""One line of the table of results: what was measured, its limit or peer, and its goal.

A benchmark is a module with `report() -> list[Row]`:

    Row("shards written", f"{ours:,.0f} samples/s", f"npy per sample {peer:,.0f}", ours / peer,
        at_least(ours / peer, 8))
    Row("build core", f"{ours:,.0f} samples/CPU-s", not_installed("sep"))
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = """| benchmark | ours | limit or peer | ratio | goal | |
| --- | --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Goal:
    """A bound in words, and whether the measurement keeps it."""

    text: str
    met: bool

    def __and__(self, other: Goal) -> Goal:
        """Return the goal that is met when both are."""
        return Goal(f"{self.text}, {other.text}", self.met and other.met)


def at_least(measured: float, wanted: float, unit: str = "x") -> Goal:
    """Return the goal that `measured` is `wanted` or more; the unit of a ratio is x."""
    return Goal(f">= {_bound(wanted, unit)}", measured >= wanted)


def at_most(measured: float, wanted: float, unit: str = "x") -> Goal:
    """Return the goal that `measured` is `wanted` or less; the unit of a ratio is x."""
    return Goal(f"<= {_bound(wanted, unit)}", measured <= wanted)


def not_installed(peer: str) -> str:
    """Return what stands in the peer's column when `benchmarks.peers.peer` finds none."""
    return f"{peer}: peer not installed"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bound(wanted: float, unit: str) -> str:
    return f"{wanted:,g}{'' if unit in ('x', '%') else ' '}{unit}"


@dataclass(frozen=True)
class Row:
    """A measurement; `str` of it is a line of the Markdown table under HEAD."""

    name: str
    """What was done, with the sizes that matter."""
    ours: str
    """Our figure with its unit."""
    limit_or_peer: str = ""
    """The physical limit or another tool, named, with its figure in the same unit."""
    ratio: float | None = None
    """Of our figure to that of the limit or peer, or the other way; more than 1 is a gain."""
    goal: Goal | None = None

    def __str__(self) -> str:
        """Return the line."""
        ratio = "" if self.ratio is None else _number(self.ratio)
        goal = ("", "") if self.goal is None else (self.goal.text, self.verdict)
        cells = (self.name, self.ours, self.limit_or_peer, ratio, *goal)
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    @property
    def verdict(self) -> str:
        """Whether the goal is met or missed; nothing where there is none."""
        return "" if self.goal is None else "met" if self.goal.met else "**missed**"
