"""Secrets stay in the blocks: a run leaves them nowhere, and a changed block is used by the next run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from sqlalchemy import make_url, text

from astrid_training.database import open_database
from astrid_training.settings import Settings, resolve
from astrid_training.simulate import SkyPlan
from deployments.bootstrap import save_blocks
from deployments.runs import FinishedRun, run_and_wait
from deployments.simulated import simulate_sky
from tasks.deployment_runs import COLLECTION, FRESHNESS

SKY = SkyPlan(
    survey="sim_secret",
    fields=6,
    epochs=3,
    frame_size=(220, 260),
    stars=40,
    galaxies=10,
    artifacts=4,
)
KEY_ID, KEY, TOKEN = "PLANTED-KEY-ID", "planted-secret-key", "planted-hook-token"


@pytest.fixture
def planted(stack: Any, bootstrapped: Any) -> Iterator[Settings]:
    """The stack with secrets of every kind in its blocks."""
    assert bootstrapped
    settings = resolve(
        stack.home,
        store_access_key_id=KEY_ID,
        store_secret_access_key=KEY,
        notify_url=f"http://127.0.0.1:9/{TOKEN}",
    )
    save_blocks(settings)
    yield settings
    save_blocks(stack.settings)


def run(deployment: str, **parameters: Any) -> FinishedRun:
    return run_and_wait(deployment, parameters, lambda _line: None)


def everything_told(client: SyncPrefectClient, home: Path) -> str:
    """Return what the server and the home hold of all runs, blocks and databases apart."""
    told = []
    for path in ("logs", "flow_runs", "task_runs", "artifacts", "events"):
        for page in range(50):
            asked: dict[str, Any] = {"limit": 200, "offset": 200 * page}
            if path == "events":
                asked = {"limit": 50, "filter": {}}
            where: Any = f"/{path}/filter"  # one of the paths that Prefect lists
            answer = client.request("POST", where, json=asked)
            told.append(answer.text)
            if path == "events" or len(answer.json()) < 200:
                break
    kept = [*(home / "logs").rglob("*"), *(home / "prefect" / "storage").rglob("*")]
    kept += [*(home / "store" / "runs").rglob("*"), *(home / "store" / "reports").rglob("*")]
    told += [path.read_text(errors="replace") for path in kept if path.is_file()]
    return "\n".join(told)


@pytest.mark.slow
def test_runs_that_succeed_and_fail_leave_no_secret(
    stack: Any, planted: Settings, client: SyncPrefectClient
) -> None:
    simulate_sky(stack.settings, SKY, lambda _line: None)
    lenient = {"quality_score_threshold": 0, "allow_sparse_splits": True, "trigger_training": False}
    done = run(COLLECTION, name="secret", survey_ids=["sim_secret"], **lenient)
    assert done.completed, done.message
    untold = run(
        FRESHNESS, survey_ids=["sim_secret"], max_label_age_hours=1
    )  # nobody takes its alert
    assert not untold.completed
    password = make_url(planted.database_url).password
    assert password
    wrong = make_url(planted.database_url).set(password=f"{password}-wrong")
    save_blocks(resolve(stack.home, database_url=wrong.render_as_string(hide_password=False)))
    refused = run(FRESHNESS)
    assert not refused.completed

    told = everything_told(client, stack.home)

    assert "did not take the message" in told, "what failed is told"
    assert done.id in told
    for secret in (KEY, TOKEN, password):
        assert secret not in told


@pytest.mark.slow
def test_a_password_is_changed_by_its_block_alone(stack: Any, planted: Settings) -> None:
    role, engine = f"rotated_{uuid4().hex[:8]}", open_database(stack.settings.database_url)

    def block(password: str) -> None:
        url = make_url(stack.settings.database_url).set(username=role, password=password)
        save_blocks(resolve(stack.home, database_url=url.render_as_string(hide_password=False)))

    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'first'"))
    try:
        block("first")
        assert run(FRESHNESS, max_waiting_hours=1e6, max_backlog=10**9, datasets=0).completed
        with engine.begin() as connection:
            connection.execute(text(f"ALTER ROLE {role} PASSWORD 'second'"))
        block("second")
        assert run(FRESHNESS, max_waiting_hours=1e6, max_backlog=10**9, datasets=0).completed
    finally:
        save_blocks(stack.settings)
        with engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
