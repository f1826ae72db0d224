"""A place on the sky has one split, for ever, wherever and whenever it is seen."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_training.params import SplitPolicy
from astrid_training.sky import close_pairs, unit_vectors
from astrid_training.splits import (
    QUARANTINE,
    Assignment,
    LedgerMember,
    assign_splits,
    hashed_split,
    link_radius,
)

POLICY = SplitPolicy()


def assign(
    ra: Sequence[float],
    dec: Sequence[float],
    ledger: Sequence[LedgerMember] = (),
    *,
    radius: float = 1.5,
    prefix: str = "key",
) -> list[Assignment]:
    keys = [f"{prefix}{n:03d}" for n in range(len(ra))]
    times = list(range(len(ra)))
    reach = np.full(len(ra), radius)
    return assign_splits(keys, np.array(ra), np.array(dec), reach, times, ledger, POLICY)


def ledger_of(ra: Sequence[float], dec: Sequence[float]) -> list[LedgerMember]:
    return [
        LedgerMember(f"key{n:03d}", one.group_key, one.split, ra[n], dec[n], 1.5)
        for n, one in enumerate(assign(ra, dec))
    ]


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        pytest.param([10, 10 + 1.2 / 3600], [0, 0], id="equator"),
        pytest.param([359.9999, 0.0001], [5, 5], id="RA wrap"),
        pytest.param([0, 180], [89.9999, 89.9999], id="pole"),
    ],
)
def test_neighbours_are_one_group(ra: list[float], dec: list[float]) -> None:
    one, other = assign(ra, dec)

    assert one == other


def test_a_chain_of_neighbours_is_one_group() -> None:
    step = 1.4 / 3600

    groups = assign([0, 0, 0, 0], [0, step, 2 * step, 2 * step + 0.01])

    assert groups[0] == groups[1] == groups[2]
    assert groups[3].group_key != groups[0].group_key


def test_wide_psfs_link_wider() -> None:
    ra, dec = [0.0, 0.0], [0, 3 / 3600]
    (radius,) = link_radius(np.array([4.5]))

    one, other = assign(ra, dec, radius=radius)

    assert one == other
    assert len({each.group_key for each in assign(ra, dec)}) == 2


def test_the_hash_keeps_the_ratios() -> None:
    splits = [hashed_split(POLICY, f"group{n}") for n in range(20_000)]

    assert splits.count("train") / 20_000 == pytest.approx(0.8, abs=0.01)
    assert splits.count("val") / 20_000 == pytest.approx(0.1, abs=0.01)


def test_other_ratios_are_another_policy() -> None:
    assert SplitPolicy(train=0.6, val=0.2, test=0.2).salt != POLICY.salt


def test_the_ledger_wins_over_the_hash() -> None:
    other = {"train": "test", "val": "train", "test": "train"}
    (natural,) = assign([10], [10])
    kept = LedgerMember("k", natural.group_key, other[natural.split], 10, 10, 1.5)

    (found,) = assign([10 + 0.5 / 3600], [10], [kept])

    assert found == Assignment(natural.group_key, other[natural.split], known=True)


def test_a_bridge_between_two_splits_is_quarantined_and_moves_nothing_else() -> None:
    step = 1.4 / 3600
    ends = [
        LedgerMember("end000", "A", "train", 0, 0, 1.5),
        LedgerMember("end001", "B", "test", 0, 2 * step, 1.5),
    ]

    (bridge,) = assign([0], [step], ends)
    old = assign([0, 0], [0, 2 * step], ends, prefix="end")

    assert bridge.split == QUARANTINE
    assert [one.split for one in old] == ["train", "test"]


coordinates = st.lists(
    st.tuples(st.floats(0, 0.004), st.floats(-0.002, 0.002)), min_size=1, max_size=30, unique=True
)


@settings(max_examples=60, deadline=None)
@given(coordinates, coordinates, st.sampled_from([0.0, 180.0, 359.998]))
def test_more_data_moves_no_old_sample_and_no_group_has_two_splits(
    old: list[tuple[float, float]], new: list[tuple[float, float]], turn: float
) -> None:
    ra = [(x + turn) % 360 for x, _ in [*old, *new]]
    dec = [y for _, y in [*old, *new]]
    n = len(old)
    ledger = ledger_of(ra[:n], dec[:n])

    grown = assign(ra, dec, ledger)

    for before, after in zip(ledger, grown[:n], strict=True):
        assert after.split == before.split
    vectors = unit_vectors(ra, dec)
    pairs, _ = close_pairs(vectors, np.full(len(ra), 1.5))
    for first, second in pairs:
        splits = {grown[first].split, grown[second].split} - {QUARANTINE}
        assert len(splits) <= 1
