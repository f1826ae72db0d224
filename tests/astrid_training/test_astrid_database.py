"""A collection from AstrID's own database: beside its rows, its paths, its NULLs, with few rights."""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from astrid_training.catalogue import (
    TrainingDatasetManager,
    close_training_run,
    open_training_run,
    training_runs,
)
from astrid_training.database import open_database
from astrid_training.dataset import load_training_dataset
from astrid_training.errors import DatabaseRightsError, DatasetNotFoundError
from astrid_training.migrate import migrate
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import PublishedDataset
from astrid_training.selection import select_subjects
from astrid_training.settings import resolve
from astrid_training.simulate import SkyPlan, simulate
from astrid_training.simulate.rows import TABLES

Collect = Callable[..., PublishedDataset]
AstridDatabase = Callable[..., Engine]
ROOT = Path(__file__).parents[2]
ASTRIDS_DATASET = "a0000000-0000-4000-8000-000000000001"
PASSWORD = "for-this-test-only"


@pytest.fixture(params=["owner"])
def sky(
    request: pytest.FixtureRequest, astrid: AstridDatabase, _simulated: Any, tmp_path: Path
) -> Iterator[Any]:
    """The small sky in AstrID's own database, migrated; the session is the owner's unless asked.

    `owner`: the training tables were AstrID's. `collector`: they were not, and the role that
    collects has migrated. `collector after the owner`: they were, and the owner has migrated.
    """
    who = str(request.param)
    owner = astrid(training_tables=who != "collector")
    copy_rows(_simulated.engine, owner)
    if who != "collector":
        migrate(owner)
    engine = owner if who == "owner" else as_role(owner, "astrid_training")
    if who == "collector":
        migrate(engine)
    shutil.copytree(_simulated.home / "store", tmp_path / "sky" / "store")
    yield dataclasses.replace(_simulated, engine=engine, home=tmp_path / "sky")
    engine.dispose()


def copy_rows(source: Engine, target: Engine) -> None:
    """Copy the simulated rows into tables whose columns may be more."""
    with source.connect() as old, target.begin() as new:
        for table in TABLES:
            result = old.execute(text(f"SELECT * FROM {table} LIMIT 0"))
            names = ", ".join(result.keys())
            reader, writer = old.connection.cursor(), new.connection.cursor()
            with (
                reader.copy(f"COPY {table} ({names}) TO STDOUT") as rows,
                writer.copy(f"COPY {table} ({names}) FROM STDIN") as copied,
            ):
                for block in rows:
                    copied.write(block)


