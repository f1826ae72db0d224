"""No text that a caller gives becomes SQL, a path or a program: the answer is a reason, and all stays."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine, text

from astrid_training.api_tokens import create_token
from astrid_training.database import open_database
from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.review_params import ReviewQueueParams
from astrid_training.review_queue import make_review_queue
from astrid_training.selection import select_subjects
from astrid_training.settings import DERIVED, ENVIRONMENT, resolve
from astrid_training.training_params import TrainingParams
from deployments.api import Limits, create_app
from tests.deployments.small_survey import cli_here

pytestmark = [pytest.mark.trust, pytest.mark.slow]
PAYLOADS = (
    *(
        "'; DROP TABLE training_datasets; --",
        "' OR '1'='1",
        "1); DELETE FROM detections; --",
        "\\'; --",
    ),
    *(
        "x' UNION SELECT token_hash FROM training_api_tokens --",
        "%' --",
        "$$; DROP SCHEMA public; $$",
    ),
    *(
        ":dataset_id",
        "%(dataset_id)s",
        "{0.__class__}",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "$(touch evil)",
    ),
    *("../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "file:///etc/passwd"),
    *(
        "a\0b",
        "\u202ename",
        "\ufeff",
        "x" * 255,
        "-1",
        "NaN",
        "null",
        "[]",
        "--help",
        "*",
        "%",
        "_",
        "",
    ),
)
PRINTED = ("root:x:0:", "psycopg", "Traceback", "sqlalche.me")
"""What an answer must not hold: a file of the system, our insides."""


@pytest.fixture(scope="module")
def filled(databases: Any, _migrated: str) -> Iterator[Engine]:
    """A migrated database that the tests of this file share."""
    engine = databases.make(_migrated)
    yield engine
    open_database(engine.url.render_as_string(hide_password=False)).dispose()
    databases.drop(engine)


def state(engine: Engine) -> Any:
    """Return tables, columns, roles and what must not change in them."""
    asked = (
        (
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3"
        ),
        "SELECT rolname, rolsuper FROM pg_roles ORDER BY 1",
        (
            "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace "
            "WHERE nspname = 'public' ORDER BY 1"
        ),
        "SELECT count(*) FROM training_migrations",
    )
    with engine.connect() as connection:
        return [connection.execute(text(one)).all() for one in asked]


def text_fields(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield where a text may stand: each field, and those of the models within."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        yield (*above, name)
        for kind in inner:
            yield from text_fields(kind, (*above, name))


def placed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    found: dict[str, Any] = value
    return found


def shapes(payload: str) -> list[Any]:
    return [payload, [payload], [payload, payload], {payload: payload}]


FIELDS = [
    pytest.param(model, path, id=f"{model.__name__}.{'.'.join(path)}")
    for model in (TrainingDataCollectionParams, ReviewQueueParams, TrainingParams)
    for path in text_fields(model)
]


@pytest.mark.parametrize(("model", "path"), FIELDS)
def test_no_parameter_reaches_sql_as_sql(
    filled: Engine, tally: Any, model: type[BaseModel], path: tuple[str, ...]
) -> None:
    before, taken = state(filled), 0
    for payload in PAYLOADS:
        for shape in shapes(payload):
            try:
                params = model.model_validate(placed(path, shape))
            except ValidationError:
                continue
            taken += 1
            if not isinstance(params, TrainingParams):
                use(filled, params)

    assert state(filled) == before
    tally("cases fuzzed", 4 * len(PAYLOADS))


def use(engine: Engine, params: Any) -> None:
    """Ask the database with these parameters; that they name nothing is the one refusal there is."""
    now = datetime.now(UTC)
    with suppress(CollectionRefusedError):
        if isinstance(params, ReviewQueueParams):
            make_review_queue(engine, params, now, "tester")
            return
        with engine.begin() as connection:
            select_subjects(connection, params, now)


@pytest.fixture(scope="module")
def client(filled: Engine, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    home = tmp_path_factory.mktemp("home")
    places = resolve(
        home,
        database_url=filled.url.render_as_string(hide_password=False),
        store_url=f"file://{home}/store",
        prefect_api_url="http://127.0.0.1:9/api",
    )
    token = create_token(filled, "ada", ["read", "collect"], "tester")
    headers = {"Authorization": f"Bearer {token}"}
    return TestClient(
        create_app(places, limits=Limits(0, 0)), headers=headers, raise_server_exceptions=False
    )


DOCUMENT = create_app().openapi()
OPERATIONS = [
    (verb.upper(), path, told)
    for path, verbs in DOCUMENT["paths"].items()
    for verb, told in verbs.items()
]


@pytest.mark.parametrize(
    ("verb", "path", "told"), OPERATIONS, ids=[f"{one[0]} {one[1]}" for one in OPERATIONS]
)
def test_no_parameter_of_the_api_reaches_sql_or_a_path(
    client: TestClient, filled: Engine, tally: Any, verb: str, path: str, told: dict[str, Any]
) -> None:
    before, asked = state(filled), 0
    for parameter in told.get("parameters", []):
        for payload in PAYLOADS:
            answer = ask(client, verb, path, parameter, payload)
            asked += 1
            is_away = answer.status_code == 503 and "Prefect" in answer.text
            assert answer.status_code < 500 or is_away, (parameter["name"], payload, answer.text)
            assert not any(word in answer.text for word in PRINTED), answer.text

    assert state(filled) == before
    tally("requests served", asked)


def ask(client: TestClient, verb: str, path: str, parameter: dict[str, Any], payload: str) -> Any:
    """Send a request of which one parameter is the payload."""
    name, where = parameter["name"], parameter["in"]
    if where == "path":
        path = path.replace(f"{{{name}}}", quote(payload, safe="") or "%20")
    for other in ("dataset_id", "other", "wanted", "flow_run_id", "queue_id"):
        path = path.replace(f"{{{other}}}", "0190c8f2-8e5e-7c55-9d0e-6a2c4c1f2b10")
    headers = {name: payload.encode("utf-8").replace(b"\0", b"")} if where == "header" else {}
    query = {name: payload} if where == "query" else {}
    return client.request(
        verb, path, headers=headers, params=query, json={} if verb == "POST" else None
    )


BODIES: dict[str, type[BaseModel]] = {
    "/training/datasets/collect": TrainingDataCollectionParams,
    "/training/review-queues": ReviewQueueParams,
}


@pytest.mark.parametrize("path", BODIES)
def test_no_member_of_a_body_reaches_sql_or_a_path(
    client: TestClient, filled: Engine, tally: Any, path: str
) -> None:
    before, asked = state(filled), 0
    for field in text_fields(BODIES[path]):
        for payload in PAYLOADS[::4]:
            answer = client.post(path, json=placed(field, payload))
            asked += 1
            is_away = answer.status_code == 503 and "Prefect" in answer.text
            assert answer.status_code < 500 or is_away, (field, payload, answer.text)
            assert not any(word in answer.text for word in PRINTED), answer.text

    assert state(filled) == before
    tally("requests served", asked)


COMMANDS = (
    *(("show", "{}"), ("quality", "{}"), ("report", "{}"), ("card", "{}"), ("lineage", "{}")),
    *(("compare", "{}", "{}"), ("revoke", "{}", "--reason", "{}"), ("export", "{}", "-o", "{out}")),
    *(("datasets", "--name", "{}"), ("datasets", "--survey", "{}"), ("datasets", "--status", "{}")),
    *(("datasets", "--created-by", "{}"), ("token", "create", "{}"), ("token", "revoke", "{}")),
    *(("import-alerts", "{}"), ("import-alerts", "{alerts}", "--survey", "{}")),
    *(("import-alerts", "{alerts}", "--labels", "{}"), ("predict", "{}", "--dataset", "{}")),
    *(("simulate", "--names", "{}", "--layout", "{}"), ("collect", "--params", "{}")),
    *(("collect", "--preprocess", "{}"), ("collect", "--cone", "{}"), ("train", "{}")),
    *(("restore", "{}", "--yes"), ("review", "show", "{}")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(one[:2]) for one in COMMANDS])
def test_no_argument_of_a_command_reaches_sql_a_path_or_a_shell(
    filled: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tally: Any,
    command: tuple[str, ...],
) -> None:
    _settle(filled, tmp_path, monkeypatch)
    before = state(filled)
    for payload in PAYLOADS:
        payload = payload.replace("\0", "")  # no command line holds one
        places = {"alerts": str(tmp_path / "work" / "none.avro"), "out": str(tmp_path / "out")}
        arguments = [one.format(payload, **places) for one in command]
        done = cli_here(tmp_path / "home", *arguments, PREFECT_API_URL="http://127.0.0.1:9/api")

        assert not any(word in done.output for word in PRINTED), done.output

    assert state(filled) == before
    assert not list(tmp_path.rglob("*evil*"))
    assert [one.name for one in (tmp_path / "work").iterdir()] == ["none.avro"]
    tally("cases fuzzed", len(PAYLOADS))


def _settle(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty folder to work in, and set the database alone."""
    for variable in (*ENVIRONMENT.values(), DERIVED):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ASTRID_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    (folder / "work").mkdir()
    (folder / "work" / "none.avro").write_bytes(b"")
    monkeypatch.chdir(folder / "work")
    os.environ.pop("PGOPTIONS", None)


def test_an_argument_that_is_no_text_is_said_to_be_none() -> None:
    command: list[str | bytes] = [sys.executable, "-m", "deployments.cli", "show", b"\xff\xfe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "not UTF-8" in done.stderr
    assert "Traceback" not in done.stderr
