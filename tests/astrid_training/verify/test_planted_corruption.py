"""Whatever is damaged by hand in rows, packs, ledger or MLflow is found, and mended where anything proves it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from mlflow import MlflowClient

from astrid_training.packs import put_table
from astrid_training.samples import read_samples
from astrid_training.verify import repair_dataset, verify_references
from deployments.embedded.processes import free_port

pytestmark = pytest.mark.trust

Plant = Callable[[Any], None]
A_SAMPLE = "(SELECT sample_key FROM training_samples WHERE dataset_id = :id AND split = 'train' ORDER BY sample_key LIMIT 1)"
A_GROUP = (
    f"(SELECT group_key FROM training_samples WHERE dataset_id = :id AND sample_key = {A_SAMPLE})"
)
ROW = "UPDATE training_datasets SET {} WHERE id = :id"
SAMPLE = f"UPDATE training_samples SET {{}} WHERE dataset_id = :id AND sample_key = {A_SAMPLE}"


@dataclass(frozen=True)
class Case:
    """A corruption, the kinds of findings that tell of it, and whether it can be mended."""

    plant: Plant
    kinds: str
    is_mended: bool = True
    is_quick: bool = False
    """One of those that stand for their kind in the default suite."""


def first(collected: Any, folder: str) -> Path:
    found: Path = min((collected.folder / folder).iterdir())
    return found


def flipped(folder: str, at: int = -1) -> Plant:
    """Turn one bit over, near the end of an object or at a place of it."""

    def plant(collected: Any) -> None:
        path = first(collected, folder)
        data = bytearray(path.read_bytes())
        data[at] ^= 0b100
        path.write_bytes(data)

    return plant


def missing(folder: str) -> Plant:
    return lambda collected: first(collected, folder).unlink()


def truncated(collected: Any) -> None:
    path = first(collected, "images")
    path.write_bytes(path.read_bytes()[:-4096])


def sql(statement: str) -> Plant:
    return lambda collected: collected.execute(statement)


def rewritten(change: Callable[[pa.Table], pa.Table]) -> Plant:
    """Put another table of samples in the place of the one that was published."""

    def plant(collected: Any) -> None:
        store = collected.places.store
        changed = change(read_samples(store, collected.dataset.samples_key))
        key = f"samples/{put_table(store, 'samples', changed)}.parquet"
        collected.execute("UPDATE training_datasets SET samples_key = :key WHERE id = :id", key=key)

    return plant


def swapped(column: str) -> Callable[[pa.Table], pa.Table]:
    """Give two samples of one pack each other's row of it."""

    def swap(samples: pa.Table) -> pa.Table:
        pack = samples[f"{column}_pack"]
        one, other = pc.indices_nonzero(pc.equal(pack, pack[0])).to_pylist()[:2]
        rows = samples[f"{column}_row"].to_pylist()
        rows[one], rows[other] = rows[other], rows[one]
        number = samples.column_names.index(f"{column}_row")
        return samples.set_column(number, samples.schema.field(number), pa.array(rows, pa.int32()))

    return swap


def moved_split(samples: pa.Table) -> pa.Table:
    splits = samples["split"].to_pylist()
    splits[splits.index("test")] = "train"
    number = samples.column_names.index("split")
    return samples.set_column(number, "split", pa.array(splits))


