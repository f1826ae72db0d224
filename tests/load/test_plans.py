"""No statement reads a large table from end to end to find few of its rows.

A whole collection, the freshness check, the API and the reconciling flow ask a database of a million
detections for what is theirs; PostgreSQL's own plan of each statement is looked at before it runs.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from astrid_training import claims, reconcile
from astrid_training.catalogue import TrainingDatasetManager
from astrid_training.database import open_database, query
from astrid_training.freshness import FreshnessParams, measure_freshness
from astrid_training.optional_indexes import index_warnings, optional_indexes
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.records import StepMetrics
from astrid_training.report import report_context
from astrid_training.run_metrics import read_run_metrics, write_run_metrics
from astrid_training.samples import read_samples
from astrid_training.scope import fetch_scope, fetch_sources
from astrid_training.simulate import simulate
from astrid_training.store import Store
from tests.deployments.api.conftest import open_client
from tests.load.plans import Plan, naming_big_tables, watching
from tests.skies import SMALL_SKY

pytestmark = [pytest.mark.slow, pytest.mark.trust]

START = datetime(2024, 6, 1, tzinfo=UTC)
RANGE = (START, START + timedelta(minutes=5 * 400))
"""Of 400 observations. From a hundredth of them on PostgreSQL itself chooses to read all."""
BIG_SURVEY: dict[str, Any] = {"survey_ids": ["sim_big"]}
ASKED: dict[str, dict[str, Any]] = {
    "of a range of dates": {"date_range": RANGE},
    "of a band in a range of dates": {"date_range": RANGE, "bands": ["ztf_r"]},
    "of a cone in a range of dates": {
        "date_range": RANGE,
        "cone": {"ra_deg": 120, "dec_deg": 10, "radius_deg": 20},
    },
}
UNSEEING = text("UPDATE observations SET seeing = NULL WHERE survey_id <> CAST(md5('big') AS uuid)")
"""Then the widths of candidates are asked for."""
WHOLE = {
    "freshness_surveys": {
        "validation_events": "AstrID has no index by time: all are read once, in order",
        "detections": "of a survey that is in no dataset, all reviews are asked for",
    },
    "split_members": {
        "training_split_members": "how far the largest reaches: 20 ms for 100,000",
        "training_split_ledger": "for the members of a sky that lies all over the sky",
    },
    "ledger_head": {"training_split_members": "counts all of a policy: there may be no other"},
    "occupied_sky": {
        "difference_runs": "by reference, a row an exposure: 30 ms for 100,000, once a collection"
    },
}
"""Of which statements which tables may be read from end to end, and why."""
ELSEWHERE = {
    "alert_": "import-alerts asks",
    "simulate_": "simulate writes",
    "gc_": "gc asks of everything",
    "catalogue_unpublished": "an operator asks of everything",
    "catalogue_delete_unpublished": "the same",
    "label_log_": "migrate asks once",
    "database_rights": "asks the system catalogue",
    "queue_": "review-queue asks",
    "verify_": "verify asks of all of a dataset",
}
"""How names begin of statements that nothing here asks, and who does."""


def fill(engine: Engine) -> None:
    """Put a million detections into a migrated database."""
    rows = Path(__file__).with_name("million.sql").read_text(encoding="utf-8")
    policy = TrainingDataCollectionParams().split.salt
    with engine.begin() as connection:
        connection.exec_driver_sql(rows.replace("{policy}", policy).replace("%", "%%"))


@pytest.fixture(scope="module")
def million(
    databases: Any, _migrated: str, make_sky: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A small sky among a million other detections."""
    home = tmp_path_factory.mktemp("million")
    made = databases.make(_migrated)
    fill(made)
    yield from among_others(made, home, make_sky)
    databases.drop(made)


def among_others(made: Engine, home: Path, make_sky: Any) -> Iterator[Any]:
    engine = open_database(made.url.render_as_string(hide_password=False))
    sky = make_sky(engine, home, home / "truth.jsonl", Store(f"file://{home}/store"))

    def put(key: str, data: bytes) -> str:
        sky.store.put(key, data)
        return key

    with engine.begin() as connection:
        simulate(SMALL_SKY, connection, put, sky.truth)
        connection.execute(UNSEEING)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    yield sky
    engine.dispose()


