"""A stream gives every sample once an epoch, in an order that can be had again and resumed."""

from itertools import chain
from typing import Any

import pytest
import torch
from numpy.testing import assert_array_equal
from torch.utils.data import DataLoader

from astrid_training.augment import Augmentation
from astrid_training.dataset import Batch, splits_from
from astrid_training.streaming import Share, TrainingStream, stream_from

WHOLE = Share(0, 1)


def _stream(published: Any, share: Share = WHOLE, **more: Any) -> TrainingStream:
    sizes: dict[str, Any] = {"batch_size": 16, "packs_at_once": 2} | more
    return stream_from(published.record, published.store, share=share, **sizes)


def _keys(batches: Any) -> list[str]:
    return [key for batch in batches for key in batch.key]


def _train_keys(published: Any) -> list[str]:
    rows = published.samples.to_pylist()
    return sorted(row["sample_key"] for row in rows if row["split"] == "train")


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_over_all_ranks_every_sample_comes_once(published: Any, ranks: int) -> None:
    shares = [_keys(_stream(published, Share(rank, ranks))) for rank in range(ranks)]

    assert sorted(chain.from_iterable(shares)) == _train_keys(published)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_over_ranks_and_spawned_workers_every_sample_comes_once(published: Any) -> None:
    loader: DataLoader[Batch] = DataLoader(
        _stream(published, Share(1, 2)),
        batch_size=None,
        num_workers=2,
        multiprocessing_context="spawn",
        timeout=60,
    )
    of_the_other = _keys(_stream(published, Share(0, 2)))

    assert sorted([*_keys(loader), *of_the_other]) == _train_keys(published)


def test_the_same_seed_and_epoch_give_the_same_order_and_others_do_not(published: Any) -> None:
    stream = _stream(published)
    first, again = _keys(stream), _keys(_stream(published))
    stream.set_epoch(1)

    assert first == again
    assert _keys(stream) != first
    assert _keys(_stream(published, seed=1)) != first


@pytest.mark.parametrize("skipped", [1, 4, 8])
def test_a_stream_goes_on_behind_the_batches_that_were_had(published: Any, skipped: int) -> None:
    whole = [batch.key for batch in _stream(published)]
    stream = _stream(published)
    stream.set_epoch(0, skip_batches=skipped)

    assert [batch.key for batch in stream] == whole[skipped:]
    assert len(_stream(published)) == len(whole)


@pytest.mark.parametrize("augmentation", [None, Augmentation(shift_px=4)])
def test_a_stream_gives_what_the_dataset_gives(
    published: Any, tmp_path: Any, augmentation: Augmentation | None
) -> None:
    train = splits_from(
        published.record, published.store, tmp_path, augmentation=augmentation
    ).train
    at = {key: number for number, key in enumerate(train.keys)}

    for batch in _stream(published, augmentation=augmentation):
        expected = train.__getitems__([at[key] for key in batch.key]).batch
        for one, other in zip(batch[:4], expected[:4], strict=True):
            assert_array_equal(one, other)


def test_a_forked_worker_is_refused_with_the_cure(published: Any) -> None:
    stream = _stream(published)
    next(iter(stream))
    loader: DataLoader[Batch] = DataLoader(
        stream, batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=60
    )

    with pytest.raises(RuntimeError, match='multiprocessing_context="spawn"'):
        next(iter(loader))


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_a_copy_made_by_the_client_of_the_store_in_this_process(
    published: Any, tmp_path: Any, context: str
) -> None:
    train = splits_from(published.record, published.store, tmp_path, in_place=False).train
    loader: DataLoader[Batch] = DataLoader(
        train,  # type: ignore[arg-type]  # torch's collate makes batches of samples
        batch_size=32,
        num_workers=2,
        multiprocessing_context=context,
        timeout=60,
    )

    assert sorted(_keys(loader)) == _train_keys(published)


def test_a_batch_moves_as_a_whole(published: Any) -> None:
    batch = next(iter(_stream(published)))

    moved = batch.to("meta", non_blocking=True)

    tensors = (*moved[:4], *moved.context[1:])
    assert all(isinstance(each, torch.Tensor) and each.is_meta for each in tensors)
    assert (moved.key, moved.context.survey) == (batch.key, batch.context.survey)
