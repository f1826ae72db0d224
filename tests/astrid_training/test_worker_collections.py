"""What workers build depends on nothing but what was asked: neither on their number, nor on batches, nor on the store."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from astrid_training import collection_steps, downloads, steps
from astrid_training.assemble import assemble
from astrid_training.identity import dataset_digests
from astrid_training.packs import read_table
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.processors import Recipe
from astrid_training.publish import Collected, CollectionGateError
from astrid_training.records import BatchRef, BuiltBatch, Plan, Selection
from astrid_training.workers import Workers
from astrid_training.workplace import Workplace

Built = tuple[Selection, Plan, list[BuiltBatch]]


def _built(place: Workplace, pool: Workers, params: TrainingDataCollectionParams) -> Built:
    """Return what was selected, planned and built by the pool, as the flow does it."""
    store, recipe = place.store(), Recipe.of(params.processor, params.preprocess)
    selected = pool.run(collection_steps.select_subjects, place, params, datetime.now(UTC))
    how = recipe.fingerprint, params
    plan = pool.run(collection_steps.plan_batches, place, selected, *how)

    def build(batch: BatchRef) -> BuiltBatch:
        targets = read_table(store, "targets", batch.targets)
        files = downloads.fetch_sources(place.source_cache(), targets, recipe.reach)
        stamps = pool.run(steps.cut_stamps, place, batch.targets, files, recipe)
        masks = pool.run(steps.draw_masks, place, stamps, batch.labels, params.mask)
        scored = pool.run(steps.score_samples, place, masks)
        rejects = files.rejects + stamps.rejects + masks.rejects + scored.rejects
        return BuiltBatch(scored.samples, scored.rows, rejects, [])

    with ThreadPoolExecutor(2) as threads:
        return selected, plan, list(threads.map(build, plan.batches))


def _content(place: Workplace, most: int, batch_samples: int) -> tuple[str, int]:
    """Return the content digest of the sky's samples as so many workers build them."""
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], batch_samples=batch_samples)
    pool = Workers(most)
    collected = _built(place, pool, params)
    pool.close()
    samples: pa.Table = assemble(place.store(), *collected).samples
    return dataset_digests(samples)["content"], len(collected[2])


@pytest.fixture
def place(sky: Any, tmp_path: Path) -> Workplace:
    url = sky.engine.url.render_as_string(hide_password=False)
    return Workplace(sky.store.url, tmp_path / "cache", database_url=url)


@pytest.fixture
def expected(sky: Any, place: Workplace) -> str:
    content, batches = _content(place, most=1, batch_samples=1024)
    assert batches == 1
    return content


def test_two_workers_with_small_batches_build_what_one_builds_in_one(
    place: Workplace, expected: str
) -> None:
    content, batches = _content(place, most=2, batch_samples=16)

    assert batches > 3
    assert content == expected


@pytest.mark.slow  # workers and buckets are each tested without the other
def test_workers_build_from_and_into_a_bucket_what_they_build_in_a_folder(
    sky: Any, place: Workplace, expected: str, s3_server: Any, tmp_path: Path
) -> None:
    bucket = s3_server.make_store()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: bucket.put(key, sky.store.get(key)), sky.store.keys("raw")))
        differences = sky.store.keys("difference")
        list(threads.map(lambda key: bucket.put(key, sky.store.get(key)), differences))
        processed = sky.store.keys("processed")
        list(threads.map(lambda key: bucket.put(key, sky.store.get(key)), processed))
    there = Workplace(
        bucket.url,
        tmp_path / "other",
        s3_server.credentials,
        database_url=place.database_url,
    )

    assert _content(there, most=2, batch_samples=64)[0] == expected


def test_a_gate_that_fails_in_a_worker_brings_the_report_of_the_refusal(place: Workplace) -> None:
    params = TrainingDataCollectionParams(survey_ids=["sim_ztf"], quality_score_threshold=1)
    pool = Workers(1)
    selected, plan, built = collected = _built(place, pool, params)
    leaks = pool.run(collection_steps.check_leaks, place, *collected, params)
    made = plan.source_digest, Recipe.of(params.processor, params.preprocess).fingerprint
    run = Collected(params, selected.as_of, *made, "tester", "none", [])

    with pytest.raises(CollectionGateError, match="quality") as caught:
        pool.run(collection_steps.publish_dataset, place, *collected, leaks, run)

    pool.close()
    assert not caught.value.report.passed
    assert caught.value.funnel[0].count == selected.selected
    assert caught.value.funnel[-1].count == sum(batch.rows for batch in built) - len(
        leaks.set_aside
    )
    assert "negatives" in caught.value.notes