def ask_for_everything(
    sky: Any, collect: Callable[..., Any], api: Any, survey: dict[str, Any]
) -> None:
    """Collect, look at freshness, ask the API, reconcile."""
    now = datetime.now(UTC)
    with sky.engine.begin() as connection:
        claims.receive_batch(connection, "batch", now, [])
        claims.claim_batches(connection, "run", [])
    published = collect(name="first")
    collect(name="second", max_samples=40)
    with sky.engine.begin() as connection:
        claims.settle_batches(connection, ["batch"], published.dataset_id)
    ask_the_report(sky, published.dataset_id)
    with sky.engine.connect() as connection:
        measure_freshness(connection, sky.store, FreshnessParams(datasets=1), now)
        reconcile.pending_batches(connection, now)
        reconcile.open_trainings(connection, now)
        reconcile.half_published(connection, sky.store, now - timedelta(days=365))
        for asked in ASKED.values():
            ask_for_some(connection, {**survey, **asked}, now)
    took = StepMetrics("whole", *(1.0, 1.0, 1.0), *(1, 1, 1, 1, 0, 1, 0, 0))
    write_run_metrics(sky.engine, str(UUID(int=1)), [took])
    read_run_metrics(sky.engine, str(UUID(int=1)))
    ask_the_api(api, published.dataset_id)


def ask_for_some(connection: Connection, asked: dict[str, Any], now: datetime) -> int:
    """Select of the large survey and return the number of detections."""
    params = TrainingDataCollectionParams.model_validate(asked)
    scope = fetch_scope(connection, params, now)
    fetch_sources(connection, scope.detections["observation_id"].to_pylist(), now)
    return int(scope.detections.num_rows)


def ask_the_report(sky: Any, dataset_id: str) -> None:
    dataset = TrainingDatasetManager(sky.engine).get_dataset(dataset_id)
    report_context(sky.engine, sky.store, dataset, read_samples(sky.store, dataset.samples_key))
    TrainingDatasetManager(sky.engine).samples(dataset)


def ask_the_api(api: Any, dataset_id: str) -> None:
    place = f"/training/datasets/{dataset_id}"
    asked = ["/training/datasets", "/training/datasets?survey=sim_big&least_quality=0.1", place]
    asked += [f"{place}/{what}" for what in ("quality", "lineage")]
    answers = [api.get(one) for one in asked]
    assert {one.status_code for one in answers} == {200}, [one.text for one in answers]


def whole_reads(seen: list[Plan]) -> set[tuple[str, str]]:
    return {(plan.query, table) for plan in seen for table in plan.scanned}


@pytest.fixture(scope="module")
def asked(million: Any, collect_from: Any) -> list[Plan]:
    """The plans of all that is asked of the million."""
    with watching(million.engine) as seen:
        api = open_client(million.engine, million.home, million.store.url)
        ask_for_everything(million, collect_from(million), api, BIG_SURVEY)
    return seen


def check_whole_reads(seen: list[Plan]) -> None:
    known = {(name, table) for name, tables in WHOLE.items() for table in tables}
    assert whole_reads(seen) - known == set()


def test_nothing_reads_a_large_table_for_few_of_its_rows(asked: list[Plan]) -> None:
    check_whole_reads(asked)


def test_members_of_a_strip_of_the_sky_are_found_by_their_place(million: Any) -> None:
    values = {
        "policy": TrainingDataCollectionParams().split.salt,
        "dec_from": 10.0,
        "dec_to": 10.5,
        "reach_arcsec": 60.0,
        "movers": [],
        "fields": ["f1"],
    }
    with watching(million.engine) as seen, million.engine.connect() as connection:
        found = connection.execute(query("split_members"), values).all()

    assert 0 < len(found) < 2000
    (plan,) = (one for one in seen if one.query == "split_members")
    assert plan.indexes >= {
        f"ix_training_split_members_{name}" for name in ("dec", "mover", "field")
    }


def test_without_the_indexes_tables_are_read_whole_and_the_collection_says_so(million: Any) -> None:
    now = datetime.now(UTC)
    with watching(million.engine) as seen, million.engine.connect() as connection:
        assert index_warnings(connection) == []
        for one in optional_indexes():
            connection.execute(text(f"DROP INDEX {one.name}"))
        ask_for_some(connection, {**BIG_SURVEY, "date_range": RANGE}, now)
        told = index_warnings(connection)
        connection.rollback()
        assert index_warnings(connection) == []

    assert {table for _, table in whole_reads(seen)} == {
        *("validation_events", "difference_runs", "preprocess_runs")
    }
    assert [line.split(" has about ")[0] for line in told] == [
        *("candidates", "difference_runs", "preprocess_runs", "validation_events")
    ]
    assert "1,500,2" in told[-1]
    assert "no index on detection_id" in told[-1]
    assert all("`astrid-training migrate --with-indexes`" in line for line in told)


def test_every_statement_that_names_a_large_table_is_asked(asked: list[Plan]) -> None:
    check_all_asked(asked)


def check_all_asked(seen: list[Plan]) -> None:
    missing = naming_big_tables() - {plan.query for plan in seen}
    assert {name for name in missing if not name.startswith(tuple(ELSEWHERE))} == set()
