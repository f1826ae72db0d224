"""The log that flows leave on their machine, beside what they send to the Prefect server."""

from astrid_training.logs import keep_log
from astrid_training.settings import training_home

__all__ = ["keep_flow_log"]

LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "astrid_training")


def keep_flow_log() -> None:
    """Write what flows, steps and the library say to `logs/flows.log` of the home too, from now on."""
    keep_log(training_home() / "logs" / "flows.log", LOGGERS)
