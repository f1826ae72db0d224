"""What each step takes: kept in the database as far as the run comes, shown on its page and in MLflow."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from prefect import Task

from astrid_training import meter
from astrid_training.records import BuiltBatch, StepMetrics
from astrid_training.run_metrics import step_metrics, summed, whole_metrics
from tasks.caching import call_checked
from tasks.run_metrics import keep_run_metrics, show_run_metrics

__all__ = ["MeasuredRun", "MeasuredSteps", "measured_run"]

KEPT_EVERY_S = 5.0
"""Of the batches; what follows one by one is kept at once."""

Present = Callable[[Any], bool]


def _holds(_result: object) -> bool:
    return True


class MeasuredSteps:
    """Calls steps one after the other and remembers what each took."""

    def __init__(self) -> None:
        self.metrics: list[StepMetrics] = []

    def __call__(
        self,
        step: Task[..., Any],
        *inputs: Any,  # noqa: ANN401 - the step's own inputs
        entering: int,
        is_present: Present = _holds,
    ) -> Any:  # noqa: ANN401 - the step's own result
        """Return the step's result.

        Args:
            step: a task.
            inputs: its own.
            entering: samples that come to it.
            is_present: tells whether a result that was there already still holds.
        """
        begun, result, cached = time.perf_counter(), None, False
        taken = meter.Meter()
        try:
            with meter.measuring(taken):
                result, cached = call_checked(step, is_present, *inputs)
            return result
        finally:
            took = time.perf_counter() - begun
            self._remember(
                step_metrics(step.name, took, taken.usage, entering, result, cached=cached)
            )

    def _remember(self, one: StepMetrics) -> None:
        self.metrics.append(one)


class MeasuredRun(MeasuredSteps):
    """The steps of a flow's run, those of its batches among them: one entry a step, however many batches."""

    def __init__(self, flow_run_id: str) -> None:
        super().__init__()
        self._flow_run_id = flow_run_id
        self._begun, self._cpu_begun = time.perf_counter(), time.process_time()
        self._kept = 0.0

    def add(self, built: BuiltBatch) -> BuiltBatch:
        """Take what a batch's steps took, and return the batch without it."""
        self.metrics = summed([*self.metrics, *built.steps])
        if time.monotonic() > self._kept + KEPT_EVERY_S:
            self._keep()
        return replace(built, steps=[])  # what follows must not look new for it

    def whole(self) -> list[StepMetrics]:
        """Return the steps, each summed over its batches, and the whole run."""
        took = time.perf_counter() - self._begun
        return whole_metrics(self.metrics, took, time.process_time() - self._cpu_begun)

    def _remember(self, one: StepMetrics) -> None:
        self.metrics = summed([*self.metrics, one])
        self._keep()

    def _keep(self) -> None:
        self._kept = time.monotonic()
        keep_run_metrics(self._flow_run_id, self.metrics)


@contextmanager
def measured_run(flow_run_id: str) -> Iterator[MeasuredRun]:
    """Measure the run that the block is; its metrics are kept and shown when it ends, however it does."""
    run = MeasuredRun(flow_run_id)
    try:
        yield run
    except Exception:
        _end(run, flow_run_id)
        raise
    except BaseException:
        # somebody waits for the process to end: there is time for the database only
        keep_run_metrics(flow_run_id, run.whole())
        raise
    else:
        _end(run, flow_run_id)


def _end(run: MeasuredRun, flow_run_id: str) -> None:
    whole = run.whole()
    keep_run_metrics(flow_run_id, whole)
    show_run_metrics(whole)
