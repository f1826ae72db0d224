"""What each step of a collection's run took, kept in the database: of failed runs too, as far as they came."""

from collections.abc import Iterable, Sequence
from dataclasses import fields

from sqlalchemy import Connection, Engine

from astrid_training.database import query
from astrid_training.meter import Usage
from astrid_training.records import (
    Downloaded,
    Leaks,
    MaskRef,
    Plan,
    PublishedDataset,
    QualityRef,
    Selection,
    StampsRef,
    StepMetrics,
)

__all__ = [
    "STEPS",
    "WHOLE",
    "StepMetrics",
    "as_numbers",
    "read_run_metrics",
    "step_metrics",
    "summed",
    "whole_metrics",
    "write_run_metrics",
]

WHOLE = "whole"
STEPS = (
    "fetch_validated_detections",
    "plan_batches",
    "download_fits",
    "preprocess",
    "make_masks",
    "score_quality",
    "check_leaks",
    "persist_dataset",
    "log_lineage",
    "trigger_training",
    WHOLE,
)
"""In the order in which samples go through them."""


NUMBERS = tuple(one.name for one in fields(StepMetrics) if one.name != "step")


def step_metrics(
    step: str, wall_s: float, usage: Usage, entered: int, result: object, *, cached: bool = False
) -> StepMetrics:
    """Return the metrics of one run of a step.

    Args:
        step: its name.
        wall_s: how long it took.
        usage: what it took.
        entered: samples that the step before it let through.
        result: what it returned, which says what became of them; None: it failed.
        cached: whether that was there already.
    """
    entered, left = _samples(entered, result)
    return StepMetrics(
        step=step,
        wall_s=wall_s,
        cpu_s=usage.cpu_s,
        worker_cpu_s=usage.worker_cpu_s,
        fetched_bytes=usage.fetched_bytes,
        written_bytes=usage.written_bytes,
        samples_in=entered,
        samples_out=left,
        rejects=entered - left,
        runs=1,
        cached=int(cached),
        retries=usage.retries,
    )


def _samples(entered: int, result: object) -> tuple[int, int]:
    """Return how many samples came in and how many went out."""
    match result:
        case None:
            return 0, 0
        case Selection():
            return result.selected, result.kept
        case Plan():
            return entered, sum(batch.samples for batch in result.batches)
        case StampsRef() | MaskRef() | QualityRef():
            return entered, result.rows
        case Downloaded():
            return entered, entered - len(result.rejects)
        case Leaks():
            return entered, entered - len(result.set_aside)
        case PublishedDataset():
            return entered, result.total_samples
    return entered, entered


def summed(metrics: Iterable[StepMetrics]) -> list[StepMetrics]:
    """Return the metrics added up step by step, in the order of `STEPS`."""
    of_step: dict[str, StepMetrics] = {}
    for one in metrics:
        known = of_step.get(one.step)
        of_step[one.step] = one if known is None else _added(known, one)
    return sorted(of_step.values(), key=lambda one: STEPS.index(one.step))


def _added(first: StepMetrics, second: StepMetrics) -> StepMetrics:
    numbers = {name: getattr(first, name) + getattr(second, name) for name in NUMBERS}
    return StepMetrics(first.step, **numbers)


def whole_metrics(metrics: Iterable[StepMetrics], wall_s: float, cpu_s: float) -> list[StepMetrics]:
    """Return the metrics step by step, and those of the whole run.

    Args:
        metrics: of the steps, batch by batch.
        wall_s: from the first step to the end.
        cpu_s: of the flow's process in that time; what no step has of it is the orchestration's.
    """
    steps = summed(metrics)
    named = {one.step: one for one in steps}
    selected, published = named.get(STEPS[0]), named.get("persist_dataset")
    entered = selected.samples_in if selected and published and published.samples_in else 0
    left = published.samples_out if published and entered else 0
    whole = StepMetrics(
        step=WHOLE,
        wall_s=wall_s,
        cpu_s=cpu_s,
        worker_cpu_s=sum(one.worker_cpu_s for one in steps),
        fetched_bytes=sum(one.fetched_bytes for one in steps),
        written_bytes=sum(one.written_bytes for one in steps),
        samples_in=entered,
        samples_out=left,
        rejects=entered - left,
        runs=1,
        cached=0,
        retries=sum(one.retries for one in steps),
    )
    return [*steps, whole]


def as_numbers(metrics: Iterable[StepMetrics]) -> dict[str, float]:
    """Return the metrics by the names that MLflow knows them by: `collection.<step>.<metric>`."""
    return {
        f"collection.{one.step}.{name}": float(getattr(one, name))
        for one in metrics
        for name in (*NUMBERS, "samples_per_s")
    }


def write_run_metrics(engine: Engine, flow_run_id: str, metrics: Sequence[StepMetrics]) -> None:
    """Write what the steps of a run took so far; what was known of them before is replaced."""
    if metrics:
        columns = {name: [getattr(one, name) for one in metrics] for name in ("step", *NUMBERS)}
        with engine.begin() as connection:
            connection.execute(query("run_steps_put"), {"flow_run_id": flow_run_id, **columns})


def read_run_metrics(
    connection_or_engine: Connection | Engine, flow_run_id: str
) -> list[StepMetrics]:
    """Return what the steps of a run took, in the order of `STEPS`; none of a run that nobody knows."""
    if isinstance(connection_or_engine, Engine):
        with connection_or_engine.connect() as connection:
            return read_run_metrics(connection, flow_run_id)
    rows = connection_or_engine.execute(query("run_steps"), {"flow_run_id": flow_run_id})
    return summed(StepMetrics(**row) for row in rows.mappings())
