"""`astrid-training demo`: the whole path once, from nothing to a trained model."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from astrid_training.database import open_database
from astrid_training.migrate import migrate
from astrid_training.settings import Settings, apply_environment, resolve
from astrid_training.simulate import SkyPlan
from astrid_training.urls import mask_url
from deployments.collect_command import collect_and_wait, parameters_from, tell
from deployments.console import reported, say
from deployments.looks import training_for_people
from deployments.simulated import simulate_sky

__all__ = ["demo"]

SURVEY = "sim_ztf"
COLLECTION = {
    "name": "demo",
    "description": "All reviewed detections of the simulated sky.",
    "survey_ids": SURVEY,
    "batch_samples": "256",
    "training_steps": "150",
}


def demo() -> None:
    """Start everything, simulate a sky, collect a training set, train on it, and sum up.

    What an earlier demo left is reused. The last line on stdout is a JSON summary. Exit code 1 if
    anything failed, the training included.
    """
    seconds: dict[str, float] = {}
    with reported():
        with _timed("stack", "starting the embedded stack", seconds):
            settings = _start()
        with _timed("prepare", "migrating the database, saving blocks and deployments", seconds):
            _prepare(settings)
        with _timed("simulate", f"simulating the survey {SURVEY}", seconds):
            simulate_sky(settings, SkyPlan(survey=SURVEY), say, again=False)
        with _timed("collect", "collecting validated detections", seconds):
            outcome = collect_and_wait(settings, parameters_from(COLLECTION), "cli")
        tell(outcome)
        with _timed("train", "training the U-Net", seconds):
            training = _training(settings, outcome)
    _sum_up(settings, outcome, training, seconds)


@contextmanager
def _timed(part: str, what: str, seconds: dict[str, float]) -> Iterator[None]:
    say(f"== {what}")
    start = time.monotonic()
    yield
    seconds[part] = round(time.monotonic() - start, 1)


def _start() -> Settings:
    from deployments.embedded.stack import up  # before Prefect is configured

    up(progress=say)
    settings = resolve()
    apply_environment(settings)
    return settings


def _prepare(settings: Settings) -> None:
    migrate(open_database(settings.database_url))
    from deployments.bootstrap import bootstrap  # brings Prefect

    bootstrap(settings, progress=say)


def _training(settings: Settings, outcome: dict[str, Any]) -> dict[str, Any]:
    from deployments.training import check_completed, wait_for_training  # brings Prefect

    run_id = outcome["training_run_id"]
    training = wait_for_training(settings, outcome["dataset_id"], run_id, say)
    check_completed(settings, training)
    return training


def _sum_up(
    settings: Settings,
    outcome: dict[str, Any],
    training: dict[str, Any],
    seconds: dict[str, float],
) -> None:
    metrics, shown = training["performance_metrics"] or {}, settings.shown()
    pages = mask_url(settings.prefect_ui_url)
    say("== done")
    for name, value in seconds.items():
        say(f"  {name:<10}{value:>7.1f} s")
    for name, value in training_for_people(training)["performance_metrics"].items():
        say(f"  {name:<20}{value:.3f}")
    say(f"  Prefect  {pages}")
    say(f"  MLflow   {shown['mlflow_tracking_uri']}")
    say(f"  report   {outcome['report_url']}")
    say("  stop with `astrid-training down`")
    summary = {
        **outcome,
        "training": {"status": training["status"], "metrics": metrics},
        "seconds": seconds,
        "prefect_ui_url": pages,
        "mlflow_tracking_uri": shown["mlflow_tracking_uri"],
    }
    sys.stdout.write(json.dumps(summary, default=str) + "\n")
