"""A run's name says what it does, whatever was asked."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flows.names import name_of_collection


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"name": "all"}, "collect all: all surveys"),
        (
            {"name": "n", "survey_ids": ["ztf", "hst"], "max_samples": 500},
            "collect n: ztf, hst, up to 500",
        ),
        (
            {"name": "n", "date_range": ["2026-01-01T00:00:00Z", datetime(2026, 2, 1, tzinfo=UTC)]},
            "collect n: all surveys, from 2026-01-01 to 2026-02-01",
        ),
        ({"name": "n", "as_of": "2026-03-01T12:00:00"}, "collect n: all surveys, as of 2026-03-01"),
        ({"name": "n", "batch": {"batch_id": "b-7"}}, "collect n: all surveys, for b-7"),
        ({"name": 7, "date_range": "bad", "survey_ids": "x"}, "collect 7: all surveys"),
        ({"name": "x" * 999}, "collect " + "x" * 192),
    ],
)
def test_the_name_tells_what_is_collected(asked: dict[str, Any], name: str) -> None:
    assert name_of_collection(asked) == name
