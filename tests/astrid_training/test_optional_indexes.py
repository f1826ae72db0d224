"""Indexes on AstrID's tables are made when asked for, whatever an earlier attempt has left."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from astrid_training.database import open_database
from astrid_training.errors import DatabaseRightsError
from astrid_training.migrate import MigrationError, migrate
from astrid_training.optional_indexes import (
    build_indexes,
    index_states,
    index_warnings,
    optional_indexes,
)

AstridDatabase = Callable[..., Engine]
NAMES = [
    "ix_candidates_observation_id",
    "ix_difference_runs_observation_id",
    "ix_preprocess_runs_observation_id",
    "ix_validation_events_detection_id",
]
REVIEWS = NAMES[-1]


def states(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {one.index.name: one.state for one in index_states(connection)}


def leave_a_broken_build(engine: Engine) -> None:
    """Fail a concurrent build as PostgreSQL itself does: by a duplicate in a unique index."""
    again = text(
        "INSERT INTO validation_events (id, detection_id, validator_id, is_valid) "
        "SELECT :id, detection_id, 'grace', true FROM validation_events LIMIT 1"
    )
    with engine.begin() as connection:
        connection.execute(again, {"id": uuid4()})
    build = f"CREATE UNIQUE INDEX CONCURRENTLY {REVIEWS} ON validation_events (detection_id)"
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(Exception, match="could not create unique index"),
    ):
        connection.execute(text(build))


def test_each_says_what_it_is_for_and_on_which_column_it_lies() -> None:
    found = optional_indexes()

    assert [one.name for one in found] == NAMES
    assert all(one.purpose.endswith(".") for one in found)
    assert all(f"{one.name} ON {one.table} ({one.column})" in one.create for one in found)
    assert all(one.drop == f"DROP INDEX CONCURRENTLY IF EXISTS {one.name}" for one in found)


def test_an_empty_database_has_them_from_the_start(database: Engine) -> None:
    assert set(states(database).values()) == {"present"}


def test_migrations_make_none_on_astrids_tables(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=True)
    migrate(engine)

    assert set(states(engine).values()) == {"absent"}


def test_they_are_built_once(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=False)

    assert build_indexes(engine) == [(name, "built") for name in NAMES]
    assert build_indexes(engine) == [(name, "present") for name in NAMES]


@pytest.mark.parametrize(
    ("index", "state"),
    [
        ("anything ON validation_events (detection_id, created_at)", "present"),
        ("anything ON validation_events (created_at, detection_id)", "absent"),
        ("anything ON validation_events (detection_id) WHERE is_valid", "absent"),
    ],
)
def test_an_index_that_serves_counts_under_any_name(
    astrid: AstridDatabase, index: str, state: str
) -> None:
    engine = astrid(training_tables=False)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE INDEX {index}"))

    assert states(engine)[REVIEWS] == state


def test_what_a_failed_build_left_is_noticed_and_replaced(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=False)
    leave_a_broken_build(engine)

    assert states(engine)[REVIEWS] == "broken"
    with engine.connect() as connection:
        cure = {one.index.name: one.cure for one in index_states(connection)}[REVIEWS]
    assert cure.startswith(f"DROP INDEX CONCURRENTLY IF EXISTS {REVIEWS}; CREATE INDEX")
    assert dict(build_indexes(engine))[REVIEWS] == "built"
    assert states(engine)[REVIEWS] == "present"


def test_a_name_that_is_taken_by_another_index_is_told(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=False)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE INDEX {REVIEWS} ON validation_events (created_at)"))

    with pytest.raises(MigrationError, match=f"{REVIEWS} was not built: an index of this name"):
        build_indexes(engine)


def test_a_second_builder_leaves_the_first_alone(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=False)
    with engine.begin() as reader, ThreadPoolExecutor(1) as pool:
        reader.execute(text("SELECT count(*) FROM validation_events"))
        reader.execute(text("LOCK TABLE candidates IN ROW EXCLUSIVE MODE"))
        first = pool.submit(build_indexes, engine)  # waits for this transaction to end
        deadline = time.monotonic() + 30
        while states(engine)[NAMES[0]] != "building":
            assert time.monotonic() < deadline
            time.sleep(0.02)

        with pytest.raises(MigrationError, match="another process builds the indexes"):
            build_indexes(engine)
        reader.rollback()
        assert first.result(timeout=60) == [(name, "built") for name in NAMES]


def test_only_the_tables_owner_can_build_them(astrid: AstridDatabase) -> None:
    owner = astrid(training_tables=False)
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS visitor"))
        connection.execute(text("CREATE ROLE visitor LOGIN PASSWORD 'welcome'"))
    visitor = open_database(
        owner.url.set(username="visitor", password="welcome").render_as_string(hide_password=False)
    )

    with pytest.raises(DatabaseRightsError, match="must be owner of table candidates"):
        build_indexes(visitor)
    visitor.dispose()


def test_a_collection_warns_of_large_tables_alone(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=False)
    grown = text("UPDATE pg_class SET reltuples = 1500000 WHERE oid = to_regclass(:table)")
    with engine.begin() as connection:
        assert index_warnings(connection) == []
        connection.execute(grown, {"table": "validation_events"})
        (told,) = index_warnings(connection)
    build_indexes(engine)
    with engine.begin() as connection:
        connection.execute(grown, {"table": "validation_events"})
        assert index_warnings(connection) == []

    assert told == (
        "validation_events has about 1,500,000 rows and no index on detection_id, so each collection "
        "reads all of it; let its owner run `astrid-training migrate --with-indexes`"
    )
