"""Every selected subject has one outcome; else nothing is published."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.assemble import check_funnel
from astrid_training.errors import FunnelError
from astrid_training.records import FunnelRow, Reject, count_rejects

keys = st.lists(st.text("abcdef", min_size=3, max_size=6), unique=True, max_size=20)


def reject(key: str, reason: str = "edge") -> Reject:
    return Reject(key, "preprocess", reason)


@given(keys, st.integers(0, 20))
def test_kept_and_rejected_together_are_the_selected(selected: list[str], cut: int) -> None:
    check_funnel(selected, selected[:cut], [reject(key) for key in selected[cut:]])


@pytest.mark.parametrize(
    ("kept", "rejects", "message"),
    [
        (["a"], [], "1 lost"),
        (["a", "b", "b"], [], "1 counted twice"),
        (["a", "b"], [reject("b")], "1 counted twice"),
        (["a", "b"], [reject("z")], "1 from elsewhere"),
    ],
)
def test_what_does_not_add_up_fails_and_is_named(
    kept: list[str], rejects: list[Reject], message: str
) -> None:
    with pytest.raises(FunnelError, match=message):
        check_funnel(["a", "b"], kept, rejects)


def test_rejects_are_counted_by_step_and_reason() -> None:
    rows = count_rejects([reject("a"), reject("b", "constant"), reject("c")])

    assert rows == [FunnelRow("preprocess", "constant", 1), FunnelRow("preprocess", "edge", 2)]
