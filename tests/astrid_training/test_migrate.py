"""Migrations run once each, on an empty database, on AstrID's, and on one with training rows."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from astrid_training import migrate as module
from astrid_training.errors import DatabaseUnavailableError
from astrid_training.migrate import MigrationError, migrate, migrations


def test_a_second_migration_changes_nothing(database: Engine) -> None:
    assert [outcome for _, outcome in migrate(database)] == ["present"] * len(migrations())


def test_a_changed_migration_is_refused(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = migrations()
    changed = module.Migration(first.number, first.name, first.sql + "\n-- edited")
    monkeypatch.setattr(module, "migrations", lambda: [changed, *rest])

    with pytest.raises(MigrationError, match="0001_astrid was applied with another text"):
        migrate(database)


def test_training_tables_with_rows_are_extended_in_place(database: Engine) -> None:
    with database.begin() as connection:
        tables = "training_runs, training_samples, training_datasets"
        connection.execute(text("DROP TABLE training_migrations"))
        connection.execute(text("DROP FUNCTION training_log_label_event CASCADE"))
        connection.execute(
            text(
                "DROP TABLE training_label_events, training_validation_batches, "
                "training_quarantine, training_rejects, "
                f"training_image_catalogue, training_split_members, training_split_ledger, {tables}"
            )
        )
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('abc')"))
        connection.execute(
            text(
                "CREATE TABLE training_datasets (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "
                "name varchar(255) NOT NULL, description text, collection_params jsonb NOT NULL, "
                "total_samples int NOT NULL, anomaly_ratio numeric(5,4) NOT NULL, "
                "quality_score numeric(5,4) NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),"
                "created_by varchar(255) NOT NULL, status varchar(50) NOT NULL)"
            )
        )
        for name in ("a", "a"):  # two active rows of one name are legal in AstrID
            connection.execute(
                text(
                    "INSERT INTO training_datasets (name, collection_params, total_samples, "
                    "anomaly_ratio, quality_score, created_by, status) "
                    "VALUES (:name, '{}', 1, 0.5, 0.9, 'someone', 'active')"
                ),
                {"name": name},
            )

    outcomes = dict(migrate(database))
    migrate(database)

    assert outcomes["0001_astrid"] == "not needed"
    assert outcomes["0004_label_event_log"] == "not needed"
    with database.connect() as connection:
        rows = connection.execute(text("SELECT name, version_id FROM training_datasets")).all()
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        triggers = connection.execute(
            text("SELECT count(*) FROM pg_trigger WHERE tgname = 'training_log_label_event'")
        ).scalar()
    assert [tuple(row) for row in rows] == [("a", None), ("a", None)]
    assert version == "abc"
    assert triggers == 0


def test_an_unreachable_database_is_named_with_its_cure() -> None:
    nowhere = create_engine("postgresql+psycopg://someone:secret@127.0.0.1:1/none")

    with pytest.raises(DatabaseUnavailableError, match="astrid-training up") as caught:
        migrate(nowhere)

    assert "secret" not in str(caught.value)


def test_migrators_that_start_at_once_on_an_empty_database_all_succeed(databases: Any) -> None:
    for _ in range(3):
        empty = databases.make()
        engines = [create_engine(empty.url) for _ in range(4)]
        start = Barrier(len(engines))

        def run(engine: Engine, start: Barrier = start) -> list[tuple[str, str]]:
            engine.connect().close()
            start.wait(timeout=30)
            return migrate(engine)

        try:
            with ThreadPoolExecutor(len(engines)) as pool:
                outcomes = list(pool.map(run, engines))
        finally:
            for engine in engines:
                engine.dispose()
            databases.drop(empty)
        each = zip(*([outcome for _, outcome in one] for one in outcomes), strict=True)
        assert all(sorted(of_step) == ["applied", *["present"] * 3] for of_step in each)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO training_migrations (number, name, digest, outcome) "
                "VALUES (9999, '9999_future', repeat('a', 64), 'applied')"
            )
        )
        connection.execute(text("DELETE FROM training_migrations WHERE number = 1"))

    with pytest.raises(MigrationError, match=r"9999_future; install the version") as caught:
        migrate(database)

    assert "newer" in str(caught.value)
    with database.connect() as connection:
        first = text("SELECT count(*) FROM training_migrations WHERE number = 1")
        assert connection.execute(first).scalar_one() == 0
