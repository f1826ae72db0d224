"""Review queues over REST: kept, blind for who reviews, with reasons for who may know them."""

import csv
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient

from astrid_training.api_tokens import create_token

REVIEWER = {"position", "detection_id", "observation_id", "survey", "band", "observation_time"} | {
    "ra_deg",
    "dec_deg",
}


@pytest.fixture
def client(sky: Any, connect: Any) -> TestClient:
    opened: TestClient = connect(sky.engine, sky.home, f"file://{sky.home}/store")
    return opened


def test_a_queue_is_made_kept_and_blind(client: TestClient) -> None:
    asked = {"survey_ids": ["sim_ztf"], "count": 20}

    made = client.post("/training/review-queues", json=asked)

    assert made.status_code == 201, made.text
    assert len(made.json()["items"]) == 20
    assert set(made.json()["items"][0]) == REVIEWER
    place = made.headers["Location"]
    assert client.get(place).json() == made.json()
    reasons = client.get(place, params={"reasons": True}).json()["items"]
    assert {one["selected_for"] for one in reasons} == {"queue", "random_audit"}
    text = client.get(place, params={"format": "csv"})
    assert text.headers["content-type"].startswith("text/csv")
    assert [row["detection_id"] for row in csv.DictReader(io.StringIO(text.text))] == [
        one["detection_id"] for one in reasons
    ]


def test_reasons_are_not_for_who_may_only_read(sky: Any, client: TestClient) -> None:
    place = client.post("/training/review-queues", json={"survey_ids": ["sim_ztf"]}).headers[
        "Location"
    ]
    token = create_token(sky.engine, "reviewer", ["read"], "tester")
    client.headers["Authorization"] = f"Bearer {token}"

    assert client.get(place).status_code == 200
    assert client.get(place, params={"reasons": True}).status_code == 403
    assert client.post("/training/review-queues", json={}).status_code == 403


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"survey_ids": ["nowhere"]}, 422),
        ({"count": 0}, 422),
        ({"audit_share": 0.01}, 422),
        ({"unknown": 1}, 422),
        ({"date_range": ["2026-02-01", "2026-01-01"]}, 422),
    ],
)
def test_what_cannot_be_is_a_problem(
    client: TestClient, asked: dict[str, Any], status: int
) -> None:
    answer = client.post("/training/review-queues", json=asked)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_queue_that_is_not_there_is_not_found(client: TestClient) -> None:
    gone = "/training/review-queues/00000000-0000-0000-0000-000000000000"

    assert client.get(gone).status_code == 404
