"""A report is told a few of those that left, whichever database it reads them from."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.records import PublishedDataset
from astrid_training.report import report_context
from astrid_training.samples import read_samples

MORE = """
INSERT INTO training_rejects (dataset_id, sample_key, step, reason, detail)
SELECT CAST(:dataset AS uuid), lpad(CAST(number AS text), 32, '0'), 'preprocess', 'edge', NULL
FROM generate_series(1, 1000) AS number
"""


@pytest.fixture
def dataset(sky: Any, collect: Callable[..., PublishedDataset]) -> Any:
    published = collect()
    with sky.engine.begin() as connection:
        connection.execute(text("DELETE FROM training_rejects WHERE reason = 'edge'"))
        connection.execute(text(MORE), {"dataset": published.dataset_id})
    return TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)


@pytest.mark.slow
def test_three_of_each_reason_are_told_the_first_by_key(sky: Any, dataset: Any) -> None:
    samples = read_samples(sky.store, dataset.samples_key)
    told = report_context(sky.engine, sky.store, dataset, samples).rejects

    edge = [one for one in told if one.reason == "edge"]
    assert [int(one.sample_key) for one in edge] == [1, 2, 3]
    assert {one.detail for one in edge} == {""}
    dropped = {(row.step, row.reason): row.count for row in dataset.funnel} | {
        ("preprocess", "edge"): 1000
    }
    for reason, count in dropped.items():
        shown = [one for one in told if (one.step, one.reason) == reason]
        assert len(shown) == (0 if reason[1] in {"selected", "kept"} else min(3, count))


@pytest.mark.slow
def test_a_version_is_compared_with_the_one_before_while_that_can_be_read(
    sky: Any, collect: Callable[..., PublishedDataset]
) -> None:
    def of(published: PublishedDataset) -> Any:
        record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
        samples = read_samples(sky.store, record.samples_key)
        return record, report_context(sky.engine, sky.store, record, samples).parent

    first, none = of(collect())
    _, parent = of(collect(bands=["ztf_g"]))

    assert none is None
    assert parent.version_id == first.version_id
    assert [one.kind for one in parent.comparison.findings] == ["band_missing"]

    (sky.home / "store" / first.samples_key).unlink()
    _, gone = of(collect(bands=["ztf_g"]))
    assert gone.comparison is None
    assert first.samples_key in gone.trouble
