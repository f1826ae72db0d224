"""Freshness on a real server: alerts, events, the artifact, the command for cron."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from pydantic import SecretStr
from sqlalchemy import text
from typer.testing import Result

from astrid_training.database import open_database
from astrid_training.simulate import SkyPlan
from blocks import Notifier, places
from deployments.bootstrap import save_blocks
from deployments.simulated import simulate_sky
from flows.freshness import freshness_flow
from tasks.events import FRESHNESS_BREACHED, FRESHNESS_RECOVERED
from tests.deployments.small_survey import cli_here

SURVEY = "sim_fresh"
SKY = SkyPlan(survey=SURVEY, fields=2, epochs=2, frame_size=(200, 220), stars=20, galaxies=3)


@pytest.fixture(scope="module")
def reviewed(stack: Any) -> Any:
    """The stack with blocks and a survey whose reviews wait."""
    save_blocks(stack.settings)
    simulate_sky(stack.settings, SKY, lambda _line: None)
    return stack


@pytest.fixture
def told(reviewed: Any, web_hook: Any, client: SyncPrefectClient) -> Iterator[Any]:
    """A web hook that the saved notifier posts to."""
    assert reviewed
    notifier: Any = Notifier(url=SecretStr(web_hook.url))  # Prefect's annotation lacks `_sync`
    saved = notifier.save(places.NAME, overwrite=True, _sync=True)
    places.clear()
    yield web_hook
    places.clear()
    client.delete_block_document(saved)


def look(**limits: Any) -> dict[str, Any]:
    found: Any = freshness_flow(survey_ids=[SURVEY], **limits)
    result: dict[str, Any] = found
    return result


def test_a_breach_is_told_once_and_its_end_once(told: Any, told_event: Any, reviewed: Any) -> None:
    for _ in range(3):
        assert [one["kind"] for one in look(max_waiting_hours=0.001)["breaches"]] == ["waiting"]
    for _ in range(2):
        assert look(max_waiting_hours=1e6)["is_fresh"]

    assert [one["title"] for one in told.posted] == [
        f"astrid-training: {SURVEY} stale: waiting",
        f"astrid-training: {SURVEY} recovered: waiting",
    ]
    with open_database(reviewed.settings.database_url).connect() as connection:
        breaches = text("SELECT id FROM training_freshness_breaches WHERE survey = :survey")
        breach = connection.execute(breaches, {"survey": SURVEY}).scalar_one()
    breached, _recovered = (
        told_event(name, f"astrid.freshness-breach.{breach}")
        for name in (FRESHNESS_BREACHED, FRESHNESS_RECOVERED)
    )
    roles = {
        one["prefect.resource.role"]: one["prefect.resource.id"] for one in breached["related"]
    }
    assert roles["survey"] == f"astrid.survey.{SURVEY}"
    assert roles["flow-run"].startswith("prefect.flow-run.")


def test_an_alert_that_is_not_taken_is_told_by_the_next_run(told: Any) -> None:
    told.status = 503
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.check_freshness.tell_of_breaches.retries", 0)
        with pytest.raises(ConnectionError, match="did not take the message"):
            look(max_backlog=0, max_waiting_hours=1e6)
    told.status = 200

    assert look(max_backlog=0, max_waiting_hours=1e6)["told"] == 1
    assert look(max_waiting_hours=1e6)["told"] == 1
    assert [one["title"].rpartition(": ")[2] for one in told.posted] == ["backlog", "backlog"]


def test_where_nobody_is_to_be_told_the_page_tells_it(
    reviewed: Any, client: SyncPrefectClient
) -> None:
    assert reviewed
    found = look(max_backlog=1, max_waiting_hours=1e6)
    assert found["told"] is None

    (artifact, *_) = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["freshness"])),
        sort=ArtifactSort.CREATED_DESC,
    )
    assert "reviewed detections of sim_fresh wait" in (artifact.description or "")
    (row,) = json.loads(str(artifact.data))
    assert (row["survey"], row["stale"]) == (SURVEY, "backlog")


def command(reviewed: Any, *options: str) -> Result:
    away = "http://127.0.0.1:9/api"  # it must tell also when Prefect is down
    return cli_here(reviewed.home, "freshness", *options, PREFECT_API_URL=away)


def test_the_command_exits_with_1_when_reviews_wait_too_long(reviewed: Any) -> None:
    fresh = command(reviewed, "--survey-ids", SURVEY, "--json", "--max-waiting-hours", "1e6")
    assert (fresh.exit_code, json.loads(fresh.stdout)["is_fresh"]) == (0, True)

    stale = command(reviewed, "--survey-ids", SURVEY, "--max-waiting-hours", "0.001")
    assert stale.exit_code == 1
    assert f"STALE a review of {SURVEY} has waited" in stale.stderr

    unknown = command(reviewed, "--survey-ids", f"no{uuid4().hex}", "--json")
    assert (unknown.exit_code, "no survey named" in unknown.stdout) == (1, True)


@pytest.fixture(scope="module", autouse=True)
def _closed_in_the_end(reviewed: Any) -> Iterator[None]:
    """Leave no breach open for the tests of other files."""
    yield
    engine = open_database(reviewed.settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM training_freshness_breaches"))