def as_role(owner: Engine, role: str) -> Engine:
    """Make the role by the file that ships, and return an engine of its own."""
    run_role_file(owner, role)
    with owner.begin() as connection:
        connection.execute(text(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'"))
    return open_database(url_of(owner, username=role, password=PASSWORD))


def run_role_file(engine: Engine, role: str) -> None:
    statements = (ROOT / "sql" / "roles" / f"{role}.sql").read_text(encoding="utf-8")
    with engine.begin() as connection:
        connection.exec_driver_sql(statements.replace("%", "%%"))


def url_of(engine: Engine, **parts: Any) -> str:
    return engine.url.set(**parts).render_as_string(hide_password=False)


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows_of(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def select(engine: Engine, **fields: object) -> pa.Table:
    params = TrainingDataCollectionParams.model_validate({"survey_ids": ["sim_ztf"], **fields})
    with engine.connect() as connection:
        return select_subjects(connection, params, datetime.now(UTC))


def in_astrids_tables(engine: Engine) -> list[list[tuple[Any, ...]]]:
    """Return AstrID's own rows of the three training tables, in the columns that it knows."""
    return [
        rows_of(
            engine,
            "SELECT id, name, collection_params::text, total_samples, anomaly_ratio, quality_score, "
            "created_at, created_by, status FROM training_datasets WHERE version_id IS NULL ORDER BY id",
        ),
        rows_of(
            engine,
            "SELECT id, dataset_id, image_path, mask_path, labels::text, metadata, created_at "
            "FROM training_samples WHERE sample_key IS NULL ORDER BY id",
        ),
        rows_of(
            engine,
            "SELECT id, dataset_id, training_params::text, status, started_at FROM training_runs "
            "WHERE idempotency_key IS NULL ORDER BY id",
        ),
    ]


def test_a_collection_appends_to_astrids_training_tables(sky: Any, collect: Collect) -> None:
    before = in_astrids_tables(sky.engine)

    first = collect(name="validated-detections")
    again = collect(name="validated-detections")
    execute(
        sky.engine,
        "INSERT INTO validation_events (id, detection_id, validator_id, is_valid, confidence_level) "
        "SELECT gen_random_uuid(), detection_id, 'new-' || n, false, 'EXPERT' "
        "FROM (SELECT detection_id FROM training_samples WHERE labels ->> 'is_anomaly' = 'true' LIMIT 1) s, "
        "generate_series(1, 3) n",
    )
    second = collect(name="validated-detections")

    assert again.reused
    assert second.version_id != first.version_id
    assert in_astrids_tables(sky.engine) == before
    assert [len(rows) for rows in before] == [2, 2, 1]
    manager = TrainingDatasetManager(sky.engine)
    listed = manager.list_datasets()
    assert [str(one.id) for one in listed] == [second.dataset_id, first.dataset_id]
    record = listed[0]
    assert record.quality_score == pytest.approx(second.quality_score, abs=5e-5)  # numeric(5,4)
    assert record.anomaly_ratio == pytest.approx(second.anomaly_ratio, abs=5e-5)
    assert str(record.parent_id) == first.dataset_id
    assert len(manager.samples(record)) == second.total_samples


def test_what_the_ticket_asks_of_the_tables_holds_in_astrids_shape(
    sky: Any, collect: Collect
) -> None:
    published = collect()

    nothing = rows_of(
        sky.engine,
        "SELECT count(*) FROM training_samples WHERE sample_key IS NOT NULL AND (id IS NULL OR "
        "dataset_id IS NULL OR observation_id IS NULL OR image_path IS NULL OR mask_path IS NULL OR "
        "labels ->> 'anomaly_type' IS NULL OR metadata ->> 'survey' IS NULL OR created_at IS NULL)",
    )
    opened = open_training_run(sky.engine, published.dataset_id, {"steps": 1}, "key")
    close_training_run(sky.engine, opened.id, error="out of memory")
    assert nothing == [(0,)]
    assert [run.status for run in training_runs(sky.engine, published.dataset_id)] == ["failed"]


def test_astrids_own_datasets_are_no_versions_of_ours(sky: Any) -> None:
    manager = TrainingDatasetManager(sky.engine)

    assert manager.list_datasets() == []
    for wanted in (ASTRIDS_DATASET, "validated-detections"):
        with pytest.raises(DatasetNotFoundError):
            manager.get_dataset(wanted)
    with pytest.raises(DatasetNotFoundError):
        manager.update_dataset_metrics(ASTRIDS_DATASET, {"note": "ours"})
    manager.set_mlflow_run(ASTRIDS_DATASET, "run")
    assert rows_of(
        sky.engine,
        "SELECT count(*) FROM training_datasets WHERE mlflow_run_id IS NOT NULL "
        "OR quality_report IS NOT NULL",
    ) == [(0,)]
    assert [run.status for run in training_runs(sky.engine, ASTRIDS_DATASET)] == ["running"]


PATHS = {
    "observations": "fits_file_path",
    "difference_runs": "difference_image_path",
    "preprocess_runs": "processed_fits_path",
}


@pytest.mark.parametrize("form", ["file://{store}/", "{store}/"], ids=["file address", "absolute"])
def test_the_form_of_a_path_changes_no_pixel(sky: Any, collect: Collect, form: str) -> None:
    plain = collect()
    before = form.format(store=sky.home / "store")

    execute(
        sky.engine,
        *(
            f"UPDATE {table} SET {column} = '{before}' || {column}"
            for table, column in PATHS.items()
        ),
    )
    other = collect(name="other")

    assert other.digests["source"] != plain.digests["source"]
    assert other.version_id == plain.version_id


@pytest.mark.parametrize("nothing", ["NULL", "''"])
def test_without_a_stored_file_the_address_leads_to_it(
    sky: Any, collect: Collect, nothing: str
) -> None:
    plain = collect()
    execute(sky.engine, f"UPDATE observations SET fits_file_path = {nothing}")

    assert collect().version_id == plain.version_id


@pytest.mark.parametrize("nothing", ["NULL", "''"])
def test_an_observation_without_any_file_costs_its_own_samples(
    sky: Any, collect: Collect, nothing: str
) -> None:
    one = "(SELECT observation_id FROM difference_runs ORDER BY observation_id LIMIT 1)"
    execute(
        sky.engine,
        f"UPDATE observations SET fits_file_path = {nothing}, fits_url = '' WHERE id = {one}",
        f"UPDATE preprocess_runs SET processed_fits_path = {nothing} WHERE observation_id = {one}",
    )

    published = collect()

    assert {row.reason: row.count for row in published.funnel}["no_science"] > 0
    assert published.total_samples > 0


def nullable(engine: Engine, table: str) -> list[str]:
    found = rows_of(
        engine,
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass "
        "AND attnum > 0 AND NOT attnotnull ORDER BY attnum",
    )
    return [name for (name,) in found]


def test_null_in_every_column_that_may_hold_it_leaves_a_dataset(sky: Any, collect: Collect) -> None:
    execute(
        sky.engine, "UPDATE observations SET fits_url = fits_file_path WHERE fits_file_path <> ''"
    )
    for table in TABLES:
        names = [n for n in nullable(sky.engine, table) if n != "difference_image_path"]
        if names:
            execute(sky.engine, f"UPDATE {table} SET " + ", ".join(f"{n} = NULL" for n in names))

    published = collect()

    assert published.total_samples > 50
    assert set(published.classes) == {"bogus", "unknown"}  # nobody's label is left
    record = TrainingDatasetManager(sky.engine).get_dataset(published.dataset_id)
    assert {
        sample.labels["is_anomaly"] for sample in TrainingDatasetManager(sky.engine).samples(record)
    } == {True, False}


def test_without_difference_images_every_subject_leaves_for_that_reason(sky: Any) -> None:
    execute(sky.engine, "UPDATE difference_runs SET difference_image_path = NULL")

    reasons = Counter(select(sky.engine)["reason"].to_pylist())

    assert None not in reasons
    assert reasons["no_difference"] > 50


def test_rows_that_hold_little_but_nulls_are_subjects_all_the_same(sky: Any) -> None:
    found = select(sky.engine, survey_ids=["skymap"]).to_pylist()

    seen = {UUID(row["detection_id"]).int & 0xF: row for row in found}
    assert sorted(seen) == [1, 2]  # the third was never reviewed
    assert (seen[1]["is_anomaly"], seen[1]["anomaly_type"]) == (True, "supernova")
    assert seen[2]["is_anomaly"] is False
    assert {row["reason"] for row in found} == {"no_difference"}


def test_the_status_of_an_observation_selects_nothing(sky: Any) -> None:
    before = select(sky.engine)

    execute(
        sky.engine,
        "UPDATE observations SET status = (ARRAY['differenced', 'DIFFERENCED', "
        "'ObservationStatus.DIFFERENCED', 'archived', 'FAILED'])[1 + abs(hashtext(id::text)) % 5]",
    )

    assert select(sky.engine).equals(before)


def test_a_status_counts_where_nobody_left_a_review(sky: Any) -> None:
    statuses = ("PENDING", "VALIDATING", "VALIDATED", "REJECTED", "CONFIRMED", "ARCHIVED")
    in_order = ", ".join(f"'{name}'" for name in statuses)
    execute(
        sky.engine,
        "DELETE FROM validation_events",
        "UPDATE detections SET is_validated = false, human_label = NULL, status = "
        f"(ARRAY[{in_order}])[1 + n % 6]::detection_status "
        "FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM observations) o "
        "WHERE o.id = observation_id",
    )
    table = select(sky.engine)
    by_status: dict[str, set[bool]] = {}
    status = dict(rows_of(sky.engine, "SELECT id::text, status::text FROM detections"))
    for row in table.to_pylist():
        by_status.setdefault(status[row["detection_id"]], set()).add(row["is_anomaly"])
    assert by_status == {"VALIDATED": {True}, "CONFIRMED": {True}, "REJECTED": {False}}

    execute(sky.engine, "UPDATE detections SET is_validated = true")
    flagged = select(sky.engine)
    assert flagged["sample_key"].equals(table["sample_key"])
    assert flagged["p_real"].equals(table["p_real"])

    execute(sky.engine, "UPDATE detections SET status = 'PENDING'")
    assert select(sky.engine).num_rows == 0


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
    sky: Any, collect: Collect
) -> None:
    migrate(sky.engine)
    published = collect()

    opened = open_training_run(sky.engine, published.dataset_id, {"steps": 1}, "key")
    close_training_run(sky.engine, opened.id, metrics={"loss": 0.1})
    assert published.total_samples > 50
    assert collect().reused
    for statement in WRITES:
        with pytest.raises(DatabaseRightsError, match="role astrid_training may not do this"):
            execute(sky.engine, statement)
    plan = SkyPlan(fields=1, epochs=1, frame_size=(220, 260))
    with (
        pytest.raises(DatabaseRightsError, match="permission denied for table surveys"),
        sky.engine.begin() as connection,
    ):
        simulate(plan, connection, lambda key, data: key, sky.home / "truth")


def test_the_roles_files_can_be_run_again(astrid: AstridDatabase) -> None:
    owner = astrid(training_tables=True)
    migrate(owner)
    for role in ("astrid_training", "astrid_training_reader") * 2:
        run_role_file(owner, role)

    rights = rows_of(
        owner,
        "SELECT DISTINCT has_table_privilege('astrid_training', oid, 'INSERT'), "
        "has_table_privilege('astrid_training_reader', oid, 'SELECT'), "
        "has_table_privilege('astrid_training_reader', oid, 'INSERT') "
        "FROM pg_class WHERE relkind = 'r' AND relname LIKE 'training%'",
    )
    assert rights == [(True, True, False)]


def test_the_reader_is_made_after_the_tables(astrid: AstridDatabase) -> None:
    with pytest.raises(Exception, match="none of our tables yet"):
        run_role_file(astrid(training_tables=False), "astrid_training_reader")


def test_a_role_that_only_reads_loads_a_dataset(sky: Any, collect: Collect) -> None:
    published = collect()
    reader = as_role(sky.engine, "astrid_training_reader")
    settings = resolve(
        sky.home,
        database_url=url_of(reader),
        store_url=(sky.home / "store").as_uri(),
    )

    train, val, test = load_training_dataset(published.dataset_id, settings=settings)

    assert len(train) + len(val) + len(test) == sum(
        count for split, count in published.splits.items() if split != "quarantine"
    )
    assert train[0][0].shape == (1, 64, 64)
    for refused in ("SELECT * FROM detections", "UPDATE training_datasets SET name = 'x'"):
        with pytest.raises(DatabaseRightsError, match="role astrid_training_reader"):
            execute(reader, refused)
    reader.dispose()