CASES = {
    "a bit of an image pack": Case(flipped("images"), "packs"),
    "a bit of a pack's header": Case(flipped("images", 3), "packs"),
    "a bit of a mask pack": Case(flipped("masks"), "packs", is_quick=True),
    "a bit of a flag pack": Case(flipped("flags"), "packs"),
    "a bit of a significance pack": Case(flipped("significance"), "packs"),
    "a missing image pack": Case(missing("images"), "packs", is_quick=True),
    "a missing mask pack": Case(missing("masks"), "packs"),
    "a missing flag pack": Case(missing("flags"), "packs"),
    "a truncated pack": Case(truncated, "packs"),
    "swapped rows of images": Case(
        rewritten(swapped("image")), "pixels sample_rows", is_quick=True
    ),
    "swapped rows of masks": Case(rewritten(swapped("mask")), "pixels sample_rows"),
    "a moved split in the table": Case(
        rewritten(moved_split), "dataset_row sample_rows ledger", is_mended=False
    ),
    "a bit of the table": Case(flipped("samples"), "samples_table", is_mended=False, is_quick=True),
    "a missing table": Case(missing("samples"), "samples_table", is_mended=False),
    "an edited label": Case(
        sql(SAMPLE.format("labels = jsonb_set(labels, '{anomaly_type}', '\"agn\"')")),
        "sample_rows",
        is_quick=True,
    ),
    "an edited verdict": Case(
        sql(SAMPLE.format("labels = jsonb_set(labels, '{is_anomaly}', 'null')")), "sample_rows"
    ),
    "edited metadata": Case(
        sql(SAMPLE.format("metadata = jsonb_set(metadata, '{ra_deg}', '1.5')")), "sample_rows"
    ),
    "a moved split in a row": Case(sql(SAMPLE.format("split = 'test'")), "sample_rows"),
    "an edited weight": Case(sql(SAMPLE.format("weight = weight + 1e-9")), "sample_rows"),
    "a path to another row": Case(
        sql(SAMPLE.format("image_path = regexp_replace(image_path, '#.*', '#0999')")), "sample_rows"
    ),
    "a forgotten detection": Case(sql(SAMPLE.format("detection_id = NULL")), "sample_rows"),
    "a missing row": Case(
        sql(f"DELETE FROM training_samples WHERE dataset_id = :id AND sample_key = {A_SAMPLE}"),
        "sample_rows",
        is_quick=True,
    ),
    "a row of no sample": Case(
        sql(
            "INSERT INTO training_samples (dataset_id, image_path, labels, sample_key) "
            "VALUES (:id, 'x', '{}', repeat('0', 32))"
        ),
        "sample_rows",
    ),
    "a row without a key": Case(
        sql(
            "INSERT INTO training_samples (dataset_id, image_path, labels) VALUES (:id, 'x', '{}')"
        ),
        "sample_rows",
    ),
    "an edited content digest": Case(
        sql(ROW.format("content_digest = repeat('0', 64)")), "dataset_row tracking"
    ),
    "an edited split digest": Case(
        sql(ROW.format("split_digest = repeat('0', 64)")), "dataset_row tracking"
    ),
    "an edited version": Case(
        sql(ROW.format("version_id = repeat('0', 16)")), "dataset_row tracking", is_quick=True
    ),
    "an edited version and digest": Case(
        sql(ROW.format("version_id = repeat('0', 16), content_digest = repeat('0', 64)")),
        "dataset_row tracking",
        is_mended=False,
    ),
    "an edited number of samples": Case(
        sql(ROW.format("total_samples = total_samples + 1")), "dataset_row"
    ),
    "an edited number of a split": Case(
        sql(ROW.format("splits = jsonb_set(splits, '{val}', '0')")), "dataset_row"
    ),
    "an edited number of a class": Case(
        sql(ROW.format("classes = jsonb_set(classes, '{bogus}', '0')")), "dataset_row"
    ),
    "an edited quality": Case(sql(ROW.format("quality_score = 1")), "dataset_row"),
    "a forgotten reject": Case(
        sql(
            "DELETE FROM training_rejects WHERE dataset_id = :id AND sample_key = "
            "(SELECT min(sample_key) FROM training_rejects WHERE dataset_id = :id)"
        ),
        "rejects",
        is_mended=False,
        is_quick=True,
    ),
    "a sample among the rejects": Case(
        sql(
            "INSERT INTO training_rejects (dataset_id, sample_key, step, reason) "
            f"SELECT :id, {A_SAMPLE}, 'preprocess', 'edge'"
        ),
        "rejects",
        is_mended=False,
    ),
    "an edited funnel": Case(
        sql(ROW.format("funnel = jsonb_set(funnel, '{0,count}', '7')")), "rejects", is_mended=False
    ),
    "a moved group of the ledger": Case(
        sql(f"UPDATE training_split_ledger SET split = 'test' WHERE group_key = {A_GROUP}"),
        "ledger",
    ),
    "a forgotten group of the ledger": Case(
        sql(f"DELETE FROM training_split_ledger WHERE group_key = {A_GROUP}"),
        "ledger",
        is_quick=True,
    ),
    "a forgotten member of the ledger": Case(
        sql(f"DELETE FROM training_split_members WHERE sample_key = {A_SAMPLE}"), "ledger"
    ),
    "a forgotten run": Case(sql(ROW.format("mlflow_run_id = NULL")), "tracking"),
    "another run": Case(sql(ROW.format("mlflow_run_id = repeat('0', 32)")), "tracking"),
    "a missing report": Case(missing("reports"), "report"),
}


