from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from astrid_training import batches
from astrid_training.batches import BUILT_STAMPS, READY, build_batches, reuse_batches
from astrid_training.packs import read_table
from astrid_training.store import Store

DAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


def _ready(counts: Sequence[int], size: int = 1, *, one_reference: bool = False) -> pa.Table:
    """Return rows of exposures with so many samples each, the last exposure first."""
    rows: list[dict[str, Any]] = []
    for exposure, count in reversed(list(enumerate(counts))):
        for number in range(count):
            reference = "raw/reference" if one_reference else f"raw/reference{exposure:03d}"
            rows.append(
                {
                    "sample_key": f"{exposure:03d}-{number:03d}",
                    "observation_id": f"exposure{exposure:03d}",
                    "science_path": f"raw/{exposure:03d}",
                    "science_size": size,
                    "reference_path": reference,
                    "reference_size": size,
                    "code": 1,
                    "moving": False,
                }
            )
    return pa.Table.from_pylist(rows, schema=READY)


def _built(packs: Sequence[tuple[str, int]]) -> pa.Table:
    """Return rows of built samples; the packs came in this order, a day after the other."""
    rows = [
        {
            "sample_key": f"{name}-{row:03d}",
            "image_pack": name,
            "pack_row": row,
            "at": DAY + timedelta(days=day),
            "observation_id": name,
            "code": 1,
            "moving": False,
        }
        for day, (name, count) in enumerate(packs)
        for row in range(count)
    ]
    return pa.Table.from_pylist(rows[::-1], schema=BUILT_STAMPS)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([], []),
        ([3], [3]),
        ([4, 4, 4], [8, 4]),
        ([4, 5, 1], [4, 6]),
        ([20, 1, 7], [20, 8]),
    ],
)
def test_a_batch_holds_whole_exposures_up_to_its_samples(
    store: Store, counts: list[int], expected: list[int]
) -> None:
    made = build_batches(store, _ready(counts), batch_samples=8)

    assert [one.samples for one in made] == expected
    assert sum(one.exposures for one in made) == len(counts)


def test_what_lies_together_in_a_batch_is_sorted_by_exposure_and_sample(store: Store) -> None:
    (one,) = build_batches(store, _ready([3, 2]), batch_samples=8)

    keys = read_table(store, "targets", one.targets)["sample_key"].to_pylist()
    assert keys == sorted(keys)
    assert read_table(store, "labels", one.labels)["sample_key"].to_pylist() == keys


def test_a_batch_fetches_no_more_than_its_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 40)

    made = build_batches(store, _ready([1] * 5, size=10), batch_samples=1000)

    assert [one.source_bytes for one in made] == [40, 40, 20]


def test_a_file_that_exposures_share_counts_once_a_batch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 40)

    made = build_batches(store, _ready([1] * 5, size=10, one_reference=True), batch_samples=1000)

    assert [(one.exposures, one.source_bytes) for one in made] == [(3, 40), (2, 30)]


def test_built_stamps_come_in_whole_packs_in_the_order_in_which_they_were_built(
    store: Store,
) -> None:
    made = reuse_batches(store, _built([("d", 6), ("a", 3), ("c", 4), ("b", 2)]), batch_samples=8)

    packs = [read_table(store, "stamps", one.targets)["image_pack"].to_pylist() for one in made]
    assert packs == [["d"] * 6, ["a"] * 3 + ["c"] * 4, ["b"] * 2]


def test_a_pack_with_more_samples_than_a_batch_is_cut(store: Store) -> None:
    made = reuse_batches(store, _built([("a", 20)]), batch_samples=8)

    assert [one.samples for one in made] == [8, 8, 4]


def test_packs_that_come_later_leave_the_earlier_batches_as_they_were(store: Store) -> None:
    packs = [("d", 6), ("b", 7), ("c", 5)]
    first = reuse_batches(store, _built(packs), batch_samples=8)

    later = reuse_batches(store, _built([*packs, ("a", 5), ("e", 1)]), batch_samples=8)

    assert later[: len(first)] == first


def test_equal_rows_make_equal_batches_whatever_pieces_the_table_is_made_of(store: Store) -> None:
    whole = _ready([3, 2, 4])
    pieces = pa.concat_tables([whole.slice(start, 2) for start in range(0, whole.num_rows, 2)])

    assert build_batches(store, pieces, 4) == build_batches(store, whole, 4)
