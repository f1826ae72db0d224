"""The doctor looks at the database: versions, rights, indexes; and shows no password."""

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from typer.testing import CliRunner

from astrid_training.migrate import migrate
from astrid_training.settings import resolve
from deployments.cli import app
from deployments.embedded.doctor import Check, checks


def test_what_a_newer_version_migrated_is_named_and_no_password_shown(
    database: Engine, tmp_path: Path
) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO training_migrations (number, name, digest, outcome) "
                "VALUES (9999, '9999_future', repeat('a', 64), 'applied')"
            )
        )
    settings = resolve(
        tmp_path,
        database_url=database.url.render_as_string(hide_password=False),
        prefect_api_url="http://me:hidden@127.0.0.1:9/api",
        mlflow_tracking_uri="http://hidden@127.0.0.1:9",
    )

    found = {check.name: check for check in checks(settings)}

    assert found["migrations"].detail == "applied by a newer version: 9999_future"
    assert found["migrations"].cure == "install the version that applied them"
    assert not found["MLflow"].ok
    assert "hidden" not in str(found)
    assert str(database.url.password) not in str(found)


def test_what_migrate_would_refuse_is_named_before_what_it_would_do(
    database: Engine, tmp_path: Path
) -> None:
    with database.begin() as connection:
        connection.execute(text("DELETE FROM training_migrations WHERE number = 12"))
    assert found_in(database, tmp_path)["migrations"].cure == "run `astrid-training migrate`"
    with database.begin() as connection:
        connection.execute(
            text("UPDATE training_migrations SET digest = repeat('a', 64) WHERE number = 2")
        )

    check = found_in(database, tmp_path)["migrations"]

    assert check.detail == "applied with another text: 0002_training"
    assert check.cure == "install the version that applied them"


def test_servers_that_want_another_password_say_where_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Guard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = self.headers["Authorization"] == "Basic bWU6b3Blbg=="  # me:open
            self.send_response(200 if told or self.path.endswith("/health") else 401)
            self.end_headers()
            self.wfile.write(b"3.17.2")

        def log_message(self, *_: object) -> None:
            """Tell nobody."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        settings = resolve(tmp_path, prefect_api_url=f"{address}/api", mlflow_tracking_uri=address)
        found = {check.name: check for check in checks(settings)}
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "open")
        again = {check.name: check for check in checks(settings)}
        server.shutdown()

    assert found["Prefect server"].detail == f"{address}/api wants another password"
    assert "PREFECT_API_AUTH_STRING" in found["Prefect server"].cure
    assert "blocks" not in found
    assert found["MLflow"].detail == f"{address} wants another password"
    assert found["MLflow"].cure == "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    assert "server 3.17.2" in again["MLflow"].detail


def found_in(engine: Engine, home: Path) -> dict[str, Check]:
    url = engine.url.render_as_string(hide_password=False)
    silent = {
        "prefect_api_url": "http://127.0.0.1:9/api",
        "mlflow_tracking_uri": "http://127.0.0.1:9",
    }
    return {check.name: check for check in checks(resolve(home, database_url=url, **silent))}


def test_a_missing_index_is_a_hint_with_the_sql_that_makes_it(
    astrid: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = astrid(training_tables=True)
    migrate(engine)

    found = found_in(engine, tmp_path)

    hint = found["optional index on validation_events (detection_id)"]
    assert (hint.ok, hint.level) == (True, "hint")
    assert hint.cure == (
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_validation_events_detection_id "
        "ON validation_events (detection_id);"
    )
    assert found["optional indexes"].detail == "0 of 4 there"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name, check in found.items():
            if name.startswith("optional index on"):
                connection.execute(text(check.cure))
    assert [name for name in found_in(engine, tmp_path) if name.startswith("optional")] == [
        "optional indexes"
    ]


def test_rights_that_a_collection_lacks_are_named(
    astrid: Callable[..., Engine], tmp_path: Path
) -> None:
    owner = astrid(training_tables=False)
    migrate(owner)
    with owner.begin() as connection:
        for statement in (
            "DROP ROLE IF EXISTS trainee",
            "CREATE ROLE trainee LOGIN PASSWORD 'welcome'",
            "GRANT SELECT ON training_migrations, surveys TO trainee",
        ):
            connection.execute(text(statement))
    trainee = create_engine(owner.url.set(username="trainee", password="welcome"))

    check = found_in(trainee, tmp_path)["database rights"]

    assert not check.ok
    assert "surveys SELECT" not in check.detail
    assert "observations SELECT" in check.detail
    assert "training_samples INSERT" in check.detail
    assert check.cure.endswith("sql/roles/astrid_training.sql")
    assert found_in(owner, tmp_path)["database rights"].ok
    with owner.begin() as connection:
        connection.execute(text("DROP OWNED BY trainee"))


def test_migrate_makes_the_optional_indexes_when_asked(
    astrid: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = astrid(training_tables=True).url.render_as_string(hide_password=False)
    monkeypatch.setenv("ASTRID_DATABASE_URL", url)
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path))
    monkeypatch.setattr("deployments.console.apply_environment", lambda settings: None)

    plain = CliRunner().invoke(app, ["migrate", "--json"])
    asked = CliRunner().invoke(app, ["migrate", "--with-indexes", "--json"])

    assert (plain.exit_code, asked.exit_code) == (0, 0)
    assert {name for name in json.loads(plain.stdout) if name.startswith("ix_")} == set()
    assert json.loads(asked.stdout)["ix_validation_events_detection_id"] == "built"


def look(home: Path, server: Any, **values: str) -> dict[str, Check]:
    settings = resolve(
        home,
        store_endpoint_url=values.pop("endpoint", server.credentials.endpoint_url),
        store_access_key_id=server.credentials.access_key_id,
        store_secret_access_key=server.credentials.secret_access_key,
        **values,
    )
    return {check.name: check for check in checks(settings)}


def test_a_bucket_is_tried_and_left_as_it_was(tmp_path: Path, s3_server: Any) -> None:
    store = s3_server.make_store()

    found = look(tmp_path, s3_server, store_url=store.url, source_bucket=s3_server.make_bucket())

    assert found["store"].ok, found["store"].detail
    assert found["source bucket"].ok, found["source bucket"].detail
    assert store.keys("") == []


@pytest.mark.parametrize(
    ("values", "name", "cause"),
    [
        ({"store_url": "s3://no-such-bucket"}, "store", "NoSuchBucket.*make the bucket"),
        ({"source_bucket": "no-such-bucket"}, "source bucket", "NoSuchBucket.*make the bucket"),
        ({"endpoint": "http://127.0.0.1:9", "store_url": "s3://b"}, "store", "gives no answer"),
    ],
)
def test_a_bucket_that_ails_is_told_with_its_cure_and_without_keys(
    tmp_path: Path, s3_server: Any, values: dict[str, str], name: str, cause: str
) -> None:
    found = look(tmp_path, s3_server, **values)

    assert not found[name].ok
    assert re.search(cause, found[name].detail)
    assert "of-tests" not in str(found)
