"""What the description of the API promises is what it answers, whatever is asked."""

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tests.deployments.api.conftest import Connect

MEDIA_TYPE = "application/problem+json"
NEEDS_PREFECT = ("/training/datasets/collect", "/training/runs/")
"""Paths that ask the Prefect server, of which none runs here: 503 is the answer they promise."""
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.missing_required_header,
    checks.unsupported_method,
]
PATIENCE_S = 120  # a first load copies and hashes
KNOWN = {"dataset_id", "other", "wanted"}
"""Path parameters that name a dataset."""


def check_answer(answer: Any, path: str) -> None:
    """Assert that nothing failed, and that what is refused is said as a problem."""
    status = answer.status_code
    assert status < 500 or (status == 503 and path.startswith(NEEDS_PREFECT)), answer.text
    if status >= 400:
        assert answer.headers["content-type"] == MEDIA_TYPE
        document = json.loads(answer.content)
        assert document["status"] == status
        assert document["type"].startswith("urn:astrid-training:problem:")


def ask_everything(client: TestClient, examples: int, datasets: list[str]) -> Counter[str]:
    """Send requests to each operation, such as its description allows and such as it does not."""
    schema: Any = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    asked: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        _ask(operation.as_strategy(), client, examples, datasets, asked)
        with suppress(Unsatisfiable):  # what takes nothing takes nothing wrong
            wrong = operation.as_strategy(GenerationMode.NEGATIVE)
            _ask(wrong, client, examples, datasets, asked)
    return asked


def _ask(
    cases: Any, client: TestClient, examples: int, datasets: list[str], asked: Counter[str]
) -> None:
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases, place=st.integers(0, 2 * len(datasets)))
    def send(case: Any, place: int) -> None:
        if place < len(datasets) and case.path_parameters:
            case.path_parameters.update(
                dict.fromkeys(KNOWN & set(case.path_parameters), datasets[place])
            )
        asked[f"{case.method} {case.path}"] += 1
        shown = {"Authorization": client.headers["Authorization"]}
        answer = case.call(headers=shown, timeout=PATIENCE_S)
        check_answer(_Plain(answer), case.path)
        if answer.status_code != 503:
            case.validate_response(answer, checks=CHECKS)

    send()


class _Plain:
    """An answer of schemathesis' with headers as others have them."""

    def __init__(self, answer: Any) -> None:
        self.status_code, self.content, self.text = answer.status_code, answer.content, answer.text
        self.headers = {name: values[0] for name, values in answer.headers.items()}


@pytest.mark.trust
@pytest.mark.slow
def test_an_empty_database_is_asked_as_described(api: TestClient, tally: Any) -> None:
    asked = ask_everything(api, 2, [])

    assert len(asked) == len(operations_of(api))
    tally("cases fuzzed", asked.total())
    tally("requests served", asked.total())


@pytest.mark.trust
@pytest.mark.slow
def test_a_published_dataset_is_asked_for_as_described(
    sky: Any, collect: Any, connect: Connect, tally: Any, *, thorough: bool
) -> None:
    made = collect(name="nightly")
    client = connect(sky.engine, sky.home, sky.store.url)
    known = [str(made.dataset_id), made.version_id, "nightly"]

    asked = ask_everything(client, 8 if thorough else 5, known)

    assert len(asked) == len(operations_of(client))
    tally("cases fuzzed", asked.total())
    tally("requests served", asked.total())


def operations_of(client: TestClient) -> list[str]:
    document = client.get("/openapi.json").json()
    return [f"{verb} {path}" for path, verbs in document["paths"].items() for verb in verbs]
