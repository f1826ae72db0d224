"""An order follows from seed and epoch alone; ranks share it without loss or doubles."""

import subprocess
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_training.samplers import BalancedSampler, EpochSampler, shuffled


def _orders(count: int, world: int, epoch: int = 0, **more: Any) -> list[list[int]]:
    orders = []
    for rank in range(world):
        sampler = EpochSampler(range(count), rank=rank, world=world, **more)  # type: ignore[arg-type]
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert len(orders[-1]) == len(sampler)
    return orders


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 3))
def test_every_sample_comes_once_but_for_a_padding_that_is_told(
    count: int, world: int, epoch: int
) -> None:
    orders = _orders(count, world, epoch)

    counts = Counter(index for order in orders for index in order)
    padding = EpochSampler(range(count), rank=0, world=world).padding  # type: ignore[arg-type]
    assert len({len(order) for order in orders}) == 1
    assert set(counts) == set(range(count))
    assert counts.total() - count == padding < max(1, world)


def test_orders_differ_by_epoch_and_seed_and_repeat() -> None:
    first = _orders(100, 1)[0]

    assert _orders(100, 1)[0] == first
    assert _orders(100, 1, epoch=1)[0] != first
    assert _orders(100, 1, seed=1)[0] != first
    assert _orders(100, 1, shuffle=False)[0] == list(range(100))


def test_ranks_take_turns_in_one_order() -> None:
    whole = _orders(12, 1)[0]

    assert [list(order) for order in zip(*_orders(12, 3), strict=True)] == [
        whole[start : start + 3] for start in range(0, 12, 3)
    ]


def test_an_order_is_the_same_in_any_process_and_version() -> None:
    code = "from astrid_training.samplers import shuffled; print(shuffled(10, 3, 7).tolist())"

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert said.stdout.strip() == str(shuffled(10, 3, 7).tolist())
    assert shuffled(10, 3, 7).tolist() == GOLDEN


GOLDEN = [9, 3, 0, 2, 5, 4, 7, 8, 6, 1]


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_that_cannot_be_is_refused(rank: int, world: int) -> None:
    with pytest.raises(ValueError, match="ranks go from 0"):
        EpochSampler(range(3), rank=rank, world=world)  # type: ignore[arg-type]


def test_the_dataset_hears_of_the_epoch() -> None:
    heard: list[int] = []

    class Listening(list[int]):
        def set_epoch(self, epoch: int) -> None:
            heard.append(epoch)

    EpochSampler(Listening([1, 2])).set_epoch(5)  # type: ignore[arg-type]

    assert heard == [5]


def _split(labels: list[int], split: str = "train") -> Any:
    class Split(SimpleNamespace):
        def __len__(self) -> int:
            return len(labels)

    classes = [f"class {label}" for label in labels]
    return Split(split=split, labels=np.array(labels), classes=classes)


@pytest.mark.parametrize("by", ["label", "class"])
@pytest.mark.parametrize("world", [1, 2])
def test_balanced_classes_come_equally_often(by: Any, world: int) -> None:
    labels = [0] * 38 + [1] * 4

    drawn = [
        index
        for rank in range(world)
        for index in BalancedSampler(_split(labels), by=by, rank=rank, world=world)
    ]

    counts = Counter(labels[index] for index in drawn)
    assert abs(counts[0] - counts[1]) <= 2
    times = Counter(drawn)
    assert max(times[index] for index in range(38)) == 1
    assert {times[index] for index in range(38, 42)} <= {5, 6}


def test_a_balanced_epoch_has_as_many_samples_as_asked() -> None:
    sampler = BalancedSampler(_split([0, 0, 0, 1]), samples=10, seed=4)

    first = list(sampler)
    sampler.set_epoch(1)

    assert len(first) == len(sampler) == 10
    assert list(sampler) != first


@pytest.mark.parametrize("split", ["val", "test"])
def test_val_and_test_are_never_balanced(split: str) -> None:
    with pytest.raises(ValueError, match="balance the train split alone"):
        BalancedSampler(_split([0, 1], split))
