import pytest

from benchmarks.rows import HEAD, Goal, Row, at_least, at_most, not_installed

MET, MISSED = Goal("a", met=True), Goal("b", met=False)


def test_a_row_is_a_line_of_the_table_with_a_cell_for_each_heading() -> None:
    row = Row("packs", "9 samples/s", "npy 3", 3.0, at_least(3.0, 8))

    assert str(row) == "| packs | 9 samples/s | npy 3 | 3 | >= 8x | **missed** |"
    assert str(row).count("|") == HEAD.splitlines()[0].count("|")


def test_a_row_without_peer_and_goal_leaves_their_cells_empty() -> None:
    assert str(Row("packs", "9", not_installed("sep"))) == (
        "| packs | 9 | sep: peer not installed |  |  |  |"
    )


def test_a_bar_in_a_text_starts_no_cell() -> None:
    assert r"a \| b" in str(Row("a | b", "1"))


@pytest.mark.parametrize(
    ("ratio", "shown"), [(0.0047, "0.0047"), (12.34, "12.3"), (123.4, "123"), (52_908.0, "52,908")]
)
def test_a_ratio_shows_three_digits_or_all_before_the_point(ratio: float, shown: str) -> None:
    assert f"| {shown} |" in str(Row("a", "1", "2", ratio))


@pytest.mark.parametrize(
    ("goal", "text", "met"),
    [
        (at_least(8.0, 8), ">= 8x", True),
        (at_least(7.9, 8), ">= 8x", False),
        (at_most(33.0, 33, "%"), "<= 33%", True),
        (at_most(0.51, 0.5, "s"), "<= 0.5 s", False),
        (at_least(700, 600, "samples/CPU-s"), ">= 600 samples/CPU-s", True),
    ],
)
def test_a_bound_itself_is_within_the_goal(goal: Goal, text: str, *, met: bool) -> None:
    assert goal == Goal(text, met)


@pytest.mark.parametrize(
    ("one", "other", "met"), [(MET, MET, True), (MET, MISSED, False), (MISSED, MET, False)]
)
def test_two_goals_are_met_together_or_not(one: Goal, other: Goal, *, met: bool) -> None:
    assert one & other == Goal(f"{one.text}, {other.text}", met)
