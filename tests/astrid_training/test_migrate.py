"""Migrations run once each, on an empty database, on AstrID's, and on one with training rows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from astrid_training import migrate as module
from astrid_training.database import open_database
from astrid_training.errors import DatabaseRightsError, DatabaseUnavailableError
from astrid_training.migrate import MigrationError, migrate, migrations
from astrid_training.simulate import SkyPlan, simulate

AstridDatabase = Callable[..., Engine]


def test_a_second_migration_changes_nothing(database: Engine) -> None:
    assert [outcome for _, outcome in migrate(database)] == ["present"] * len(migrations())


def test_a_changed_migration_is_refused(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = migrations()
    changed = module.Migration(first.number, first.name, first.sql + "\n-- edited")
    monkeypatch.setattr(module, "migrations", lambda: [changed, *rest])

    with pytest.raises(MigrationError, match="0001_astrid was applied with another text"):
        migrate(database)


ASTRIDS = {"without the training tables": False, "with the training tables and rows": True}
OURS_TOO = ("training_datasets", "training_samples", "training_runs")
situations = pytest.mark.parametrize("training_tables", ASTRIDS.values(), ids=ASTRIDS.keys())

DEFINITIONS = """
SELECT 'table', relname, relfilenode::text FROM pg_class WHERE oid = :table
UNION ALL
SELECT 'column', attname, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = :table AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = :table
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = :table
UNION ALL
SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = :table AND NOT tgisinternal
UNION ALL
SELECT 'rights', relname, relowner::regrole || ' ' || coalesce(relacl::text, '') FROM pg_class WHERE oid = :table
"""


class Snapshot(NamedTuple):
    """What a table is and holds."""

    definitions: set[tuple[str, str, str]]
    rows: list[str]


def snapshots(engine: Engine, columns: dict[str, list[str]] | None = None) -> dict[str, Snapshot]:
    """Return every table, or the named columns of the named tables, rows as PostgreSQL prints them."""
    with engine.connect() as connection:
        names = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ).scalars()
        wanted = columns or {name: columns_of(connection, name) for name in names}
        found = {}
        for name, own in wanted.items():
            table = connection.execute(
                text("SELECT to_regclass(:n)::oid"), {"n": name}
            ).scalar_one()
            definitions = connection.execute(text(DEFINITIONS), {"table": table}).all()
            rows = connection.execute(
                text(f"SELECT ROW({', '.join(own)})::text FROM {name} ORDER BY 1")
            )
            found[name] = Snapshot({(k, n, d) for k, n, d in definitions}, list(rows.scalars()))
        return found


def columns_of(connection: Connection, table: str) -> list[str]:
    names = text(
        "SELECT quote_ident(attname) FROM pg_attribute "
        "WHERE attrelid = to_regclass(:n) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return list(connection.execute(names, {"n": table}).scalars())


@situations
def test_astrids_tables_and_every_row_are_left_as_they_are(
    astrid: AstridDatabase, *, training_tables: bool
) -> None:
    engine = astrid(training_tables=training_tables)
    before = snapshots(engine)
    with engine.connect() as connection:
        own = {name: columns_of(connection, name) for name in before}

    outcomes = dict(migrate(engine))
    again = [outcome for _, outcome in migrate(engine)]
    after = snapshots(engine, own)

    assert {name for name, outcome in outcomes.items() if outcome == "not needed"} == {
        "0001_astrid",
        "0004_label_event_log",
    }
    assert set(again) == {"present"}
    for name in before:
        assert after[name].rows == before[name].rows, name
        if name in OURS_TOO:
            assert before[name].definitions <= after[name].definitions, name
        else:
            assert before[name].definitions == after[name].definitions, name
    assert before["alembic_version"].rows == ["(682ada03d87e)"]
    assert all(snapshot.rows for snapshot in before.values())


@situations
def test_migrators_that_start_at_once_beside_astrid_all_succeed(
    astrid: AstridDatabase, *, training_tables: bool
) -> None:
    url = astrid(training_tables=training_tables).url
    engines = [create_engine(url) for _ in range(4)]
    start = Barrier(len(engines))

    def run(engine: Engine) -> list[tuple[str, str]]:
        start.wait(timeout=30)
        return migrate(engine)

    try:
        with ThreadPoolExecutor(len(engines)) as pool:
            outcomes = list(pool.map(run, engines))
    finally:
        for engine in engines:
            engine.dispose()

    each = zip(*([outcome for _, outcome in one] for one in outcomes), strict=True)
    assert all(sorted(of_step)[1:] == ["present"] * 3 for of_step in each)


def test_astrids_schema_is_the_one_of_the_urls_search_path(astrid: AstridDatabase) -> None:
    url = astrid(training_tables=True, schema="observatory").url
    engine = open_database(
        url.update_query_dict({"options": "-c search_path=observatory"}).render_as_string(
            hide_password=False
        )
    )

    outcomes = dict(migrate(engine))

    with engine.connect() as connection:
        schemas = connection.execute(
            text("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'training%'")
        ).scalars()
        assert list(schemas) == ["observatory"]
        assert connection.execute(text("SHOW timezone")).scalar() == "UTC"
    engine.dispose()
    assert outcomes["0001_astrid"] == "not needed"


def test_a_migration_waits_for_no_writer_for_long(
    astrid: AstridDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = astrid(training_tables=False)
    monkeypatch.setattr(module, "LOCK_TIMEOUT", "100ms")

    with engine.begin() as writer:
        writer.execute(text("UPDATE observations SET airmass = 1.2"))
        with pytest.raises(MigrationError, match=r"0002_training was not applied.*run .* again"):
            migrate(engine)

    assert dict(migrate(engine))["0002_training"] == "applied"


def test_an_astrid_that_lacks_tables_is_named_with_its_cure(astrid: AstridDatabase) -> None:
    engine = astrid(training_tables=False)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE detections CASCADE"))

    with pytest.raises(MigrationError, match='"detections" does not exist; bring them up to date'):
        migrate(engine)


def test_a_role_without_rights_is_told_who_can_help(astrid: AstridDatabase) -> None:
    owner = astrid(training_tables=False)
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS guest"))
        connection.execute(text("CREATE ROLE guest LOGIN PASSWORD 'welcome'"))
    guest = open_database(
        owner.url.set(username="guest", password="welcome").render_as_string(hide_password=False)
    )

    with pytest.raises(DatabaseRightsError, match="permission denied for schema public") as caught:
        migrate(guest)

    guest.dispose()
    assert "role guest" in str(caught.value)
    assert "sql/roles/astrid_training.sql" in str(caught.value)
    assert "welcome" not in str(caught.value)


def test_what_is_migrated_already_needs_no_right_to_make_tables(astrid: AstridDatabase) -> None:
    owner = astrid(training_tables=False)
    migrate(owner)
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS onlooker"))
        connection.execute(text("CREATE ROLE onlooker LOGIN PASSWORD 'welcome'"))
        connection.execute(text("GRANT SELECT ON training_migrations TO onlooker"))
    onlooker = open_database(
        owner.url.set(username="onlooker", password="welcome").render_as_string(hide_password=False)
    )

    assert {outcome for _, outcome in migrate(onlooker)} == {"present"}
    onlooker.dispose()
    with owner.begin() as connection:
        connection.execute(text("DROP OWNED BY onlooker"))


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


@pytest.mark.slow
def test_a_dataset_of_an_older_schema_is_the_same_after_the_upgrade_and_not_built_again(
    databases: Any, sky: Any, make_sky: Any, collect_from: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_sky(databases.make(), sky.home, sky.home / "truth.jsonl", sky.store)
    migrate(old.engine)
    with old.engine.begin() as connection:
        simulate(SkyPlan(fields=4, epochs=2), connection, _put(sky.store), old.truth)
    made = collect_from(old)(name="kept")
    like = databases.make()
    with monkeypatch.context() as patch:
        patch.setattr(module, "migrations", lambda: migrations()[:10])
        assert len(migrate(like)) == 10
    take_back(old.engine, like)
    databases.drop(like)
    before = snapshots(old.engine)
    with old.engine.connect() as connection:
        own = {name: columns_of(connection, name) for name in before}

    outcomes = dict(migrate(old.engine))

    assert [name for name, outcome in outcomes.items() if outcome == "applied"] == [
        step.name for step in migrations()[10:]
    ]
    after = snapshots(old.engine, own)
    for name in before.keys() - {"training_migrations"}:
        assert after[name].rows == before[name].rows, name
    again = collect_from(old)(name="kept")
    assert again.reused
    assert again.dataset_id == made.dataset_id
    of_content = made.digests.keys() - {"query"}  # which has the instant it was asked at
    assert {name: again.digests[name] for name in of_content} == {
        name: made.digests[name] for name in of_content
    }
    databases.drop(old.engine)


def take_back(engine: Engine, like: Engine) -> None:
    """Drop the tables and columns that another database of an older schema has not."""
    with engine.begin() as connection, like.connect() as older:
        known, there = (ours(one) for one in (older, connection))
        for name in there - known:
            connection.execute(text(f"DROP TABLE {name} CASCADE"))
        connection.execute(text("DROP FUNCTION training_refuse_change CASCADE"))
        for name in there & known:
            new = set(columns_of(connection, name)) - set(columns_of(older, name))
            for column in new:
                connection.execute(text(f"ALTER TABLE {name} DROP COLUMN {column}"))
        connection.execute(text("DELETE FROM training_migrations WHERE number > 10"))


def ours(connection: Connection) -> set[str]:
    found = text("SELECT tablename FROM pg_tables WHERE tablename LIKE 'training\\_%'")
    return set(connection.execute(found).scalars())


def _put(store: Any) -> Callable[[str, bytes], str]:
    def put(key: str, data: bytes) -> str:
        store.put(key, data)
        return key

    return put


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
