"""Limits of negatives: none ever costs a real one, and none judges a model unless it may."""

from collections import Counter

import pyarrow as pa
import pytest

from astrid_training.digests import sample_key, unit_hash
from astrid_training.negatives import cap_rejected, hold_back
from astrid_training.params import NegativesRule, TrainingDataCollectionParams
from astrid_training.selection import SELECTION
from astrid_training.splits import Assignment

SALT = "sky-v1"


def selection(reals: int, rejected: int, dropped: int = 0) -> pa.Table:
    """Return kept reals and rejected ones, and rejected ones that left already."""
    rows = [
        {
            "sample_key": sample_key("det", str(n)),
            "group_key": f"group {n}",
            "is_anomaly": n < reals,
            "reason": "ambiguous" if n >= reals + rejected else None,
        }
        for n in range(reals + rejected + dropped)
    ]
    return pa.Table.from_pylist(rows, schema=SELECTION)


def kept(table: pa.Table) -> list[str]:
    rows = table.to_pylist()
    return [row["sample_key"] for row in rows if row["reason"] is None and not row["is_anomaly"]]


def capped(table: pa.Table, share: float | None) -> pa.Table:
    negatives = NegativesRule(bogus_per_real=share)
    return cap_rejected(table, TrainingDataCollectionParams(negatives=negatives))


@pytest.mark.parametrize(
    ("share", "left"), [(1.0, 10), (0.5, 5), (2.5, 25), (0.0, 0), (9.0, 40), (None, 40)]
)
def test_rejected_ones_are_so_many_per_real_one_and_no_real_one_leaves(
    share: float | None, left: int
) -> None:
    table = capped(selection(10, 40, 5), share)

    reasons = Counter(table["reason"].to_pylist())
    assert len(kept(table)) == left
    assert reasons == {None: 10 + left, "ambiguous": 5} | (
        {"beyond_bogus_per_real": 40 - left} if left < 40 else {}
    )


def test_without_a_real_one_all_rejected_ones_stay() -> None:
    assert len(kept(capped(selection(0, 40), 1.0))) == 40


def test_more_reals_only_add_rejected_ones() -> None:
    many, few = selection(20, 40), selection(20, 40)
    few = few.filter(pa.array([n != 3 for n in range(60)]))

    assert set(kept(capped(few, 1.0))) <= set(kept(capped(many, 1.0)))


def held(
    sources: list[str], splits: list[str], rule: NegativesRule | None = None
) -> list[Assignment]:
    samples = pa.table(
        {
            "label_source": sources,
            "sample_key": [sample_key("det", str(n)) for n in range(len(sources))],
        }
    )
    assignments = [Assignment(f"g{n}", split, known=False) for n, split in enumerate(splits)]
    return hold_back(samples, assignments, rule or NegativesRule(), SALT)


def test_injected_sources_train_and_never_judge() -> None:
    splits = ["train", "val", "test", "quarantine"]

    found = held(["injected"] * 4, splits)

    assert [one.split for one in found] == ["train", "quarantine", "quarantine", "quarantine"]
    assert [one.reason for one in found[:3]] == [None, "injected_held_back", "injected_held_back"]
    assert [one.known for one in found] == [False, True, True, False]  # no ledger row for them


def test_injected_sources_judge_when_asked_for() -> None:
    found = held(["injected"] * 2, ["val", "test"], NegativesRule(injected_in_test=True))

    assert [one.split for one in found] == ["val", "test"]


def test_people_s_labels_are_never_held_back() -> None:
    splits = ["train", "val", "test"] * 5

    assert [one.split for one in held(["human", "machine", "human"] * 5, splits)] == splits


@pytest.mark.parametrize("split", ["val", "test"])
def test_sky_is_at_most_its_share_of_a_judging_split(split: str) -> None:
    sources = ["human"] * 70 + ["sky"] * 50

    found = [one.split for one in held(sources, [split] * 120)]

    assert found[:70] == [split] * 70
    assert Counter(found[70:]) == {split: 30, "quarantine": 20}


def test_sky_trains_in_any_number() -> None:
    assert {one.split for one in held(["sky"] * 9, ["train"] * 9)} == {"train"}


def test_capped_rejected_ones_are_not_those_of_one_split() -> None:
    table = selection(200, 800)
    salt = TrainingDataCollectionParams().split.salt
    ranks = {
        row["sample_key"]: unit_hash(salt, row["group_key"])  # by it the split is decided
        for row in table.to_pylist()
        if not row["is_anomaly"]
    }

    stay = [ranks[key] for key in kept(capped(table, 1.0)) if key in ranks]

    assert len(stay) == 200
    assert 0.4 < sum(stay) / 200 < 0.6
