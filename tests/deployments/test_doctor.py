"""The doctor sees a database of a newer version, and shows no password."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from astrid_training.settings import resolve
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
