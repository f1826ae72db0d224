"""Lists are filtered, paged without gaps, and keep their order."""

import json
import re
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from deployments.api.models import DatasetList

ROW = """
INSERT INTO training_datasets (
    id, name, status, version_id, created_at, collection_params, total_samples, anomaly_ratio,
    quality_score, quality_report, created_by, splits, classes, funnel, preprocess_spec,
    spec_fingerprint, query_digest, source_digest, label_digest, content_digest, split_digest,
    samples_key)
VALUES (
    :id, :name, :status, :version, make_timestamptz(2026, 3, :day, 12, 0, 0.25, 'UTC'), '{}', 1, 0.5,
    :quality, CAST(:report AS jsonb), :by, '{}', '{}', '[]', '{}', '', '', '', '', '', '',
    'samples/x')
"""
PATH = "/training/datasets"


@pytest.fixture(scope="module")
def rows(empty_database: Engine) -> list[str]:
    """Seven datasets: a to e of 1 March at one instant, f of the 2nd, g of the 3rd; newest first."""
    days = dict.fromkeys("abcde", 1) | {"f": 2, "g": 3}
    ids: dict[str, UUID] = {name: uuid4() for name in days}
    with empty_database.begin() as connection:
        for name, day in days.items():
            values = {
                "id": ids[name],
                "name": name,
                "status": "superseded" if name == "a" else "active",
                "version": name * 16,
                "day": day,
                "quality": 0.5 if name == "b" else 0.9,
                "report": json.dumps({"survey_coverage": {"hst" if name == "c" else "ztf": 1}}),
                "by": "web" if name == "d" else "ada",
            }
            connection.execute(text(ROW), values)
    return ["g", "f", *sorted("abcde", key=lambda name: ids[name])]


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one.name for one in DatasetList.model_validate(answer.json()).datasets]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_follow_each_other_through_all_of_them(
    api: TestClient, rows: list[str], limit: int
) -> None:
    seen, place = [], f"{PATH}?limit={limit}"
    while place:
        answer = api.get(place)
        seen.append(names(answer))
        assert answer.json()["total"] == len(rows)
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        place = link[1] if link else ""
        assert answer.json()["next"] == (place or None)

    assert [name for page in seen for name in page] == rows
    assert len(seen) == -(-len(rows) // limit)


def test_what_is_published_meanwhile_shifts_no_page(
    api: TestClient, rows: list[str], empty_database: Engine
) -> None:
    first = api.get(f"{PATH}?limit=3")
    move = text("UPDATE training_datasets SET created_at = created_at + :by WHERE name = 'f'")
    with empty_database.begin() as connection:
        connection.execute(move, {"by": timedelta(days=9)})
    rest = names(api.get(first.json()["next"]))
    with empty_database.begin() as connection:
        connection.execute(move, {"by": -timedelta(days=9)})

    assert names(first) + rest == rows[:6]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=superseded", "a"),
        ("creator=web", "d"),
        ("name=g", "g"),
        ("survey=hst", "c"),
        ("survey=ztf&least_quality=0.9&created_to=2026-03-02", "ade"),
        ("created_from=2026-03-02T12:00:00.25Z", "fg"),
        ("created_from=2026-03-02T12:00:00.25%2B00:00&created_to=2026-03-03T12:00:00.25", "f"),
        ("name=nobody", ""),
    ],
)
def test_filters_find_what_they_say(
    api: TestClient, rows: list[str], query: str, found: str
) -> None:
    assert sorted(names(api.get(f"{PATH}?{query}"))) == sorted(found)


def cursor(text: str) -> str:
    return "cursor=" + urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("status=new", "status"),
        ("least_quality=nan", "least_quality"),
        ("created_from=yesterday", "created_from"),
        ("colour=red", "colour"),
        ("name=%00", "name"),
        ("cursor=!", "cursor"),
        ("cursor=é", "cursor"),
        (cursor("[]"), "cursor"),
        (cursor('["2026-03-01", 7]'), "cursor"),
        (cursor('[0, "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10"]'), "cursor"),
        (cursor('["9999-12-31T23:59:59-14:00", "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10"]'), "cursor"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(api: TestClient, query: str, field: str) -> None:
    answer = api.get(f"{PATH}?{query}")

    assert answer.status_code == 422
    assert [(one["in"], one["field"]) for one in answer.json()["errors"]] == [("query", field)]
