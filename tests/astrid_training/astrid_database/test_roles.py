"""The roles that ship can do their work and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine

from astrid_training.api_tokens import create_token, revoke_token
from astrid_training.astrid_models import keep_model_row
from astrid_training.audit import read_audit
from astrid_training.catalogue import TrainingDatasetManager, get_dataset
from astrid_training.database import open_database
from astrid_training.dataset import load_training_dataset
from astrid_training.errors import DatabaseRightsError
from astrid_training.migrate import migrate
from astrid_training.models import RegisteredModel
from astrid_training.records import PublishedDataset
from astrid_training.settings import resolve
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.trainings import close_training_run, open_training_run
from deployments.api import Caller, create_app

Collect = Callable[..., PublishedDataset]
AstridDatabase = Callable[..., Engine]

WRITES = [
    "INSERT INTO surveys (id, name, is_active) VALUES (gen_random_uuid(), 'x', true)",
    "UPDATE observations SET airmass = 1",
    "UPDATE detections SET is_validated = true",
    "DELETE FROM validation_events",
    "TRUNCATE candidates CASCADE",
    "ALTER TABLE observations ADD COLUMN ours text",
    "CREATE INDEX ON detections (created_at)",
    "CREATE TABLE training_more (id integer)",
    "ALTER TABLE training_samples ADD COLUMN more text",
    "UPDATE training_samples SET labels = '{}'",
    "UPDATE training_datasets SET content_digest = repeat('0', 64)",
    "UPDATE training_split_ledger SET split = 'test'",
    "DELETE FROM training_datasets",
    "DROP TABLE preprocess_runs",
    "UPDATE alembic_version SET version_num = 'x'",
    "SELECT * FROM system_config",
]


@pytest.mark.parametrize(
    "sky",
    [
        "collector after the migrator",
        pytest.param("collector after the owner", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_the_role_that_collects_does_that_and_changes_nothing_of_astrids(
    sky: Any, db: Any, collect: Collect
) -> None:
    assert {outcome for _, outcome in migrate(sky.engine)} == {"present"}
    published = collect()

    opened = open_training_run(sky.engine, published.dataset_id, {"steps": 1}, "key")
    close_training_run(sky.engine, opened.id, metrics={"loss": 0.1})
    registered = RegisteredModel("astrid-unet", "1", "m-1", "run")
    dataset = get_dataset(sky.engine, published.dataset_id)
    assert keep_model_row(sky.engine, registered, dataset, {}, {}) is None
    assert published.total_samples > 50
    assert collect().reused
    manager = TrainingDatasetManager(sky.engine)
    manager.revoke(published.dataset_id, "a bad night", "ada")
    create_token(sky.engine, "web", ["read"], "ada")
    revoke_token(sky.engine, "web", "bob")
    told = [(row.action, row.by, row.role) for row in read_audit(sky.engine)]
    assert told == [
        ("token revoked", "bob", "astrid_training"),
        ("token created", "ada", "astrid_training"),
        ("revoked", "ada", None),
        ("collected", "tester", "astrid_training"),
    ]
    for statement in WRITES:
        with pytest.raises(DatabaseRightsError, match="role astrid_training may not do this"):
            db.execute(statement)
    plan = SkyPlan(fields=1, epochs=1, frame_size=(220, 260))
    with (
        pytest.raises(DatabaseRightsError, match="permission denied for table surveys"),
        sky.engine.begin() as connection,
    ):
        simulate(plan, connection, lambda key, data: key, sky.home / "truth")


@pytest.mark.parametrize("role", ["astrid_training", "astrid_training_reader"])
def test_who_works_on_the_tables_is_made_after_them(
    astrid: AstridDatabase, session: Any, role: str
) -> None:
    with pytest.raises(Exception, match="none of our tables yet"):
        session(astrid(training_tables=False)).run_role_file(role)


def test_a_role_that_only_reads_loads_a_dataset(sky: Any, db: Any, collect: Collect) -> None:
    published = collect()
    reader = db.as_role("astrid_training_reader")
    settings = resolve(
        sky.home,
        database_url=reader.engine.url.render_as_string(hide_password=False),
        store_url=(sky.home / "store").as_uri(),
    )

    train, val, test = load_training_dataset(published.dataset_id, settings=settings)

    assert len(train) + len(val) + len(test) == sum(
        count for split, count in published.splits.items() if split != "quarantine"
    )
    assert train[0][0].shape == (1, 64, 64)
    for refused in ("SELECT * FROM detections", "UPDATE training_datasets SET name = 'x'"):
        with pytest.raises(DatabaseRightsError, match="role astrid_training_reader"):
            reader.execute(refused)
    reader.engine.dispose()


@pytest.mark.slow
@pytest.mark.trust
def test_the_readers_of_an_application_need_no_more_than_that_role(
    sky: Any, db: Any, collect: Collect
) -> None:
    published = collect()
    reader = db.as_role("astrid_training_reader")
    url = reader.engine.url.render_as_string(hide_password=False)
    settings = resolve(sky.home, database_url=url, store_url=(sky.home / "store").as_uri())
    scopes = frozenset({"read", "collect", "manage"})
    app = create_app(settings, lambda: Caller("ada", scopes))
    client = TestClient(app, raise_server_exceptions=False)

    place = f"/training/datasets/{published.dataset_id}"
    for path in ("/training/datasets", place, f"{place}/quality", f"{place}/lineage"):
        assert client.get(path).status_code == 200, path
    assert client.get(f"{place}/compare/{published.dataset_id}").status_code == 200
    assert client.get("/training/audit").status_code == 500
    assert client.post("/training/review-queues", json={"count": 1}).status_code == 500
    assert client.get("/health").status_code == 200
    reader.engine.dispose()
    open_database(url).dispose()


@pytest.mark.parametrize("sky", ["collector after the owner"], indirect=True)
def test_a_table_that_the_role_may_not_read_is_named(
    sky: Any, db: Any, databases: Any, session: Any
) -> None:
    owner = create_engine(databases.admin.url.set(database=sky.engine.url.database))
    session(owner).execute("REVOKE SELECT ON validation_events FROM astrid_training")
    owner.dispose()

    with pytest.raises(DatabaseRightsError, match="permission denied for table validation_events"):
        db.select()