def test_nothing_is_found_where_nothing_was_damaged(collected: Any) -> None:
    assert collected.verify() == []
    assert collected.verify(read_pixels=False) == []
    assert list(verify_references(collected.engine)) == []


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if CASES[name].is_quick else pytest.mark.slow) for name in CASES],
)
def test_it_is_found_and_mended_where_anything_proves_it(
    collected: Any, tally: Any, name: str
) -> None:
    case, before = CASES[name], collected.dataset
    case.plant(collected)
    tally("corruptions planted", 1)

    found = collected.verify()

    assert {one.kind for one in found} == set(case.kinds.split())
    assert all(one.problem and one.cure for one in found)
    tally("corruptions found", 1)
    done = list(repair_dataset(collected.places, collected.dataset, found))
    left = collected.verify()
    if case.is_mended:
        assert left == []
        assert done
        tally("repairs", 1)
        assert collected.dataset.digests == before.digests
        assert collected.dataset.samples_key == before.samples_key
        assert list(verify_references(collected.engine)) == []
    else:
        assert left == found
        assert done == []


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (
            (
                "DELETE FROM detections WHERE id = (SELECT detection_id FROM training_samples "
                "WHERE dataset_id = :id AND detection_id IS NOT NULL LIMIT 1)"
            ),
            "training_samples",
        ),
        (
            (
                "DELETE FROM observations WHERE id = (SELECT observation_id FROM training_samples "
                "WHERE dataset_id = :id LIMIT 1)"
            ),
            "training_samples",
        ),
        ("UPDATE training_datasets SET parent_id = gen_random_uuid()", "training_datasets"),
        ("UPDATE training_datasets SET derived_from = gen_random_uuid()", "training_datasets"),
        (
            (
                "INSERT INTO training_dataset_events (dataset_id, event, reason, by) "
                "VALUES (gen_random_uuid(), 'revoked', 'x', 'x')"
            ),
            "training_dataset_events",
        ),
        (
            "INSERT INTO training_runs (dataset_id, training_params) VALUES (gen_random_uuid(), '{}')",
            "training_runs",
        ),
        (
            (
                "INSERT INTO training_validation_batches (batch_id, closed_at, dataset_id) "
                "VALUES ('x', now(), gen_random_uuid())"
            ),
            "training_validation_batches",
        ),
        (
            f"DELETE FROM training_split_ledger WHERE group_key = {A_GROUP}",
            "training_split_members",
        ),
        (
            (
                "INSERT INTO training_rejects (dataset_id, sample_key, step, reason) "
                "VALUES (gen_random_uuid(), repeat('0', 32), 'x', 'x')"
            ),
            "training_rejects",
        ),
    ],
)
def test_rows_that_refer_to_nothing_are_found(
    collected: Any, tally: Any, statement: str, place: str
) -> None:
    collected.execute(statement)
    tally("corruptions planted", 1)

    found = list(verify_references(collected.engine))

    assert [one.where for one in found] == [place]
    tally("corruptions found", 1)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["tag", "deletion"])
def test_a_run_in_mlflow_that_says_something_else_is_logged_anew(
    collected: Any, mlflow: MlflowClient, tally: Any, what: str
) -> None:
    run_id = collected.dataset.mlflow_run_id
    tag = "astrid.content_digest"
    if what == "tag":
        mlflow.set_tag(run_id, tag, "0" * 64)
    else:
        mlflow.delete_run(run_id)
    tally("corruptions planted", 1)
    try:
        found = collected.verify()
        assert {one.kind for one in found} == {"tracking"}
        tally("corruptions found", 1)

        list(repair_dataset(collected.places, collected.dataset, found))

        assert collected.verify() == []
        assert collected.dataset.mlflow_run_id != run_id
        mlflow.delete_run(collected.dataset.mlflow_run_id)
        tally("repairs", 1)
    finally:
        mlflow.restore_run(run_id)
        mlflow.set_tag(run_id, tag, collected.dataset.digests["content"])


@pytest.mark.slow
def test_an_mlflow_that_does_not_answer_is_no_proof(collected: Any) -> None:
    away = f"http://127.0.0.1:{free_port(None)}"
    unasked = replace(collected, places=replace(collected.places, tracking_uri=away))

    (found,) = unasked.verify(read_pixels=False)

    assert found.kind == "tracking"
    assert "could not be asked" in found.problem


def test_packs_whose_sources_are_partly_gone_are_mended_as_far_as_they_are_not(
    collected: Any, tally: Any
) -> None:
    before = collected.dataset
    samples = read_samples(collected.places.store, before.samples_key)
    pack = samples["image_pack"][0].as_py()
    gone = samples["difference_path"][0].as_py()
    in_pack = pc.equal(samples["image_pack"], pack)
    lost = pc.and_(in_pack, pc.equal(samples["difference_path"], gone))
    (collected.folder / "images" / f"{pack}.npy").unlink()
    collected.places.store.delete(gone)
    assert 0 < pc.sum(lost).as_py() < pc.sum(in_pack).as_py()

    found = collected.verify()
    list(repair_dataset(collected.places, collected.dataset, found))

    after = read_samples(collected.places.store, collected.dataset.samples_key)
    assert pc.equal(after["image_pack"], pack).to_pylist() == lost.to_pylist()
    assert collected.dataset.digests == before.digests
    (left,) = collected.verify()
    assert left.objects == {f"images/{pack}.npy"}
    tally("repairs", 1)
