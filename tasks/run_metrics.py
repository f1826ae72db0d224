"""What a run's steps took, told to whom it may help; a run never fails for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger
from sqlalchemy.exc import SQLAlchemyError

from astrid_training.records import StepMetrics
from astrid_training.run_metrics import as_numbers, write_run_metrics
from astrid_training.tracking import log_numbers
from blocks import places

__all__ = ["keep_run_metrics", "show_run_metrics", "track_run_metrics"]

LEGEND = (
    "What each step took: samples in, out and rejected, samples a second, CPU seconds of the flow and of its"
    " workers, bytes fetched and written. Batches run side by side, so that their seconds add up to more than"
    " the whole."
)


def keep_run_metrics(flow_run_id: str, metrics: Sequence[StepMetrics]) -> None:
    """Write what the steps took so far to the database."""
    with _or_without("the database"):
        write_run_metrics(places.database(), flow_run_id, metrics)


def show_run_metrics(metrics: Sequence[StepMetrics]) -> None:
    """Show a row a step on the run's page."""
    with _or_without("the Prefect server"):
        create_table_artifact(
            key="steps",
            table=[_row(one) for one in metrics],
            description=LEGEND,
        )


def track_run_metrics(mlflow_run_id: str, metrics: Sequence[StepMetrics]) -> None:
    """Log what the steps took on the dataset's run in MLflow."""
    with _or_without("MLflow"):
        log_numbers(places.tracking(), mlflow_run_id, as_numbers(metrics))


def _row(one: StepMetrics) -> dict[str, object]:
    return {
        "step": one.step,
        "seconds": round(one.wall_s, 2),
        "in": one.samples_in,
        "out": one.samples_out,
        "rejects": one.rejects,
        "in/s": round(one.samples_per_s, 1),
        "CPU-s": round(one.cpu_s, 2),
        "workers": round(one.worker_cpu_s, 2),
        "MB in": round(one.fetched_bytes / 1e6, 1),
        "MB out": round(one.written_bytes / 1e6, 1),
        "runs": f"{one.runs} ({one.cached} cached)" if one.cached else str(one.runs),
        "retries": one.retries,
    }


@contextmanager
def _or_without(place: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, ConnectionError, httpx.HTTPError) as error:
        get_run_logger().warning("what the steps took is not told to %s: %s", place, error)
