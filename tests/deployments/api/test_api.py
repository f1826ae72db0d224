"""The REST API on a real database and store: what it answers, to whom, and how it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from sqlalchemy import text

from astrid_training.api_tokens import Caller, create_token, find_caller, revoke_token, tokens
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.settings import Settings, resolve
from deployments.api import create_router
from deployments.api.app import MOST_BODY, create_app

SCOPES = ("read", "collect")


@pytest.fixture
def settings(sky: Any) -> Settings:
    return resolve(
        sky.home,
        database_url=sky.engine.url.render_as_string(hide_password=False),
        store_url=sky.store.url,
        prefect_api_url="http://127.0.0.1:9/api",  # nobody
        mlflow_tracking_uri="http://127.0.0.1:9",
    )


@pytest.fixture
def api(sky: Any, settings: Settings) -> TestClient:
    """The application, asked with a token of every scope."""
    token = create_token(sky.engine, "tester", SCOPES)
    return TestClient(create_app(settings), headers={"Authorization": f"Bearer {token}"})


def assert_problem(answer: Any, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert all(word in answer.text for word in words), answer.text


def test_datasets_are_listed_newest_first_page_by_page(api: TestClient, collect: Any) -> None:
    ids = [collect(name=f"set{number}").dataset_id for number in range(3)]

    first = api.get("/training/datasets", params={"limit": 2})
    told = first.json()
    assert [one["id"] for one in told["datasets"]] == ids[:0:-1]
    assert (told["total"], told["limit"], told["offset"]) == (3, 2, 0)
    link = first.headers["Link"].partition(">")[0].strip("<")
    second = api.get(link)

    assert [one["id"] for one in second.json()["datasets"]] == ids[:1]
    assert "Link" not in second.headers


def test_filters_choose(api: TestClient, collect: Any) -> None:
    collect(name="one")
    now = datetime.now(UTC)

    def count(**filters: object) -> int:
        total: int = api.get("/training/datasets", params=filters).json()["total"]
        return total

    assert count(name="one") == count(status="active") == count(survey="sim_ztf") == 1
    assert count(created_by="tester") == 1
    assert count(created_from=(now - timedelta(hours=1)).isoformat(), least_quality=0.1) == 1
    assert count(name="other") == count(survey="hst") == count(created_to="2020-01-01") == 0
    assert_problem(api.get("/training/datasets", params={"status": "best"}), 422, "status")
    assert_problem(api.get("/training/datasets", params={"limit": 0}), 422, "limit")
    assert_problem(api.get("/training/datasets", params={"order": "x"}), 422, "order")


def test_a_dataset_its_quality_and_its_load(api: TestClient, sky: Any, collect: Any) -> None:
    made = collect()

    for wanted in (made.dataset_id, made.version_id, made.name):
        told = api.get(f"/training/datasets/{wanted}").json()
        assert (told["id"], told["digests"]["content"]) == (
            made.dataset_id,
            made.digests["content"],
        )
    assert told["surveys"] == {"sim_ztf": made.total_samples}
    assert told["funnel"][-1]["count"] == made.total_samples
    quality = api.get(f"/training/datasets/{made.dataset_id}/quality").json()
    assert quality["quality_score"] == made.quality_score

    loaded = api.post(f"/training/datasets/{made.dataset_id}/load").json()
    assert loaded["splits"] == {name: made.splits[name] for name in ("train", "val", "test")}
    assert loaded["digests"] == made.digests
    assert loaded["objects"] > 4
    with sky.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM training_runs")).scalar_one() == 0


def test_a_damaged_pack_is_named_and_nothing_is_loaded(
    api: TestClient, sky: Any, collect: Any
) -> None:
    made = collect()
    pack = next((sky.home / "store" / "images").iterdir())
    pack.write_bytes(pack.read_bytes()[:-1] + b"?")
    with sky.engine.begin() as connection:  # as a month later, when bytes are read again
        connection.execute(
            text("UPDATE training_objects SET hashed_at = NULL, size = NULL, etag = NULL")
        )

    answer = api.post(f"/training/datasets/{made.dataset_id}/load")

    assert_problem(answer, 409, pack.stem)


def test_a_revoked_dataset_is_told_and_not_loaded(api: TestClient, sky: Any, collect: Any) -> None:
    from astrid_training.catalogue import TrainingDatasetManager

    made = collect()
    TrainingDatasetManager(sky.engine).revoke(made.dataset_id, "wrong reference", "tester")

    told = api.get(f"/training/datasets/{made.dataset_id}").json()
    assert (told["status"], told["events"][0]["reason"]) == ("revoked", "wrong reference")
    assert_problem(api.post(f"/training/datasets/{made.dataset_id}/load"), 409, "wrong reference")


def test_the_report_is_a_page_that_runs_nothing(api: TestClient, sky: Any, collect: Any) -> None:
    made = collect()
    assert_problem(api.get(f"/training/datasets/{made.dataset_id}/report"), 404, "no report yet")
    sky.store.put(f"reports/{made.dataset_id}.html", b"<h1>report</h1>")

    page = api.get(f"/training/datasets/{made.dataset_id}/report")

    assert page.text == "<h1>report</h1>"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"


ROUTES = [
    ("POST", "/training/datasets/collect", "collect"),
    ("GET", "/training/datasets", "read"),
    ("GET", "/training/datasets/x", "read"),
    ("GET", "/training/datasets/x/quality", "read"),
    ("GET", "/training/datasets/x/report", "read"),
    ("POST", "/training/datasets/x/load", "read"),
    ("GET", f"/training/runs/{uuid4()}", "read"),
]


def test_every_route_is_closed_without_a_token_of_its_scope(
    api: TestClient, sky: Any, settings: Settings
) -> None:
    paths = create_app(settings).openapi()["paths"]
    assert len(ROUTES) == sum(len(one) for path, one in paths.items() if path != "/health")
    outside = TestClient(create_app(settings))
    narrow = {scope: create_token(sky.engine, f"only-{scope}", [scope]) for scope in SCOPES}
    other = {"read": "collect", "collect": "read"}

    for method, path, scope in ROUTES:
        body: dict[str, Any] = {"json": {}} if path.endswith("collect") else {}
        assert_problem(outside.request(method, path, **body), 401, "token create")
        for value in ("Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer", "Bearer  "):
            bad = outside.request(method, path, headers={"Authorization": value}, **body)
            assert bad.status_code == 401
            assert bad.headers["WWW-Authenticate"].startswith("Bearer")
        without = {"Authorization": f"Bearer {narrow[other[scope]]}"}
        assert_problem(outside.request(method, path, headers=without, **body), 403, scope)
    assert outside.get("/health").json() == {"status": "ok"}


def test_tokens_expire_are_revoked_and_are_kept_as_hashes(sky: Any) -> None:
    engine, now = sky.engine, datetime.now(UTC)
    lasting = create_token(engine, "lasting", ["read"], now + timedelta(hours=1))
    late = create_token(engine, "late", ["read"], now - timedelta(seconds=1))

    assert find_caller(engine, lasting) == Caller("lasting", frozenset({"read"}))
    assert find_caller(engine, late) is None
    revoke_token(engine, "lasting")
    assert find_caller(engine, lasting) is None
    assert [one.name for one in tokens(engine)] == ["lasting", "late"]
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM training_api_tokens")).all())
    assert lasting not in kept
    with pytest.raises(ValueError, match="used once"):
        create_token(engine, "late", ["read"])
    with pytest.raises(ValueError, match="scopes"):
        create_token(engine, "other", ["admin"])
    with pytest.raises(ValueError, match="no name"):
        create_token(engine, "a b", ["read"])
    with pytest.raises(LookupError, match="nobody"):
        revoke_token(engine, "nobody")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"max_samples": 0}, ["max_samples"]),
        ({"no_such": 1}, ["no_such"]),
        ({"date_range": ["2024-07-01", "2024-01-01"]}, ["date_range"]),
        ({"preprocess": {"stamp_size": 63}}, ["stamp_size"]),
        ([], ["body"]),
    ],
)
def test_wrong_parameters_are_refused_before_a_run_is_made(
    api: TestClient, body: Any, words: list[str]
) -> None:
    assert_problem(api.post("/training/datasets/collect", json=body), 422, *words)


def test_a_refusal_repeats_nothing_of_what_was_sent(api: TestClient) -> None:
    answer = api.post("/training/datasets/collect", json={"max_samples": "s3cr3t"})

    assert "s3cr3t" not in answer.text


def test_without_a_prefect_server_collecting_says_so(api: TestClient) -> None:
    answer = api.post("/training/datasets/collect", json={"name": "x"})

    assert_problem(answer, 503, "astrid-training up")
    assert answer.headers["Retry-After"] == "10"


def test_what_is_not_there_is_a_problem_too(api: TestClient) -> None:
    assert_problem(api.get("/training/datasets/nebulae"), 404, "nebulae")
    assert_problem(api.get("/training/datasets/" + "x" * 300), 422)
    assert_problem(api.get("/training/runs/five"), 422)
    assert_problem(api.get("/no/such/path"), 404)
    assert_problem(api.delete("/training/datasets"), 405)


@pytest.mark.parametrize(
    "wanted", ["..%2f..%2fetc", "%00", "' OR 1=1 --", "\U0001f52d", "%ff", "a;b", "null"]
)
def test_odd_names_are_not_found_and_break_nothing(api: TestClient, wanted: str) -> None:
    assert api.get(f"/training/datasets/{wanted}").status_code in {404, 422}
    assert api.get(f"/training/datasets?name={wanted}").status_code in {200, 422}


def test_a_body_has_its_limit_also_in_pieces(api: TestClient) -> None:
    large = b'{"name": "' + b"x" * MOST_BODY + b'"}'

    whole = api.post("/training/datasets/collect", content=large)
    pieces = api.post(
        "/training/datasets/collect",
        content=iter([large[: MOST_BODY // 2], large[MOST_BODY // 2 :]]),
        headers={"Content-Type": "application/json"},
    )

    assert_problem(whole, 413)
    assert_problem(pieces, 413)


def test_a_request_is_named_in_its_answer(api: TestClient) -> None:
    assert api.get("/health", headers={"X-Request-ID": "r1"}).headers["X-Request-ID"] == "r1"
    assert api.get("/health").headers["X-Request-ID"]


def test_mounted_elsewhere_it_keeps_to_itself(sky: Any, settings: Settings, collect: Any) -> None:
    made = collect()
    host = FastAPI()

    def theirs(request: Request, scope: str) -> Caller:
        if request.headers.get("X-User") is None:
            raise HTTPException(401, "log in")
        return Caller("astrid-user", frozenset({scope}))

    host.include_router(create_router(settings, theirs), prefix="/api/v1")
    client = TestClient(host)

    assert_problem(client.get("/api/v1/training/datasets"), 401, "log in")
    asked = client.get("/api/v1/training/datasets", headers={"X-User": "x"}).json()
    assert asked["datasets"][0]["id"] == made.dataset_id
    assert client.get("/elsewhere").json() == {"detail": "Not Found"}


def test_the_description_tells_each_parameter_and_an_example(settings: Settings) -> None:
    document = create_app(settings).openapi()

    schema = document["components"]["schemas"]["CollectRequest"]
    assert set(schema["properties"]) == set(TrainingDataCollectionParams.model_fields)
    assert schema["examples"][0]["survey_ids"] == ["hst", "jwst"]
    for path, methods in document["paths"].items():
        for told in methods.values():
            assert told["summary"]
            assert path == "/health" or set(told["responses"]) >= {"401", "403", "404", "503"}
