"""Each way in which a sample leaves at the leak gate shows in the funnel, and the splits stay."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from astropy.io import fits
from sqlalchemy import Engine, text

from astrid_training import leaks
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.params import SplitPolicy
from astrid_training.records import PublishedDataset, TrainingDataset
from astrid_training.samples import read_samples
from astrid_training.sky import sky_key
from astrid_training.splits import hashed_split
from astrid_training.store import Store

Collect = Callable[..., PublishedDataset]
TWIN = UUID("7d4e6a52-1111-4c77-9d0a-3a5b8f2f4c11")


def record_of(sky: Any, published: PublishedDataset) -> TrainingDataset:
    return TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)


def samples_of(sky: Any, published: PublishedDataset) -> pa.Table:
    return read_samples(sky.store, record_of(sky, published).samples_key)


def splits_of(sky: Any, published: PublishedDataset) -> dict[str, str]:
    table = samples_of(sky, published)
    return dict(zip(table["sample_key"].to_pylist(), table["split"].to_pylist(), strict=True))


def left_for(sky: Any, published: PublishedDataset, reason: str) -> list[Any]:
    """Return the rejects of a reason; the funnel counts as many, and adds up."""
    with sky.engine.connect() as connection:
        rejects = connection.execute(
            text(
                "SELECT sample_key, step, detail FROM training_rejects "
                "WHERE dataset_id = :id AND reason = :reason"
            ),
            {"id": published.dataset_id, "reason": reason},
        ).all()
    counted = [row.count for row in published.funnel if row.reason == reason]
    assert counted == [len(rejects)]
    selected, *drops, kept = published.funnel
    assert selected.count == kept.count + sum(row.count for row in drops)
    assert kept.count == published.total_samples
    return list(rejects)


def test_training_stamps_that_share_pixels_are_set_aside_and_the_proof_is_stored(
    sky: Any, collect: Collect
) -> None:
    published = collect()

    assert left_for(sky, published, "guard")
    proof = record_of(sky, published).quality_report["leaks"]
    assert proof["set_aside"]["guard"] == len(left_for(sky, published, "guard"))
    names = ("shared_groups", "shared_boxes", "shared_pixels", "near_duplicates")
    assert [proof[name] for name in names] == [0, 0, 0, 0]
    assert proof["policy"] == "sky-v1"


def test_what_would_join_two_splits_waits_in_quarantine(sky: Any, collect: Collect) -> None:
    first = collect(name="first")
    row = samples_of(sky, first).slice(0, 1).to_pylist()[0]
    step = 1.2 / 3600
    with sky.engine.begin() as connection:
        connection.execute(text("TRUNCATE training_split_members, training_split_ledger"))
        for number, split in enumerate(("train", "test")):
            values = {
                "key": f"{number:032d}",
                "group": f"group {number}",
                "split": split,
                "id": first.dataset_id,
                "ra": row["ra_deg"],
                "dec": row["dec_deg"] + (number - 0.5) * 2 * step,
            }
            connection.execute(
                text(
                    "INSERT INTO training_split_ledger (policy, group_key, split, first_dataset) "
                    "VALUES ('sky-v1', :group, :split, :id)"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO training_split_members (policy, sample_key, group_key, ra_deg, "
                    "dec_deg, radius_arcsec) VALUES ('sky-v1', :key, :group, :ra, :dec, 1.5)"
                ),
                values,
            )

    second = collect(name="second")

    bridges = left_for(sky, second, "bridge")
    assert row["sample_key"] in {one.sample_key for one in bridges}
    assert {one.detail for one in bridges} == {"would join groups of test and train"}
    quarantined = [key for key, split in splits_of(sky, second).items() if split == "quarantine"]
    assert sorted(quarantined) == sorted(one.sample_key for one in bridges)
    with sky.engine.connect() as connection:
        known = connection.execute(text("SELECT sample_key FROM training_split_members")).scalars()
        assert not set(known) & set(quarantined)


def add_twin(sky: Any, row: dict[str, Any], paths: dict[str, str], shift_deg: float) -> None:
    """Add an observation with the files `paths`, and the detection of `row` on it, shifted.

    What was shifted lies off its reference, and has none.
    """
    places = {
        "old": row["observation_id"],
        "new": uuid5(TWIN, row["observation_id"]),
        "detection": row["detection_id"],
        "twin": uuid5(TWIN, row["detection_id"]),
        "run": uuid5(TWIN, "run"),
        "shift": shift_deg,
        **paths,
    }
    with sky.engine.begin() as connection:
        for statement in TWINS:
            connection.execute(text(statement), places)


TWINS = (
    (
        "INSERT INTO observations SELECT (jsonb_populate_record(o, jsonb_build_object('id', "
        "CAST(:new AS text), 'observation_id', 'twin', 'fits_file_path', CAST(:science AS text), "
        "'fits_url', CAST(:science AS text)))).* FROM observations o WHERE o.id = :old"
    ),
    (
        "INSERT INTO difference_runs SELECT (jsonb_populate_record(d, jsonb_build_object('id', "
        "CAST(:run AS text), 'observation_id', CAST(:new AS text), 'difference_image_path', "
        "CAST(:difference AS text), 'reference_observation_id', CASE WHEN CAST(:shift AS numeric) = 0 "
        "THEN d.reference_observation_id END))).* FROM difference_runs d WHERE d.observation_id = :old"
    ),
    (
        "INSERT INTO detections SELECT (jsonb_populate_record(d, jsonb_build_object('id', "
        "CAST(:twin AS text), 'observation_id', CAST(:new AS text), 'dec', "
        "d.dec + CAST(:shift AS numeric)))).* FROM detections d WHERE d.id = :detection"
    ),
    (
        "INSERT INTO validation_events SELECT (jsonb_populate_record(v, jsonb_build_object('id', "
        "gen_random_uuid(), 'detection_id', CAST(:twin AS text)))).* FROM validation_events v "
        "WHERE v.detection_id = :detection"
    ),
)


def test_the_same_pixels_under_another_id_are_in_once(sky: Any, collect: Collect) -> None:
    (row, *_) = samples_of(sky, collect(source_policy="raw")).to_pylist()
    paths = {role: row[f"{role}_path"] for role in ("science", "difference")}
    add_twin(sky, row, paths, 0.0)

    again = collect(source_policy="raw", name="again")

    (left,) = left_for(sky, again, "duplicate")
    assert left.detail == f"has the pixels of {row['sample_key']}"


def copied(sky: Any, path: str, shift_deg: float) -> str:
    """Store a copy of a file with a little noise and its place on the sky moved; return its path."""
    with fits.open(sky.home / "store" / path) as hdus:
        rng = np.random.default_rng(4)
        for hdu in hdus:
            if hdu.data is not None:
                spread = np.nanmedian(np.abs(hdu.data - np.nanmedian(hdu.data)))
                noise = 0.2 * spread * rng.normal(size=hdu.data.shape)
                hdu.data = (hdu.data + noise).astype(np.float32)
            if "CRVAL2" in hdu.header:
                hdu.header["CRVAL2"] += shift_deg
        buffer = io.BytesIO()
        hdus.writeto(buffer)
    twin = f"{path}.twin.fits"
    sky.store.put(twin, buffer.getvalue())
    return twin


def test_near_duplicates_of_val_or_test_leave_training(sky: Any, collect: Collect) -> None:
    before = samples_of(sky, collect(source_policy="raw"))
    judged = before.filter(pc.equal(before["split"], "test")).to_pylist()
    row = next(one for one in judged if one["anomaly_type"] in {"supernova", "variable_star"})
    shift = next(
        step / 100
        for step in range(5, 500)
        if hashed_split(
            SplitPolicy(), sky_key(row["ra_deg"], round(row["dec_deg"] + step / 100, 7))
        )
        == "train"
    )
    paths = {role: copied(sky, row[f"{role}_path"], shift) for role in ("science", "difference")}
    add_twin(sky, row, paths, shift)

    again = collect(source_policy="raw", name="again")

    (left,) = left_for(sky, again, "near_duplicate")
    assert left.detail.startswith(f"shows the pixels of {row['sample_key']}, correlation 0.")
    assert splits_of(sky, again)[row["sample_key"]] == "test"


def test_strategy_time_leaves_out_what_was_seen_before(sky: Any, collect: Collect) -> None:
    # the nights are March 1, 6, 7 and 8; a minute of the 7th is in the gap
    gap = {
        "val_from": datetime(2024, 3, 4, tzinfo=UTC),
        "test_from": datetime(2024, 3, 7, 4, 25, tzinfo=UTC),
    }

    published = collect(name="by time", split={"strategy": "time", **gap})

    assert left_for(sky, published, "between_splits")
    assert left_for(sky, published, "seen_before")
    for row in samples_of(sky, published).to_pylist():
        own = "train" if row["observation_time"] < gap["val_from"] else "val"
        own = "test" if row["observation_time"] >= gap["test_from"] else own
        assert row["split"] == own


@pytest.mark.parametrize("share", [0.1, pytest.param(0.5, marks=pytest.mark.slow)])
def test_more_detections_move_no_old_sample(sky: Any, collect: Collect, share: float) -> None:
    with sky.engine.connect() as connection:
        then = connection.execute(
            text(
                "SELECT percentile_disc(:share) WITHIN GROUP (ORDER BY created_at) "
                "FROM validation_events"
            ),
            {"share": 1 - share},
        ).scalar_one()
    old = splits_of(sky, collect(as_of=then, name="grows"))

    new = splits_of(sky, collect(name="grows"))

    assert len(new.keys() - old.keys()) > 0
    assert {key: new[key] for key in old.keys() & new.keys()} == {
        key: old[key] for key in old.keys() & new.keys()
    }


def test_the_same_sky_in_another_home_has_the_same_digests(
    sky: Any,
    collect: Collect,
    collect_from: Callable[[Any], Collect],
    databases: Any,
    tmp_path: Path,
) -> None:
    sky.engine.dispose()
    engine: Engine = databases.make(str(sky.engine.url.database))
    shutil.copytree(sky.home / "store", tmp_path / "elsewhere" / "store")
    store = Store(f"file://{tmp_path}/elsewhere/store")
    twin = type(sky)(engine, tmp_path / "elsewhere", sky.truth, store)
    with sky.engine.connect() as connection:
        now = connection.execute(text("SELECT now()")).scalar_one()

    here = collect(as_of=now)
    there = collect_from(twin)(as_of=now, batch_samples=16)

    assert here.digests["content"] == there.digests["content"]
    assert here.digests["split"] == there.digests["split"]
    assert here.digests["label"] == there.digests["label"]
    assert here.version_id == there.version_id
    databases.drop(engine)


@pytest.mark.parametrize("stale", ["the ledger has grown", "the samples are others", "it has gone"])
def test_a_proof_of_another_division_is_not_believed(
    sky: Any, collect: Collect, monkeypatch: pytest.MonkeyPatch, stale: str
) -> None:
    honest = leaks.check_leaks

    def of_others(divided: Any, packs: Any, spec: Any) -> Any:
        found = honest(divided, packs, spec)
        if stale == "the ledger has grown":
            return replace(found, ledger_head=-1, division="0" * 64, set_aside=[], proof={})
        if stale == "it has gone":
            return replace(found, division="0" * 64, set_aside=[], proof={})
        others = replace(
            divided, samples=divided.samples.slice(1), assignments=divided.assignments[1:]
        )
        return replace(found, division=others.keep(packs.store), set_aside=[], proof={})

    # what the step says; publishing has its own
    monkeypatch.setattr(leaks, "check_leaks", of_others)

    published = collect()

    assert left_for(sky, published, "guard")
    assert record_of(sky, published).quality_report["leaks"]["groups"] > 0


def test_a_proof_of_the_same_division_is_not_made_twice(
    collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*inputs: Any) -> Any:
        raise AssertionError(
            "the gate looked, or the samples were divided, again though nothing had changed"
        )

    for step in ("check_leaks", "divide"):
        monkeypatch.setattr(f"astrid_training.publish.{step}", unwanted)

    assert collect().total_samples > 0
