"""Samples of a dataset become a dataset of their own; what was revoked does not come back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.dataset import splits_from
from astrid_training.errors import DatasetRevokedError
from astrid_training.publish import CollectionGateError
from astrid_training.records import PublishedDataset, TrainingSample
from astrid_training.samples import read_samples

Collect = Callable[..., PublishedDataset]


@pytest.fixture
def manager(sky: Any) -> TrainingDatasetManager:
    return TrainingDatasetManager(sky.engine, sky.store, sky.packs)


def chosen(
    manager: TrainingDatasetManager, published: PublishedDataset
) -> tuple[list[TrainingSample], list[TrainingSample]]:
    """Return all samples, and those of the first two nights."""
    every = manager.samples(manager.get_dataset(published.dataset_id))
    nights = sorted({sample.metadata["observation_time"][:10] for sample in every})
    return every, [s for s in every if s.metadata["observation_time"][:10] in nights[:2]]


def test_chosen_samples_keep_their_pixels_labels_and_splits(
    sky: Any, collect: Collect, manager: TrainingDatasetManager
) -> None:
    published = collect()
    every, some = chosen(manager, published)
    assert 0 < len(some) < len(every)

    created = manager.create_dataset(some, "two nights", created_by="ada")

    origin, record = manager.get_dataset(published.dataset_id), manager.get_dataset("two nights")
    assert str(record.id) == created
    assert record.derived_from == origin.id
    assert (record.created_by, record.parent_id, record.as_of) == ("ada", None, origin.as_of)
    old, new = (read_samples(sky.store, one.samples_key) for one in (origin, record))
    assert new.column_names == old.column_names
    for name in (
        "image_digest",
        "mask_digest",
        "p_real",
        "votes",
        "split",
        "image_pack",
        "mask_row",
    ):
        before = dict(zip(old["sample_key"].to_pylist(), old[name].to_pylist(), strict=True))
        after = dict(zip(new["sample_key"].to_pylist(), new[name].to_pylist(), strict=True))
        assert after == {sample.sample_key: before[sample.sample_key] for sample in some}
    assert record.digests["content"] != origin.digests["content"]
    assert record.digests["query"] != origin.digests["query"]
    assert len(splits_from(record, sky.store, sky.home / "cache").train) == record.splits["train"]


def test_those_that_were_not_chosen_are_in_the_funnel_and_it_adds_up(
    sky: Any, collect: Collect, manager: TrainingDatasetManager
) -> None:
    every, some = chosen(manager, collect())

    created = manager.create_dataset(some, "two nights")

    funnel = {row.reason: row.count for row in manager.get_dataset(created).funnel}
    assert funnel == {
        "selected": len(every),
        "not_chosen": len(every) - len(some),
        "kept": len(some),
    }
    with sky.engine.connect() as connection:
        rejected = connection.execute(
            text("SELECT reason FROM training_rejects WHERE CAST(dataset_id AS text) = :id"),
            {"id": created},
        ).scalars()
        assert list(rejected) == ["not_chosen"] * (len(every) - len(some))


def test_the_same_choice_again_is_the_same_dataset_and_another_supersedes_it(
    collect: Collect, manager: TrainingDatasetManager
) -> None:
    every, some = chosen(manager, collect())
    first = manager.create_dataset(some, "chosen")

    assert manager.create_dataset(some[::-1], "chosen") == first
    second = manager.create_dataset(every, "chosen")

    assert str(manager.get_dataset(second).parent_id) == first
    assert manager.get_dataset(first).status == "superseded"
    told = manager.events(first)
    version = manager.get_dataset(second).version_id
    assert [(event.event, event.reason) for event in told] == [
        ("superseded", f"version {version} was published")
    ]


def test_a_choice_is_judged_by_the_gates(
    sky: Any, collect: Collect, manager: TrainingDatasetManager
) -> None:
    _, some = chosen(manager, collect())
    real = [sample for sample in some if sample.labels["is_anomaly"]]

    with pytest.raises(CollectionGateError, match="0 rejected detections"):
        manager.create_dataset(real, "only real", allow_one_class=False)

    with sky.engine.connect() as connection:
        names = connection.execute(text("SELECT name FROM training_datasets")).scalars()
        assert "only real" not in set(names)
    assert manager.create_dataset(real, "only real", allow_one_class=True)


def test_samples_that_are_not_of_one_dataset_are_refused(
    collect: Collect, manager: TrainingDatasetManager
) -> None:
    _, some = chosen(manager, collect())
    _, others = chosen(manager, collect(name="other", bands=["ztf_r"]))

    with pytest.raises(ValueError, match="samples of 2 datasets; give samples of one published"):
        manager.create_dataset([*some, *others], "mixed")
    with pytest.raises(ValueError, match="0 samples of 0 datasets"):
        manager.create_dataset([], "nothing")
    with pytest.raises(ValueError, match="1 samples twice, 0 not of dataset"):
        manager.create_dataset([*some, some[0]], "twice")
    with pytest.raises(ValueError, match="bands say how samples are made"):
        manager.create_dataset(some, "other", bands=["ztf_r"])


def test_nothing_is_chosen_from_what_was_revoked(
    collect: Collect, manager: TrainingDatasetManager
) -> None:
    published = collect()
    _, some = chosen(manager, published)
    child = manager.create_dataset(some, "child")

    manager.revoke(published.dataset_id, "wrong masks", "eve")

    with pytest.raises(DatasetRevokedError, match="by eve"):
        manager.create_dataset(some, "late")
    kin = manager.kin(manager.get_dataset(published.dataset_id, allow_revoked=True))
    assert [str(one.id) for one in kin] == [child]


def test_a_schedule_does_not_bring_back_what_was_revoked(
    collect: Collect, manager: TrainingDatasetManager
) -> None:
    first = collect()
    manager.revoke(first.dataset_id, "wrong masks", "eve")

    with pytest.raises(DatasetRevokedError, match="exactly this content was dataset"):
        collect()

    again = collect(name="knowingly")
    assert again.version_id == first.version_id
    assert again.dataset_id != first.dataset_id


def test_leftovers_are_stamps_that_no_dataset_holds(
    sky: Any, collect: Collect, manager: TrainingDatasetManager
) -> None:
    now = timedelta(seconds=-60)

    def entries() -> int:
        with sky.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT count(*) FROM training_image_catalogue WHERE image_pack IS NOT NULL")
            )
            return int(rows.scalar_one())

    with pytest.raises(CollectionGateError):
        collect(quality_score_threshold=1.0, bands=["ztf_g"])
    built = entries()
    assert manager.delete_leftovers(now) == built
    assert manager.delete_leftovers() == 0  # none is 30 days old
    assert entries() == built

    assert manager.delete_leftovers(now, dry_run=False) == built
    assert entries() == 0
    published = collect()
    kept = entries()

    assert manager.delete_leftovers(now, dry_run=False) == 0
    assert entries() == kept >= published.total_samples
    assert collect().reused
