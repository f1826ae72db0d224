"""One round of a soak: people review, something asks for a collection, something dies, all is well after it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from sqlalchemy import Engine, text

from astrid_training.reconcile import Finding, half_published
from astrid_training.simulate import SkyPlan
from astrid_training.store import Store
from deployments.events import emit_batch_closed
from deployments.simulated import simulate_sky
from tasks.deployment_runs import COLLECTION
from tasks.forwarding import forward_batch
from tests.deployments.small_survey import ROOT, cli, python, quiet
from tests.load.breakages import break_part, mend
from tests.load.reviewing import review_some
from tests.load.served_api import ask_to_collect

__all__ = ["Round", "Rounds", "until"]

SKY = SkyPlan(fields=4, epochs=2, frame_size=(220, 260), stars=40, galaxies=10, artifacts=4)
SEASON = 12
"""Rounds after which another survey begins."""
NEW_PIXELS = 4
"""Rounds after which stamps are made in another way, so that none is built yet."""
LIMIT_S = 240.0
RECONCILE = ROOT / "tests" / "deployments" / "reconcile_flow.py"
SETTLED = text("SELECT dataset_id FROM training_validation_batches WHERE batch_id = :id")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round was."""

    number: int
    way: str
    broken: str
    """What died; empty: nothing."""
    took_s: float


@dataclass
class Rounds:
    """A stack's rounds, and what was counted of them."""

    stack: Any
    engine: Engine
    client: SyncPrefectClient
    store: Store
    api: httpx.Client
    rng: Random
    counts: Counter[str] = field(default_factory=Counter)
    """collections, killed, recovered, reconciled, logged by the next."""

    def run(self, number: int, broken: str) -> Round:
        """Let a round go by and return it."""
        begun = time.monotonic()
        survey = self._season(number)
        closed = review_some(self.engine, survey, self.rng)
        batches = {"event": self._by_event, "message": self._by_message}
        others = {"api": self._by_api, "command line": self._by_command}
        ways = list(batches if broken else batches | others)
        way = ways[number % len(ways)]
        if way in batches:
            self._collect_batch(batches[way], closed, broken)
            self._log_what_is_not(number)
        else:
            others[way](number)
        self.counts["collections"] += 1
        return Round(number, way, broken, time.monotonic() - begun)

    def _season(self, number: int) -> str:
        survey = f"sim_soak{number // SEASON}"
        if number % SEASON == 0:
            simulate_sky(self.stack.settings, replaced(SKY, survey=survey, seed=number), quiet)
        self.client.update_deployment(
            self._deployment,
            DeploymentUpdate(parameters=self._asked(survey, number // NEW_PIXELS)),
        )
        return survey

    def _asked(self, survey: str, recipe: int) -> dict[str, Any]:
        return {
            "name": "soak",
            "survey_ids": [survey],
            "quality_score_threshold": 0,
            "allow_one_class": True,
            "allow_sparse_splits": True,
            "batch_samples": 64,
            "preprocess": {"softening": 3.0 + recipe / 16},
            "trigger_training": False,
        }

    @property
    def _deployment(self) -> UUID:
        return self.client.read_deployment_by_name(COLLECTION).id

    def _collect_batch(self, tell: Callable[..., None], closed: list[str], broken: str) -> None:
        """Close a batch, let something die under its run, and wait until a dataset holds it."""
        batch_id = f"batch-{uuid4()}"
        tell(batch_id, closed)
        hit = bool(broken) and self._break(batch_id, broken)
        until(
            lambda: self._is_over(batch_id), f"batch {batch_id} with {broken or 'nothing'} broken"
        )
        self.counts["recovered"] += hit

    def _by_event(self, batch_id: str, closed: list[str]) -> None:
        for _ in range(2):  # the second finds nothing to do
            emit_batch_closed(batch_id, datetime.now(UTC), closed)
        until(lambda: len(self._runs_of(batch_id)) == 2, "both events' runs")

    def _by_message(self, batch_id: str, closed: list[str]) -> None:
        first, second = (forward_batch(batch_id, datetime.now(UTC), closed) for _ in range(2))
        assert first.id == second.id

    def _by_api(self, number: int) -> None:
        first, second = (ask_to_collect(self.api, "soak", f"round-{number}") for _ in range(2))
        assert first == second
        run_id = UUID(first)
        until(lambda: _is_final(self.client.read_flow_run(run_id)), "the API's run")
        run = self.client.read_flow_run(run_id)
        assert run.state is not None
        assert run.state.is_completed(), run.state

    def _by_command(self, number: int) -> None:
        ran = cli(self.stack, "collect", "--name", "soak")
        assert ran.returncode == 0, ran.stderr

    def _log_what_is_not(self, number: int) -> None:
        """Collect again, as the reconciler advises, where a flow died between publishing and logging."""
        if self._half_published():
            self._by_command(number)
            self.counts["logged by the next"] += 1
        assert not self._half_published()

    def _half_published(self) -> list[Finding]:
        with self.engine.connect() as connection:
            return half_published(connection, self.store, datetime.now(UTC))

    def _break(self, batch_id: str, broken: str) -> bool:
        """End a part under the batch's run and bring it back; tell whether it was there."""
        until(
            lambda: any(run.state_name == "Running" for run in self._runs_of(batch_id)),
            "a run that could be disturbed",
        )
        time.sleep(self.rng.uniform(0, 6))
        hit = break_part(self.stack.home, broken)
        self.counts["killed"] += hit
        mend(self.stack.home)
        return hit

    def _is_over(self, batch_id: str) -> bool:
        """Tell whether a dataset holds the batch and its runs have ended; what was lost is started again."""
        runs = self._runs_of(batch_id)
        if not runs or not all(map(_is_final, runs)):
            return False
        with self.engine.connect() as connection:
            settled = connection.execute(SETTLED, {"id": batch_id}).scalars().all()
        if settled and all(settled):
            assert len(settled) == 1
            return True
        ran = python(self.stack, RECONCILE.read_text(), "600")
        assert ran.returncode == 0, ran.stderr
        self.counts["reconciled"] += 1
        return False

    def _runs_of(self, batch_id: str) -> list[FlowRun]:
        of_it = DeploymentFilter(id=DeploymentFilterId(any_=[self._deployment]))
        newest = self.client.read_flow_runs(
            deployment_filter=of_it, limit=40, sort=FlowRunSort.EXPECTED_START_TIME_DESC
        )
        return [
            run for run in newest if (run.parameters.get("batch") or {}).get("batch_id") == batch_id
        ]


def until(holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Return when it holds; fail with what was waited for if it does not."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.5)


def _is_final(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()
