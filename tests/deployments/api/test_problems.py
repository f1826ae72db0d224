"""Whatever is sent, the answer is a problem that says what is wrong and nothing of our insides."""

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from sqlalchemy import Engine

from astrid_training.api_tokens import create_token, revoke_token
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.settings import resolve
from deployments.api import Caller, create_app, create_router

UUID = "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10"
DATASET = f"/training/datasets/{UUID}"
COLLECT = "/training/datasets/collect"
JSON = {"Content-Type": "application/json"}
PATHS = [
    ("GET", "/training/datasets"),
    ("GET", DATASET),
    ("GET", f"{DATASET}/quality"),
    ("GET", f"{DATASET}/report"),
    ("POST", f"{DATASET}/load"),
    ("POST", COLLECT),
    ("GET", f"/training/runs/{UUID}"),
    ("GET", f"/training/runs/{UUID}/metrics"),
]


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:astrid-training:problem:{code}"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["X-Request-ID"]
    return document


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("sent", [None, "Basic YTpi", "Bearer", "Bearer astrid_no", "Bearer é"])
def test_who_has_no_token_learns_nothing(
    api: TestClient, method: str, path: str, sent: str | None
) -> None:
    headers: Any = {} if sent is None else {"Authorization": sent.encode("latin-1")}
    stranger = TestClient(api.app)
    body: Any = {} if method == "POST" else None
    answer = stranger.request(method, path, headers=headers, json=body)

    problem(answer, 401, "token-needed")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_token_is_good_for_its_scopes_alone(
    api: TestClient, empty_database: Engine, method: str, path: str
) -> None:
    scope = "collect" if path == COLLECT else "read"
    other = {"read": "collect", "collect": "read"}[scope]
    name = f"half-{uuid4().hex}"
    token = create_token(empty_database, name, [other], "tester", timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    body: Any = {} if method == "POST" else None
    answer = api.request(method, path, headers=headers, json=body)

    problem(answer, 403, "scope-missing")
    assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]
    revoke_token(empty_database, name)
    problem(api.request(method, path, headers=headers, json=body), 401, "token-needed")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", DATASET, 404, "not-found"),
        ("GET", "/training/datasets/no such name", 404, "not-found"),
        ("GET", f"{DATASET}/quality", 404, "not-found"),
        ("GET", f"{DATASET}/report", 404, "not-found"),
        ("POST", f"{DATASET}/load", 404, "not-found"),
        ("GET", "/training/datasets/a%00b", 422, "invalid"),
        ("GET", "/training/datasets/" + "x" * 256, 422, "invalid"),
        ("GET", "/training/datasets/%ff%fe", 404, "not-found"),
        ("GET", "/training/runs/7", 422, "invalid"),
        ("GET", "/training/runs/7/metrics", 422, "invalid"),
        ("GET", "/training/nothing", 404, "not-found"),
        ("GET", "/elsewhere", 404, "not-found"),
        ("DELETE", DATASET, 405, "method-not-allowed"),
        ("PUT", "/health", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_there_is_a_problem(
    api: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = api.request(method, path)

    problem(answer, status, code)
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid"),
        (b"{", 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b'{"name": "' + b"x" * 300_000 + b'"}', 413, "too-large"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[]", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b'{"max_samples": NaN}', 422, "invalid"),
        (b'{"max_samples": ' + b"9" * 5000 + b"}", 400, "malformed"),
    ],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_body_that_cannot_be_is_a_problem(
    api: TestClient, body: bytes, status: int, code: str, *, in_pieces: bool
) -> None:
    content = iter([body[:1000], body[1000:]]) if in_pieces else body

    problem(api.post(COLLECT, content=content, headers=JSON), status, code)


def test_each_field_that_is_refused_has_its_entry(api: TestClient) -> None:
    body = {
        "max_samples": 0,
        "date_range": ["2026-02-01", "2026-01-01"],
        "cone": [400, 0, 1],
        "surveys": ["ztf"],
    }
    told = problem(api.post(COLLECT, json=body), 422, "invalid")

    fields = [one["field"].split(".")[0] for one in told["errors"]]
    assert {"max_samples", "cone", "surveys"} <= set(fields)
    assert all(one["in"] == "body" and one["message"] for one in told["errors"])
    del body["max_samples"], body["cone"], body["surveys"]
    (order,) = problem(api.post(COLLECT, json=body), 422, "invalid")["errors"]
    assert "give the earlier one first" in order["message"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_key_that_names_nothing_is_refused(api: TestClient, key: str) -> None:
    told = problem(api.post(COLLECT, json={}, headers={"Idempotency-Key": key}), 422, "invalid")

    assert told["errors"][0]["field"] == "Idempotency-Key"


def test_a_processor_of_somebody_is_not_run(api: TestClient) -> None:
    told = problem(api.post(COLLECT, json={"processor": "os:system"}), 422, "invalid")

    assert told["errors"][0]["field"] == "processor"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@limits(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(
        ["name", "survey_ids", "date_range", "cone", "preprocess", "split", "as_of"]
    ),
    value=values,
    path=st.text(min_size=1, max_size=30),
)
def test_nothing_that_is_sent_makes_it_fail(
    api: TestClient, name: str, value: Any, path: str
) -> None:
    body = json.dumps({name: value, "max_samples": 0})
    problem(api.post(COLLECT, content=body.encode(), headers=JSON), 422, "invalid")
    encoded = quote(path.encode("utf-8", "surrogatepass"), safe="")
    answer = api.get(f"/training/datasets?name={encoded}&survey={encoded}")
    assert answer.status_code in {200, 422}
    assert api.get(f"/training/runs/{encoded}").status_code in {404, 422}


def test_a_server_that_is_away_is_said_with_when_to_ask_again(api: TestClient) -> None:
    answer = api.post(COLLECT, json={})

    told = problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "10"
    assert "Prefect" in told["detail"]


def test_a_database_that_is_away_is_said_without_where_it_is(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ada:s3cret-word@127.0.0.1:9/none"
    app = create_app(resolve(tmp_path, database_url=url, store_url=f"file://{tmp_path}/store"))
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get(DATASET, headers={"Authorization": "Bearer x"})

    told = problem(answer, 503, "unavailable")
    assert told["detail"] == "the database does not answer; ask again later"
    assert not {"s3cret-word", "127.0.0.1"} & set(answer.text.replace("'", " ").split())
    health = client.get("/health")
    assert (health.status_code, health.json()) == (503, {"status": "unavailable"})


def test_a_bug_is_told_to_the_log_alone(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise ValueError("the s3cret word")

    monkeypatch.setattr(TrainingDatasetManager, "get_dataset", break_down)
    answer = api.get(DATASET, headers={"X-Request-ID": "mine-1"})

    told = problem(answer, 500, "broken")
    assert told["request_id"] == "mine-1"
    assert "s3cret" not in answer.text
    assert "Traceback" not in answer.text
    (line,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "mine-1" in line.getMessage()
    assert line.exc_info is not None


def test_each_request_has_a_line_with_its_name_and_no_content(
    api: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "deployments.api")
    api.post(f"{COLLECT}?password=hidden", json={"name": "hidden", "max_samples": 0})
    forged = api.get("/training/datasets/a%0Ab", headers={"X-Request-ID": "x" * 65})

    first, second = [one.getMessage() for one in caplog.records if one.name.startswith("deploy")]
    assert f"POST '{COLLECT}' 422" in first
    assert first.endswith("ms ada")
    assert "hidden" not in first
    assert "\n" not in second
    assert second.startswith(forged.headers["X-Request-ID"])
    assert len(forged.headers["X-Request-ID"]) == 32


@pytest.fixture
def host(empty_database: Engine, tmp_path: Path) -> TestClient:
    """AstrID with handlers and an authorisation of its own, and our router under a prefix."""
    url = empty_database.url.render_as_string(hide_password=False)
    app = FastAPI()

    @app.exception_handler(Exception)
    @app.exception_handler(404)
    async def theirs(*_: Any) -> Any:
        return PlainTextResponse("theirs", 418)

    def signed_in(who: str | None = None) -> Caller:
        if who is None:
            raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Cookie"})
        return Caller(who, frozenset({"read"}))

    router = create_router(
        resolve(tmp_path, database_url=url, store_url=f"file://{tmp_path}/store"), signed_in
    )
    app.include_router(router, prefix="/v1/astrid", dependencies=[Depends(lambda: None)])

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError

    return TestClient(app, raise_server_exceptions=False)


def test_a_host_keeps_its_own_answers_and_says_who_asks(host: TestClient) -> None:
    assert host.get("/broken").text == "theirs"
    assert host.get("/v1/astrid/training/nothing").text == "theirs"
    refused = host.get("/v1/astrid/training/datasets")
    assert problem(refused, 401, "token-needed")["detail"] == "sign in first"
    assert refused.headers["WWW-Authenticate"] == "Cookie"
    problem(host.get(f"/v1/astrid{DATASET}?who=ada"), 404, "not-found")
    problem(host.post(f"/v1/astrid{COLLECT}?who=ada", json={}), 403, "scope-missing")
    problem(host.delete(f"/v1/astrid{DATASET}"), 405, "method-not-allowed")
    assert host.get("/v1/astrid/training/datasets?who=ada").status_code == 422  # not in ListQuery
