"""The doctor sees a database of a newer version, and shows no password."""

from pathlib import Path

from sqlalchemy import Engine, text

from astrid_training.settings import resolve
from deployments.embedded.doctor import checks


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
