"""The log that flows leave on their machine, beside what they send to the Prefect server."""

import logging
import os

from prefect.logging.handlers import PrefectConsoleHandler

from astrid_training.logs import keep_log
from astrid_training.settings import training_home

__all__ = ["keep_flow_log"]

LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "astrid_training")


def keep_flow_log() -> None:
    """Write what flows, steps and the library say to `logs/flows.log` of the home too, from now on.

    It is written on also when the worker that reads this process's output has died.
    """
    keep_log(training_home() / "logs" / "flows.log", LOGGERS)
    for logger in (logging.getLogger(), logging.getLogger("prefect")):
        for handler in logger.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                # its own way is SystemExit in whichever step has just said something
                handler.console.on_broken_pipe = _write_no_more  # type: ignore[method-assign]


def _write_no_more() -> None:
    """Let what is written to output and errors go nowhere: nobody reads them any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
