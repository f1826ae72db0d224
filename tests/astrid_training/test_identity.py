"""Five digests, each of which changes with what it stands for and with nothing else."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from astrid_training.identity import dataset_digests, query_digest, version_id
from astrid_training.params import TrainingDataCollectionParams

AS_OF = datetime(2024, 5, 1, tzinfo=UTC)


def samples(**changes: Any) -> pa.Table:
    """Return three samples, the second of them changed."""
    rows = [
        {
            "sample_key": f"{number:032d}",
            "image_digest": f"image {number}",
            "mask_digest": f"mask {number}",
            "anomaly_type": "supernova",
            "p_real": 0.9,
            "split": "train",
            "votes": json.dumps([{"event_id": f"event {number}"}]),
        }
        for number in range(3)
    ]
    rows[1] |= changes
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({}, set()),
        ({"image_digest": "another"}, {"content"}),
        ({"mask_digest": "another"}, {"content"}),
        ({"split": "test"}, {"split"}),
        ({"anomaly_type": "agn"}, {"label", "content"}),
        ({"p_real": 0.9 + 2e-6}, {"label", "content"}),
        ({"p_real": 0.9 + 1e-8}, set()),
        ({"votes": json.dumps([{"event_id": "another"}])}, {"label"}),
        ({"sample_key": "9" * 32}, {"label", "content", "split"}),
    ],
)
def test_a_digest_changes_with_what_it_stands_for(
    changes: dict[str, Any], changed: set[str]
) -> None:
    before, after = dataset_digests(samples()), dataset_digests(samples(**changes))

    assert {name for name in before if before[name] != after[name]} == changed
    assert (version_id(before) == version_id(after)) is not bool(changed & {"content", "split"})


def test_the_order_of_rows_is_nothing() -> None:
    table = samples()

    assert dataset_digests(table.take([2, 0, 1])) == dataset_digests(table)


def asked(as_of: datetime = AS_OF, schema: int = 5, head: int = 0, **fields: Any) -> str:
    params = TrainingDataCollectionParams.model_validate(fields)
    return query_digest(params, as_of, schema, head)


@pytest.mark.parametrize(
    "other",
    [
        {"as_of": datetime(2024, 5, 2, tzinfo=UTC)},
        {"schema": 6},
        {"head": 1},
        {"max_samples": 5},
        {"split": {"train": 0.6, "val": 0.2, "test": 0.2}},
    ],
)
def test_the_query_digest_is_of_all_that_the_answer_hangs_on(other: dict[str, Any]) -> None:
    assert asked(**other) != asked()


@pytest.mark.parametrize("other", [{"name": "other"}, {"batch_samples": 16}, {"description": "x"}])
def test_names_and_batches_are_not_part_of_the_question(other: dict[str, Any]) -> None:
    assert asked(**other) == asked()


def test_lists_are_sets() -> None:
    assert asked(survey_ids=["a", "b"]) == asked(survey_ids=["b", "a", "a"])
