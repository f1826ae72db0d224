"""Charts as geometry: where bars, ticks and rules lie. `charts.html.j2` draws them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bar", "Chart", "Rule", "Series", "Tick", "Words", "nice_ticks", "stacked"]

WIDTH, PLOT_HEIGHT = 560, 170
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 8, 46
RULE_LINE = 15  # height of one line of words above the plot
MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Words:
    """What a chart says."""

    name: str
    """Unique in the page."""
    title: str
    summary: str
    """What it shows, for those who do not see it too."""
    x_title: str
    y_title: str = "samples"


@dataclass(frozen=True, slots=True)
class Series:
    """One of the parts that the bars are stacked of."""

    name: str
    counts: Sequence[int]
    """One a bar."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A vertical line across the chart: a limit, a threshold, a usual value."""

    at: float
    """On the x axis, in its unit."""
    words: str
    always: bool = False
    """The axis reaches it, however far off the values are."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and what stands beside it."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of the drawing; y grows downwards."""

    x: float
    y: float
    width: float
    height: float
    series: str


@dataclass(frozen=True, slots=True)
class Line:
    """A rule of the drawing and where its words stand."""

    x: float
    y: float
    words: str
    anchor: str
    """start or end: the words stand on the side that has more room."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of `width` by `height` units."""

    words: Words
    bars: list[Bar]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    rules: list[Line]
    series: list[str]
    top: float
    """y of the upper end of the plot."""
    width: int = WIDTH
    left: int = LEFT
    right: int = WIDTH - RIGHT

    @property
    def bottom(self) -> float:
        """Y of the x axis."""
        return self.top + PLOT_HEIGHT

    @property
    def height(self) -> float:
        """Of the whole drawing, titles of the axes included."""
        return self.bottom + BOTTOM


def stacked(
    words: Words,
    edges: Sequence[float],
    series: Sequence[Series],
    rules: Sequence[Rule] = (),
    ticks: Sequence[Tick] | None = None,
) -> Chart:
    """Return bars from each edge to the next, stacked of the series, the first one below.

    Args:
        words: what it says.
        edges: where bars begin and end on the x axis, one more than there are bars, rising.
        series: what the bars are made of; a series without any count is left out.
        rules: vertical lines; those beyond the edges are left out.
        ticks: of the x axis; None: at round numbers.
    """
    low, high = edges[0], edges[-1]
    drawn = [rule for rule in sorted(rules, key=lambda rule: rule.at) if low <= rule.at <= high]
    top = TOP + RULE_LINE * len(drawn)

    def across(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT), 1)

    shown = [one for one in series if any(one.counts)]
    most = max((sum(one) for one in zip(*(s.counts for s in shown), strict=True)), default=0)
    y_ticks = [value for value in nice_ticks(0, max(most, 1), 4) if value == int(value)]
    if ticks is None:
        ticks = [Tick(value, f"{value:g}") for value in nice_ticks(low, high)]
    return Chart(
        words,
        _bars(
            shown, [across(edge) for edge in edges], top + PLOT_HEIGHT, PLOT_HEIGHT / (most or 1)
        ),
        [Tick(across(tick.at), tick.words) for tick in ticks],
        [
            Tick(round(top + PLOT_HEIGHT * (1 - at / max(most, 1)), 1), f"{at:,.0f}")
            for at in y_ticks
        ],
        [_line(rule, across(rule.at), number) for number, rule in enumerate(drawn)],
        [one.name for one in shown],
        top,
    )


def _bars(
    series: Sequence[Series], edges: Sequence[float], bottom: float, scale: float
) -> list[Bar]:
    """Return the rectangles; `scale` is the height of one sample."""
    reached = [0] * (len(edges) - 1)
    bars = []
    for one in series:
        for number, count in enumerate(one.counts):
            if count:
                reached[number] += count
                y, height = bottom - reached[number] * scale, count * scale
                width = max(edges[number + 1] - edges[number] - 1, 1)
                bars.append(
                    Bar(edges[number], round(y, 1), round(width, 1), round(height, 1), one.name)
                )
    return bars


def _line(rule: Rule, x: float, number: int) -> Line:
    anchor = "start" if x < (LEFT + WIDTH - RIGHT) / 2 else "end"
    return Line(x, TOP + RULE_LINE * number + RULE_LINE - 4, rule.words, anchor)


def nice_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return at most about `most` round numbers from `low` to `high`, evenly apart."""
    raw = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) + 0.0 for number in range(first, last + 1)]
