"""Bars, ticks and rules lie where their numbers say, whatever the numbers are."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.report.charts import (
    LEFT,
    PLOT_HEIGHT,
    RIGHT,
    WIDTH,
    Rule,
    Series,
    Tick,
    Words,
    nice_ticks,
    stacked,
)

WORDS = Words("x", "Title", "Summary.", "px")
EDGES = [0.0, 1.0, 2.0, 4.0]


def test_the_tallest_stack_fills_the_plot_and_stands_on_the_axis() -> None:
    chart = stacked(WORDS, EDGES, [Series("real", [1, 0, 3]), Series("sky", [1, 2, 5])])

    tallest = [bar for bar in chart.bars if bar.x == chart.bars[1].x]
    assert [bar.series for bar in tallest] == ["real", "sky"]
    assert tallest[0].y + tallest[0].height == pytest.approx(chart.bottom)
    assert tallest[1].y == pytest.approx(chart.top)
    assert tallest[1].y + tallest[1].height == pytest.approx(tallest[0].y)
    assert sum(bar.height for bar in tallest) == pytest.approx(PLOT_HEIGHT)


def test_bars_are_as_wide_as_their_bins() -> None:
    chart = stacked(WORDS, EDGES, [Series("real", [1, 1, 1])])

    unit = (WIDTH - RIGHT - LEFT) / 4
    assert [bar.x for bar in chart.bars] == pytest.approx([LEFT, LEFT + unit, LEFT + 2 * unit])
    assert [bar.width + 1 for bar in chart.bars] == pytest.approx([unit, unit, 2 * unit], abs=0.1)


def test_a_series_without_samples_is_neither_drawn_nor_in_the_legend() -> None:
    chart = stacked(WORDS, EDGES, [Series("real", [1, 1, 1]), Series("sky", [0, 0, 0])])

    assert chart.series == ["real"]


def test_rules_stand_at_their_values_each_with_a_line_of_its_own() -> None:
    chart = stacked(
        WORDS,
        EDGES,
        [Series("real", [1, 1, 1])],
        [Rule(3, "late"), Rule(1, "early"), Rule(9, "beyond")],
    )

    assert [rule.words for rule in chart.rules] == ["early", "late"]
    assert [rule.anchor for rule in chart.rules] == ["start", "end"]
    assert chart.rules[0].x == chart.bars[1].x
    assert chart.rules[0].y < chart.rules[1].y < chart.top


def test_ticks_of_the_y_axis_are_whole_samples() -> None:
    chart = stacked(WORDS, EDGES, [Series("real", [1, 2, 1])], ticks=[Tick(0.5, "first")])

    assert [tick.words for tick in chart.y_ticks] == ["0", "1", "2"]
    assert [tick.words for tick in chart.x_ticks] == ["first"]


def test_a_chart_of_nothing_is_drawn_all_the_same() -> None:
    assert stacked(WORDS, EDGES, []).bars == []


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_evenly_apart_between_the_ends(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)

    steps = [after - before for before, after in pairwise(ticks)]
    assert 1 <= len(ticks) <= 8
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    assert all(math.isclose(step, steps[0], rel_tol=1e-3) for step in steps)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-2, 2, [-2, -1, 0, 1, 2]), (0.7, 0.99, [0.7, 0.75, 0.8, 0.85, 0.9, 0.95])],
)  # fmt: skip
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == ticks
