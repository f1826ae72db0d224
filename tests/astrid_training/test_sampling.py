"""A cap takes the same subjects each time, and as evenly as there are any."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_training.params import SplitPolicy
from astrid_training.problems import Problems, first_problems
from astrid_training.sampling import take_evenly
from astrid_training.splits import hashed_split

STRATA = ["ztf|bogus"] * 60 + ["ztf|supernova"] * 30 + ["hst|asteroid"] * 5
GROUPS = [f"group-{n // 2}" for n in range(95)]
KEYS = [f"{n:04d}" for n in range(95)]


def taken(limit: int, order: list[int] | None = None) -> set[str]:
    order = order or list(range(95))
    chosen = take_evenly(
        [STRATA[n] for n in order], [GROUPS[n] for n in order], [KEYS[n] for n in order], "s", limit
    )
    return {KEYS[n] for n, one in zip(order, chosen, strict=True) if one}


@settings(deadline=None)  # on a busy machine any time can pass
@given(st.integers(1, 120))
def test_as_many_as_asked_are_taken_and_a_larger_limit_only_adds(limit: int) -> None:
    assert len(taken(limit)) == min(limit, 95)
    assert taken(limit) <= taken(limit + 7)


@settings(deadline=None)  # on a busy machine any time can pass
@given(st.permutations(list(range(95))))
def test_the_order_of_the_subjects_does_not_matter(order: list[int]) -> None:
    assert taken(20, order) == taken(20)


def test_strata_share_alike_until_one_is_used_up() -> None:
    counts = Counter(STRATA[KEYS.index(key)] for key in taken(45))

    assert counts == {"ztf|bogus": 20, "ztf|supernova": 20, "hst|asteroid": 5}


def test_neither_the_first_nor_the_last_keys_are_preferred() -> None:
    numbers = sorted(int(key) for key in taken(30))

    assert numbers[0] < 30
    assert numbers[-1] > 60
    assert numbers != list(range(numbers[0], numbers[0] + 30))


def test_the_first_problem_that_holds_is_told_with_its_facts() -> None:
    problems: Problems = {
        "first": (np.array([True, False, False]), "always so"),
        "second": (np.array([True, True, False]), lambda n: f"subject {n}"),
    }

    reasons, details = first_problems(problems, 3)

    assert reasons == ["first", "second", None]
    assert details == ["always so", "subject 1", None]


def test_a_cap_takes_as_much_of_each_split_as_of_all() -> None:
    policy = SplitPolicy()
    groups = [f"{n / 100:.5f}+01.00000" for n in range(4000)]
    split = np.array([hashed_split(policy, group) for group in groups])

    chosen = take_evenly(["one"] * 4000, groups, groups, policy.salt, 1000)

    for name in ("train", "val", "test"):
        assert 0.2 < chosen[split == name].mean() < 0.3
