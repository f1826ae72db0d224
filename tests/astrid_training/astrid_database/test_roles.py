"""The roles that ship can do their work and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from astrid_training.astrid_models import keep_model_row
from astrid_training.catalogue import get_dataset
from astrid_training.dataset import load_training_dataset
from astrid_training.errors import DatabaseRightsError
from astrid_training.migrate import migrate
from astrid_training.models import RegisteredModel
from astrid_training.records import PublishedDataset
from astrid_training.settings import resolve
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.trainings import close_training_run, open_training_run

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
    "DROP TABLE preprocess_runs",
    "UPDATE alembic_version SET version_num = 'x'",
    "SELECT * FROM system_config",
]


@pytest.mark.parametrize("sky", ["collector", "collector after the owner"], indirect=True)
def test_the_role_that_collects_migrates_and_collects_and_changes_nothing_of_astrids(
    sky: Any, db: Any, collect: Collect
) -> None:
    migrate(sky.engine)
    published = collect()

    opened = open_training_run(sky.engine, published.dataset_id, {"steps": 1}, "key")
    close_training_run(sky.engine, opened.id, metrics={"loss": 0.1})
    registered = RegisteredModel("astrid-unet", "1", "m-1", "run")
    dataset = get_dataset(sky.engine, published.dataset_id)
    assert keep_model_row(sky.engine, registered, dataset, {}, {}) is None
    assert published.total_samples > 50
    assert collect().reused
    for statement in WRITES:
        with pytest.raises(DatabaseRightsError, match="role astrid_training may not do this"):
            db.execute(statement)
    plan = SkyPlan(fields=1, epochs=1, frame_size=(220, 260))
    with (
        pytest.raises(DatabaseRightsError, match="permission denied for table surveys"),
        sky.engine.begin() as connection,
    ):
        simulate(plan, connection, lambda key, data: key, sky.home / "truth")


def test_the_roles_files_can_be_run_again(astrid: AstridDatabase, session: Any) -> None:
    owner = astrid(training_tables=True)
    migrate(owner)
    for role in ("astrid_training", "astrid_training_reader") * 2:
        session(owner).run_role_file(role)

    rights = session(owner).rows(
        "SELECT DISTINCT has_table_privilege('astrid_training', oid, 'INSERT'), "
        "has_table_privilege('astrid_training_reader', oid, 'SELECT'), "
        "has_table_privilege('astrid_training_reader', oid, 'INSERT') "
        "FROM pg_class WHERE relkind = 'r' AND relname LIKE 'training%'",
    )
    assert rights == [(True, True, False)]
    forgettable = session(owner).rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'training%' "
        "AND has_table_privilege('astrid_training', oid, 'DELETE') ORDER BY relname",
    )
    assert forgettable == [("training_image_catalogue",), ("training_objects",)]


def test_the_reader_is_made_after_the_tables(astrid: AstridDatabase, session: Any) -> None:
    with pytest.raises(Exception, match="none of our tables yet"):
        session(astrid(training_tables=False)).run_role_file("astrid_training_reader")


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


@pytest.mark.parametrize("sky", ["collector after the owner"], indirect=True)
def test_a_table_that_the_role_may_not_read_is_named(
    sky: Any, db: Any, databases: Any, session: Any
) -> None:
    owner = create_engine(databases.admin.url.set(database=sky.engine.url.database))
    session(owner).execute("REVOKE SELECT ON validation_events FROM astrid_training")
    owner.dispose()

    with pytest.raises(DatabaseRightsError, match="permission denied for table validation_events"):
        db.select()
