"""A small simulated survey on the stack, and the ways in which tests collect from it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner, Result

from deployments.cli import app
from deployments.runs import run_and_wait
from tasks.deployment_runs import COLLECTION

__all__ = [
    "LENIENT",
    "ROOT",
    "cli",
    "cli_here",
    "collect",
    "outcome_of",
    "python",
    "quiet",
    "run_flow",
    "steps_of",
    "told",
]

LENIENT: dict[str, Any] = {
    "survey_ids": ["sim_small"],
    "quality_score_threshold": 0,
    "allow_sparse_splits": True,
    "batch_samples": 64,
    "training_steps": 2,
}
ROOT = Path(__file__).parents[2]
COLLECT = ROOT / "tests" / "collect_flow.py"


def quiet(_line: str) -> None:
    """Tell nobody."""


def outcome_of(ready: Any, flow_run_id: str) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(
        (ready.home / "store" / "runs" / f"{flow_run_id}.json").read_text()
    )
    return outcome


def collect(ready: Any, **parameters: Any) -> dict[str, Any]:
    run = run_and_wait(COLLECTION, {**LENIENT, **parameters}, quiet)
    assert run.completed, run.message
    return outcome_of(ready, run.id)


def steps_of(client: SyncPrefectClient, flow_run_id: str) -> list[tuple[str, str]]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    runs = client.read_task_runs(flow_run_filter=of_run, limit=200)
    return sorted((run.task_key.rsplit("-", 1)[0], run.state_name or "") for run in runs)


def python(
    ready: Any,
    code: str,
    *arguments: str,
    within: Sequence[str | Path] = (),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, in the stack's home; `within` is a command that runs it."""
    return subprocess.run(
        [*within, sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(ready.home), **environment},
        timeout=300,
    )


def run_flow(
    ready: Any, asked: dict[str, Any], fault: str = "", within: Sequence[str | Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the collection in a process of its own, as a worker does, with a fault where asked."""
    code = COLLECT.read_text()
    return python(ready, code, json.dumps(asked), within=within, ASTRID_FAULT=fault)


def told(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the outcome of `run_flow`."""
    assert run.returncode == 0, run.stderr
    outcome: dict[str, Any] = json.loads(run.stdout.split("OUTCOME ")[1])
    return outcome


def cli_here(home: Path, *arguments: str, **environment: str) -> Result:
    """Run a command in this process, which has imported what `cli` would import for seconds.

    Raises:
        AssertionError: if it ends otherwise than a command should.
    """
    places = {"ASTRID_TRAINING_HOME": str(home), **environment}
    server = places.get("PREFECT_API_URL")
    # Prefect has read its settings before, where another test of this process asked for them
    with temporary_settings({} if server is None else {PREFECT_API_URL: server}):
        done = CliRunner().invoke(app, arguments, env=places)
    crash = None if isinstance(done.exception, SystemExit) else done.exception
    if crash is not None:
        raise AssertionError(f"{arguments} crashed") from crash
    return done


def cli(ready: Any, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("astrid-training")), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ASTRID_TRAINING_HOME": str(ready.home), **environment},
        timeout=180,
    )
