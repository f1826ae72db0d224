"""A collection says which index it lacks, and how to get it: in its log, its outcome, on the command line."""

from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from sqlalchemy import Engine, text

from astrid_training.optional_indexes import build_indexes
from tests.deployments.small_survey import LENIENT, cli, outcome_of

pytestmark = [pytest.mark.slow, pytest.mark.trust]

GROWN = text("UPDATE pg_class SET reltuples = 1500000 WHERE relname = 'validation_events'")
NAME = "ix_validation_events_detection_id"
WARNING = (
    "validation_events has about 1,500,000 rows and no index on detection_id, so each collection "
    "reads all of it; let its owner run `astrid-training migrate --with-indexes`"
)


def test_a_missing_index_is_told_wherever_a_collection_is_looked_at(
    ready: Any, engine: Engine, client: SyncPrefectClient
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"DROP INDEX {NAME}"))
        connection.execute(GROWN)
    options = [f"--{name.replace('_', '-')}={_said(value)}" for name, value in LENIENT.items()]
    try:
        ran = cli(ready, "collect", "--name", "unindexed", *options, "--trigger-training=false")
    finally:
        assert (NAME, "built") in build_indexes(engine)

    assert ran.returncode == 0, ran.stderr
    assert f"warning: {WARNING}" in ran.stderr
    newest = max((ready.home / "store" / "runs").iterdir(), key=lambda path: path.stat().st_mtime)
    assert outcome_of(ready, newest.stem)["warnings"] == [WARNING]
    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[newest.stem]))
    logged = client.read_logs(of_run)
    assert [one.level for one in logged if one.message == WARNING] == [30]


def _said(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value).lower()
