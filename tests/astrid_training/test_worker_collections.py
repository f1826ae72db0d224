"""What workers build depends on nothing but what was asked: neither on their number, nor on batches, nor on the store."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from astrid_training import downloads, steps
from astrid_training.assemble import assemble
from astrid_training.identity import dataset_digests
from astrid_training.packs import put_table, read_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.plan import plan_batches
from astrid_training.processors import Recipe
from astrid_training.records import BatchRef, BuiltBatch, Selection
from astrid_training.selection import select_subjects
from astrid_training.workers import Workers
from astrid_training.workplace import Workplace


def _content(sky: Any, place: Workplace, most: int, batch_samples: int) -> tuple[str, int]:
    """Return the content digest of the sky's samples as so many workers build them."""
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], batch_samples=batch_samples)
    store, as_of = place.store(), datetime.now(UTC)
    with sky.engine.connect() as connection:
        table = select_subjects(connection, params, as_of)
        digest = put_table(store, "selections", table)
        selected = Selection(digest, as_of, table.num_rows, table["reason"].null_count)
        recipe = Recipe.of(params.processor, params.preprocess)
        mark = recipe.fingerprint
        plan = plan_batches(connection, store, place.sources(), selected, mark, batch_samples)
    pool = Workers(most)

    def build(batch: BatchRef) -> BuiltBatch:
        targets = read_table(store, "targets", batch.targets)
        files = downloads.fetch_sources(place.source_cache(), targets, recipe.reach)
        stamps = pool.run(steps.cut_stamps, place, batch.targets, files, recipe)
        masks = pool.run(steps.draw_masks, place, stamps, batch.labels, params.mask)
        scored = pool.run(steps.score_samples, place, masks)
        rejects = files.rejects + stamps.rejects + masks.rejects + scored.rejects
        return BuiltBatch(scored.samples, scored.rows, rejects, {})

    with ThreadPoolExecutor(most) as threads:
        built = list(threads.map(build, plan.batches))
    pool.close()
    samples: pa.Table = assemble(store, selected, plan, built).samples
    return dataset_digests(samples)["content"], len(built)


@pytest.fixture
def place(sky: Any, tmp_path: Path) -> Workplace:
    return Workplace(sky.store.url, tmp_path / "cache")


@pytest.fixture
def expected(sky: Any, place: Workplace) -> str:
    content, batches = _content(sky, place, most=1, batch_samples=1024)
    assert batches == 1
    return content


def test_two_workers_with_small_batches_build_what_one_builds_in_one(
    sky: Any, place: Workplace, expected: str
) -> None:
    content, batches = _content(sky, place, most=2, batch_samples=16)

    assert batches > 3
    assert content == expected


def test_workers_build_from_and_into_a_bucket_what_they_build_in_a_folder(
    sky: Any, expected: str, s3_server: Any, tmp_path: Path
) -> None:
    bucket = s3_server.make_store()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: bucket.put(key, sky.store.get(key)), sky.store.keys("raw")))
        differences = sky.store.keys("difference")
        list(threads.map(lambda key: bucket.put(key, sky.store.get(key)), differences))
        processed = sky.store.keys("processed")
        list(threads.map(lambda key: bucket.put(key, sky.store.get(key)), processed))
    there = Workplace(bucket.url, tmp_path / "other", s3_server.credentials)

    assert _content(sky, there, most=2, batch_samples=64)[0] == expected
