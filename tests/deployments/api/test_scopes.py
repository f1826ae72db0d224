"""Every route asks for a scope that is stated here, and for a token before anything else."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from astrid_training.api_tokens import SCOPES, create_token, find_token, revoke_token
from deployments.api import create_app
from deployments.api.auth import needs, scope_of
from deployments.api.router import UnguardedRouteError, check_guarded

pytestmark = pytest.mark.trust

UUID = "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10"
STATED = {
    "POST /training/datasets/collect": "collect",
    "POST /training/review-queues": "collect",
    "GET /training/audit": "manage",
    **dict.fromkeys(
        (
            "GET /training/datasets",
            "GET /training/datasets/{dataset_id}",
            "GET /training/datasets/{dataset_id}/quality",
            "GET /training/datasets/{dataset_id}/report",
            "GET /training/datasets/{dataset_id}/card",
            "GET /training/datasets/{dataset_id}/croissant",
            "GET /training/datasets/{wanted}/lineage",
            "GET /training/datasets/{dataset_id}/compare/{other}",
            "POST /training/datasets/{dataset_id}/load",
            "GET /training/runs/{flow_run_id}",
            "GET /training/runs/{flow_run_id}/metrics",
            "GET /training/review-queues/{queue_id}",
        ),
        "read",
    ),
}
FREE = {"GET /health", "GET /docs", "GET /openapi.json"}
"""What needs no token: whether the database answers, and the description."""


def routes() -> dict[str, str | None]:
    """Return every route of the application, and the scope that it asks for."""
    found = {}
    for context in create_app().router.routes:
        for route in _leaves(context):
            for method in sorted((getattr(route, "methods", None) or {"GET"}) - {"HEAD"}):
                scope = scope_of(route) if isinstance(route, APIRoute) else None
                found[f"{method} {route.path}"] = scope
    return found


def _leaves(route: Any) -> list[Any]:
    included = getattr(route, "original_router", None)
    return (
        [route] if included is None else [leaf for one in included.routes for leaf in _leaves(one)]
    )


def test_every_route_asks_for_the_scope_that_is_stated() -> None:
    assert routes() == {**STATED, **dict.fromkeys(FREE)}


def test_a_route_without_a_scope_is_not_served() -> None:
    router = APIRouter()
    router.get("/guarded", dependencies=[needs("read", lambda: None)])(lambda: None)
    check_guarded(router)
    router.get("/open")(lambda: None)

    with pytest.raises(UnguardedRouteError, match="/open"):
        check_guarded(router)


def ask(client: TestClient, name: str, token: str | None) -> Any:
    method, path = name.split(" ")
    for variable in ("dataset_id", "wanted", "other", "flow_run_id", "queue_id"):
        path = path.replace(f"{{{variable}}}", UUID)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body: Any = {"nonsense": 1} if method == "POST" else None
    return client.request(method, path, headers=headers, json=body)


def kinds(client: TestClient, tokens: dict[str, str | None], name: str) -> dict[str, str]:
    told = {whose: ask(client, name, token) for whose, token in tokens.items()}
    return {whose: one.json().get("type", "").rpartition(":")[2] for whose, one in told.items()}


def test_each_route_lets_in_the_tokens_of_its_scope_alone(
    api: TestClient, empty_database: Engine
) -> None:
    stranger = TestClient(api.app, raise_server_exceptions=False)
    made = {
        scope: create_token(empty_database, f"{scope}-{uuid4().hex}", [scope], "tester")
        for scope in SCOPES
    }
    for name, scope in STATED.items():
        others = {whose: token for whose, token in made.items() if whose != scope}
        refused = kinds(stranger, {**others, "nobody": None}, name)
        assert refused == {**dict.fromkeys(others, "scope-missing"), "nobody": "token-needed"}
        let_in = ask(stranger, name, made[scope])
        assert let_in.status_code not in {401, 403}, (name, let_in.text)


def test_what_is_wrong_with_a_token_is_not_told(api: TestClient, empty_database: Engine) -> None:
    names = [f"{kind}-{uuid4().hex}" for kind in ("expired", "revoked", "good")]
    expired, revoked, good = (
        create_token(empty_database, name, ["read"], "tester", timedelta(hours=1)) for name in names
    )
    with empty_database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE training_api_tokens SET expires_at = now() WHERE name = %(name)s",
            {"name": names[0]},
        )
    revoke_token(empty_database, names[1])
    wrong = [expired, revoked, good[:-1], good + "x", good.swapcase(), "astrid_x", "x" * 5000]
    stranger = TestClient(api.app, raise_server_exceptions=False)
    answers = [ask(stranger, "GET /training/datasets", token) for token in wrong]

    told = [{**one.json(), "request_id": ""} for one in answers]
    heads = [{**one.headers, "x-request-id": ""} for one in answers]
    assert all(one == told[0] for one in told)
    assert all(one == heads[0] for one in heads)
    assert answers[0].status_code == 401


def test_the_database_sees_a_tokens_digest_and_looks_up_each_in_the_same_way(
    empty_database: Engine,
) -> None:
    good = create_token(empty_database, f"known-{uuid4().hex}", ["read"], "tester")
    find_token(empty_database, good)  # its use is noted once a minute
    sent: list[tuple[str, str]] = []

    def keep(_c: Any, _u: Any, statement: str, parameters: Any, *_more: Any) -> None:
        sent.append((statement, str(parameters)))

    event.listen(empty_database, "before_cursor_execute", keep)
    asked = []
    for token in (good, good[:-1] + ("a" if good[-1] != "a" else "b"), "astrid_" + "z" * 43, ""):
        sent.clear()
        find_token(empty_database, token)
        assert not token or token not in str(sent)
        asked.append([statement for statement, _ in sent])
    event.remove(empty_database, "before_cursor_execute", keep)

    assert all(statements == asked[0] for statements in asked)
