"""Each role's rights on each table of the schema: a table without a line here fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from astrid_training.errors import DatabaseRightsError
from astrid_training.migrate import migrate

AstridDatabase = Callable[..., Engine]

SCHEMA = Path(__file__).parents[2] / "astrid" / "schema.sql"
READS = frozenset({"SELECT"})
ADDS = READS | {"INSERT"}
CHANGES = ADDS | {"UPDATE"}
FORGETS = CHANGES | {"DELETE"}
NOTHING: frozenset[str] = frozenset()

ASTRIDS = (
    *("surveys", "observations", "preprocess_runs", "difference_runs", "candidates"),
    *("models", "model_runs", "detections", "validation_events"),
)
NOT_OURS = ("alembic_version", "system_config")
COLLECTOR = {
    **dict.fromkeys(ASTRIDS, READS),
    **dict.fromkeys(NOT_OURS, NOTHING),
    "training_migrations": READS,
    "training_datasets": CHANGES,
    "training_samples": ADDS,
    "training_rejects": ADDS,
    "training_runs": CHANGES,
    "training_run_steps": CHANGES,
    "training_split_ledger": ADDS,
    "training_split_members": ADDS,
    "training_image_catalogue": FORGETS,
    "training_objects": FORGETS,
    "training_quarantine": CHANGES,
    "training_validation_batches": CHANGES,
    "training_label_events": READS,
    "training_dataset_events": ADDS,
    "training_freshness_breaches": CHANGES,
    "training_review_queues": ADDS,
    "training_review_queue_items": ADDS,
    "training_api_tokens": CHANGES,
    "training_audit": ADDS,
}
UNREAD = ("training_api_tokens", "training_audit")
READER = {
    name: READS if name.startswith("training_") and name not in UNREAD else NOTHING
    for name in COLLECTOR
}
RIGHTS = {"astrid_training": COLLECTOR, "astrid_training_reader": READER}
COLUMNS = {
    "training_datasets": {"status", "metrics", "looked_at", "mlflow_run_id"},
    "training_api_tokens": {"revoked_at", "last_used_at"},
}
"""Of tables that a collector changes: all that it may change there. Of the others: any column."""
STAY = {"training_audit": {"action", "subject", "by", "detail"}}
"""All that a collector may say in a new row."""

HELD = """
SELECT relname::text, privilege
FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (has_table_privilege(:role, oid, privilege)
       OR privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(:role, oid, privilege))
