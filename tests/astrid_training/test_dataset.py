"""The loader hands out the pixels that were published, in batches, in any worker, or fails."""

import dataclasses
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.utils.data import DataLoader, Subset

import astrid_training
from astrid_training.dataset import Batch, Sample, TrainingSplits, collate, splits_from
from astrid_training.errors import MissingObjectError, ParityError, StoreCorruptError
from astrid_training.packs import pack_key
from astrid_training.store import Store

INNER = slice(4, 68)  # of a 72 px stamp: the 64 px that a network sees


@pytest.fixture(scope="module")
def splits(published: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainingSplits:
    return splits_from(published.record, published.store, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def copy(published: Any, tmp_path: Path) -> Store:
    """A copy of the published store that a test may damage."""
    shutil.copytree(published.store.local_path(""), tmp_path / "store")
    return Store((tmp_path / "store").as_uri())


def test_an_item_is_the_published_sample(published: Any, splits: TrainingSplits) -> None:
    rows = published.samples.to_pylist()
    where = {row["sample_key"]: number for number, row in enumerate(rows)}

    for sample in splits.test:
        number = where[sample.key]
        stored = published.masks[number][INNER, INNER]
        assert_array_equal(sample.image[0], published.images[number, 2][INNER, INNER])
        assert_array_equal(sample.mask[0], np.where(stored == 2, 0, stored))
        assert sample.label == int(rows[number]["is_anomaly"])
        assert sample.weight == pytest.approx(rows[number]["weight"])
    assert set(np.unique(published.masks)) > {0, 1, 2, 255}  # there was a 2 to fold


def test_types_and_shapes_of_an_item(splits: TrainingSplits) -> None:
    image, mask, label, weight, key, _context = splits.train[0]

    assert (image.shape, image.dtype) == ((1, 64, 64), torch.float32)
    assert (mask.shape, mask.dtype) == ((1, 64, 64), torch.uint8)
    assert set(np.unique(mask).tolist()) <= {0, 1, 255}
    assert (label.dtype, weight.dtype) == (torch.int64, torch.float32)
    assert isinstance(key, str)


def test_every_sample_but_the_quarantined_is_in_its_own_split(
    published: Any, splits: TrainingSplits
) -> None:
    for name, split in zip(("train", "val", "test"), splits, strict=True):
        rows = [row for row in published.samples.to_pylist() if row["split"] == name]
        assert split.keys == [row["sample_key"] for row in rows]
        assert split.classes == [row["anomaly_type"] for row in rows]
        assert split.labels.tolist() == [int(row["is_anomaly"]) for row in rows]
        assert_array_equal(split.weights, np.array([row["weight"] for row in rows], np.float32))
        assert split.table.num_rows == len(split)
    assert sum(map(len, splits)) == published.record.total_samples - 1


@pytest.mark.parametrize(
    ("channels", "planes"),
    [
        (("science",), [0]),
        (("difference", "science"), [2, 0]),
        (("science", "difference", "reference"), [0, 2, 1]),
    ],
)
def test_channels_come_as_asked(
    published: Any, tmp_path: Path, channels: Any, planes: list[int]
) -> None:
    train = splits_from(published.record, published.store, tmp_path, channels).train

    number = published.samples["sample_key"].to_pylist().index(train.keys[3])
    assert_array_equal(train[3].image, published.images[number][planes][:, INNER, INNER])


def test_a_channel_that_is_not_stored_is_refused(published: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dataset stores science, reference, difference"):
        splits_from(published.record, published.store, tmp_path, ("variance",))  # type: ignore[arg-type]


def _epoch(loader: DataLoader[Any]) -> dict[str, tuple[Any, ...]]:
    seen = {}
    for batch in loader:
        assert isinstance(batch, Batch)
        for image, mask, label, weight, key in zip(*batch[:5], strict=True):
            seen[key] = (image.sum().item(), int(mask.sum()), int(label), float(weight))
    return seen


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param({"num_workers": 0}, id="in process"),
        pytest.param({"num_workers": 2, "multiprocessing_context": "fork"}, id="fork"),
        pytest.param({"num_workers": 1, "multiprocessing_context": "spawn"}, id="spawn"),
    ],
)
def test_a_plain_data_loader_gives_every_sample_once(
    splits: TrainingSplits, workers: dict[str, Any]
) -> None:
    train = splits.train
    one_by_one = {s.key: (s.image.sum().item(), int(s.mask.sum())) for s in train}
    loader: DataLoader[Any] = DataLoader(train, batch_size=32, shuffle=True, **workers)

    seen = _epoch(loader)

    assert {key: values[:2] for key, values in seen.items()} == {
        key: (pytest.approx(image, rel=1e-5), mask) for key, (image, mask) in one_by_one.items()
    }


def test_a_batch_keeps_the_order_that_was_asked_for(splits: TrainingSplits) -> None:
    order = [5, 0, 41, 5, -1]

    batch = collate(splits.train.__getitems__(order))

    assert batch.key == tuple(splits.train.keys[index] for index in order)
    for slot, index in enumerate(order):
        assert_array_equal(batch.image[slot], splits.train[index].image)


def test_collating_single_samples_equals_the_stacked_batch(splits: TrainingSplits) -> None:
    stacked = splits.train.__getitems__(range(6))

    by_hand, at_once = collate([splits.train[i] for i in range(6)]), collate(stacked)

    for one, other in zip(by_hand[:4], at_once[:4], strict=True):
        assert one.dtype == other.dtype
        assert_array_equal(one, other)
    assert by_hand.key == at_once.key
    assert list(stacked)[2].key == by_hand.key[2]


def test_a_subset_is_batched_too(splits: TrainingSplits) -> None:
    loader: DataLoader[Any] = DataLoader(Subset(splits.train, [7, 3]), batch_size=2)

    assert next(iter(loader)).key == (splits.train.keys[7], splits.train.keys[3])


def test_changing_an_item_changes_no_file(splits: TrainingSplits) -> None:
    before = splits.val[0].image.clone()

    splits.val[0].image.zero_()

    assert_array_equal(splits.val[0].image, before)


def test_a_pickled_dataset_carries_paths_and_no_pixels(splits: TrainingSplits) -> None:
    first = splits.train[0]  # maps a pack

    pickled = pickle.dumps(splits.train)
    again = pickle.loads(pickled)

    assert len(pickled) < 400_000
    assert_array_equal(again[0].image, first.image)


def test_an_index_beyond_the_end_is_an_index_error(splits: TrainingSplits) -> None:
    with pytest.raises(IndexError):
        splits.val[len(splits.val)]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_missing_pack_fails_the_load(
    published: Any, copy: Store, tmp_path: Path, kind: str
) -> None:
    digest = published.samples[f"{kind[:-1]}_pack"][0].as_py()
    copy.delete(pack_key(kind, digest))

    with pytest.raises(MissingObjectError, match=digest):
        splits_from(published.record, copy, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_truncated_pack_fails_the_load(
    published: Any, copy: Store, tmp_path: Path, kind: str
) -> None:
    key = pack_key(kind, published.samples[f"{kind[:-1]}_pack"][0].as_py())
    copy.put(key, copy.get(key)[:-100])

    with pytest.raises(StoreCorruptError, match="no readable pack"):
        splits_from(published.record, copy, tmp_path / "cache")


def test_a_pack_of_another_shape_fails_the_load(
    published: Any, copy: Store, tmp_path: Path
) -> None:
    images, masks = (published.samples[f"{kind}_pack"][0].as_py() for kind in ("image", "mask"))
    copy.put(pack_key("images", images), copy.get(pack_key("masks", masks)))

    with pytest.raises(StoreCorruptError, match="needs 37 rows of float32"):
        splits_from(published.record, copy, tmp_path / "cache")


def test_a_missing_samples_table_fails_the_load(
    published: Any, copy: Store, tmp_path: Path
) -> None:
    copy.delete(published.record.samples_key)

    with pytest.raises(MissingObjectError, match="restore it"):
        splits_from(published.record, copy, tmp_path / "cache")


def test_pixels_prepared_in_another_way_are_refused(published: Any, tmp_path: Path) -> None:
    older = dataclasses.replace(published.record, spec_fingerprint="f" * 64)

    with pytest.raises(ParityError, match="expected spec ffffffffffff"):
        splits_from(older, published.store, tmp_path)


def test_the_package_offers_the_loader_by_name() -> None:
    for name in astrid_training.__all__:
        assert getattr(astrid_training, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'load_dataset'"):
        getattr(astrid_training, "load_dataset")  # noqa: B009 - mypy sees that it is not there


LIGHT = """
import pickle, sys
import astrid_training
assert "torch" not in sys.modules, "importing the package imports torch"
from astrid_training.dataset import load_training_dataset, splits_from
from astrid_training.store import Store
from pathlib import Path
record = pickle.loads(Path(sys.argv[1]).read_bytes())
splits = splits_from(record, Store(sys.argv[2]), Path(sys.argv[3]))
assert len(splits.train[0].key) == 32
print(sorted({"prefect", "mlflow", "matplotlib"} & sys.modules.keys()))
"""


def test_a_load_imports_neither_prefect_nor_mlflow(published: Any, tmp_path: Path) -> None:
    record = tmp_path / "record.pickle"
    record.write_bytes(pickle.dumps(published.record))

    done = subprocess.run(
        [sys.executable, "-c", LIGHT, record, published.store.url, tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_sample_unpacks_in_the_documented_order() -> None:
    assert Sample._fields == ("image", "mask", "label", "weight", "key", "context")


def test_a_dataset_of_a_newer_format_is_refused(published: Any, tmp_path: Path) -> None:
    newer = dataclasses.replace(
        published.record, format_version=published.record.format_version + 1
    )

    with pytest.raises(StoreCorruptError, match="load it with the version"):
        splits_from(newer, published.store, tmp_path)
