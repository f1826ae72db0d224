"""The API's description has an example of everything and loads nothing from elsewhere."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from deployments.api import create_app
from deployments.api.compare import ComparisonRecord
from deployments.api.lineage import DatasetLineage
from deployments.api.models import DatasetRecord, LoadedDataset, Run

DOCUMENT = create_app().openapi()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[one[0] for one in OPERATIONS])
def test_every_answer_has_an_example(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    for status, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            if status.startswith(("4", "5")) and name != "GET /health":
                assert media == "application/problem+json"
                for example in content["examples"].values():
                    assert set(content["schema"]["required"]) <= set(example["value"])
                    assert str(example["value"]["status"]) == status
            else:
                model = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                known = DOCUMENT["components"]["schemas"].get(model, {})
                assert content.get("example") or known["examples"]


@pytest.mark.parametrize(
    "model", [ComparisonRecord, DatasetRecord, DatasetLineage, LoadedDataset, Run]
)
def test_the_examples_are_what_is_answered(model: Any) -> None:
    (example,) = model.model_config["json_schema_extra"]["examples"]
    assert model.model_validate(example).model_dump(mode="json") == example


def test_every_endpoint_but_health_needs_a_token() -> None:
    free = [name for name, operation in OPERATIONS if "security" not in operation]
    assert free == ["GET /health"]


def test_the_page_shows_all_and_needs_no_other_server() -> None:
    page = TestClient(create_app()).get("/docs")

    for path in DOCUMENT["paths"]:
        assert path in page.text
    assert "http" not in page.text.replace('<html lang="en">', "").split("<h1>")[0]
    assert "<script" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