"""
TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')"


@pytest.fixture
def owner(astrid: AstridDatabase, session: Any) -> Any:
    """A session of the owner; tables and roles are made, all by their files, twice."""
    engine = astrid(training_tables=True)
    migrate(engine)
    for role in (*RIGHTS, *RIGHTS):
        session(engine).run_role_file(role)
    return session(engine)


def held(owner: Any, role: str) -> dict[str, frozenset[str]]:
    with owner.engine.connect() as connection:
        names = connection.execute(text(TABLES)).scalars()
        found: dict[str, set[str]] = {name: set() for name in names}
        for name, privilege in connection.execute(text(HELD), {"role": role}):
            found[name].add(privilege)
    return {name: frozenset(rights) for name, rights in found.items()}


@pytest.mark.trust
@pytest.mark.parametrize("role", RIGHTS)
def test_each_role_has_the_rights_that_are_stated_and_no_others(owner: Any, role: str) -> None:
    assert held(owner, role) == RIGHTS[role]
    assert owner.rows(
        f"SELECT has_schema_privilege('{role}', 'public', 'CREATE'), rolsuper, rolcreaterole, rolcreatedb, "
        f"rolbypassrls, rolreplication, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) "
        f"FROM pg_roles r WHERE rolname = '{role}'"
    ) == [(*[False] * 6, 0)]
    assert owner.rows(f"SELECT 1 FROM pg_class WHERE pg_get_userbyid(relowner) = '{role}'") == []


@pytest.mark.trust
def test_a_collector_changes_only_the_columns_that_are_stated(owner: Any) -> None:
    by_privilege = {"UPDATE": COLUMNS, "INSERT": STAY}
    for privilege, stated in by_privilege.items():
        for table, columns in stated.items():
            found = owner.rows(
                f"SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 "
                f"AND NOT attisdropped AND has_column_privilege('astrid_training', attrelid, attnum, '{privilege}')"
            )
            assert {name for (name,) in found} == columns, (table, privilege)


@pytest.mark.trust
def test_a_table_that_the_files_do_not_know_is_nobodys(owner: Any) -> None:
    owner.execute("CREATE TABLE training_new (id integer)")
    owner.run_role_file("astrid_training")

    assert "training_new" in held(owner, "astrid_training").keys() - COLLECTOR.keys()
    assert held(owner, "astrid_training")["training_new"] == NOTHING


@pytest.mark.trust
@pytest.mark.parametrize("role", RIGHTS)
def test_what_a_role_has_no_right_to_is_refused_table_by_table(owner: Any, role: str) -> None:
    worker = owner.as_role(role)
    statements = {
        "SELECT": "SELECT * FROM {} LIMIT 1",
        "INSERT": "INSERT INTO {} DEFAULT VALUES",
        "UPDATE": "UPDATE {} SET {} = {}",
        "DELETE": "DELETE FROM {}",
        "TRUNCATE": "TRUNCATE {} CASCADE",
        "ALTER": "ALTER TABLE {} ADD COLUMN more text",
        "DROP": "DROP TABLE {} CASCADE",
    }
    for table, rights in RIGHTS[role].items():
        ((column,),) = owner.rows(
            f"SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum DESC LIMIT 1"
        )
        for privilege, statement in statements.items():
            if privilege not in rights:
                with pytest.raises(DatabaseRightsError, match=f"role {role} may not"):
                    worker.execute(statement.format(table, column, column))
    for statement in ("CREATE TABLE more (id integer)", "CREATE SCHEMA more", "CREATE ROLE more"):
        with pytest.raises(DatabaseRightsError):
            worker.execute(statement)
    worker.engine.dispose()


@pytest.mark.trust
@pytest.mark.parametrize("table", ["training_audit", "training_dataset_events"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_not_even_the_owner_rewrites_who_did_what(owner: Any, table: str, statement: str) -> None:
    with pytest.raises(Exception, match=f"rows of {table} are never changed or removed"):
        owner.execute(statement.format(table))


@pytest.mark.trust
def test_who_writes_a_deed_gives_neither_its_time_nor_its_role(owner: Any) -> None:
    worker = owner.as_role("astrid_training")
    for column, value in {"at": "now()", "role": "'postgres'"}.items():
        with pytest.raises(DatabaseRightsError):
            worker.execute(
                f"INSERT INTO training_audit (action, subject, by, {column}) VALUES ('collected', 'x', 'y', {value})"
            )
    worker.execute(
        "INSERT INTO training_audit (action, subject, by) VALUES ('collected', 'x', 'y')"
    )
    assert owner.rows("SELECT role::text FROM training_audit") == [("astrid_training",)]
    worker.engine.dispose()


@pytest.mark.trust
def test_an_owner_who_is_no_superuser_can_run_the_files(databases: Any, session: Any) -> None:
    admin = databases.make()
    name = admin.url.database
    session(admin).execute(
        "DROP ROLE IF EXISTS astrids_owner",
        "CREATE ROLE astrids_owner LOGIN CREATEROLE PASSWORD 'welcome'",
        f"ALTER DATABASE {name} OWNER TO astrids_owner",
        *(f"DROP ROLE IF EXISTS {role}" for role in (*RIGHTS, "astrid_training_migrator")),
    )
    owner = session(_engine(admin, "astrids_owner", "welcome"))
    with owner.engine.begin() as connection:
        connection.exec_driver_sql(SCHEMA.read_text(encoding="utf-8"))
    migrator = owner.as_role("astrid_training_migrator")
    migrate(migrator.engine)
    for role in RIGHTS:
        owner.run_role_file(role)

    assert held(owner, "astrid_training") == COLLECTOR
    assert held(owner, "astrid_training_reader") == READER
    with pytest.raises(DatabaseRightsError, match="permission denied for table surveys"):
        migrator.execute("SELECT * FROM surveys")
    for one in (migrator, owner):
        one.engine.dispose()
    session(admin).execute(
        *(f"DROP OWNED BY {role} CASCADE" for role in (*RIGHTS, "astrid_training_migrator")),
        *(f"DROP ROLE {role}" for role in (*RIGHTS, "astrid_training_migrator")),
        f"ALTER DATABASE {name} OWNER TO CURRENT_USER",
        "DROP OWNED BY astrids_owner CASCADE",
        "DROP ROLE astrids_owner",
    )
    databases.drop(admin)


def _engine(admin: Engine, user: str, password: str) -> Engine:
    from astrid_training.database import open_database

    url = admin.url.set(username=user, password=password)
    return open_database(url.render_as_string(hide_password=False))
