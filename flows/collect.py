"""From validated detections to a published training set."""

from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from astrid_training import workers
from astrid_training.errors import CollectionRefusedError
from astrid_training.logs import naming
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.processors import Recipe
from astrid_training.publish import Collected
from astrid_training.records import BuiltBatch, Leaks, Plan, PublishedDataset, Selection
from astrid_training.users import user_name
from flows.batches import build_batch
from flows.measuring import MeasuredRun, measured_run
from flows.names import collection_name
from flows.parameters import flat_parameters
from flows.runners import batch_runner
from tasks.check_leaks import check_leaks
from tasks.check_processor import check_processor
from tasks.claims import claim_pending_batches
from tasks.fetch_validated_detections import fetch_validated_detections
from tasks.log_lineage import log_lineage
from tasks.logs import keep_flow_log
from tasks.outcome import record_outcome
from tasks.persist_dataset import persist_dataset
from tasks.plan_batches import plan_batches
from tasks.progress import BatchProgress
from tasks.retrying import try_again
from tasks.run_metrics import track_run_metrics
from tasks.trigger_training import trigger_training

__all__ = ["training_data_collection_flow"]

Trigger = Literal["manual", "schedule", "batch", "message", "api", "cli", "notebook"]


@flow(
    name="training-data-collection",
    flow_run_name=collection_name,
    validate_parameters=False,  # the decorator below checks them, all at once and in plain words
)
@flat_parameters(TrainingDataCollectionParams)
def training_data_collection_flow(
    params: TrainingDataCollectionParams,
    trigger: Trigger = "manual",
    batch: dict[str, Any] | None = None,
    requested_by: str | None = None,
) -> dict[str, Any] | State[Any]:
    """Collect validated detections into a training set.

    Args:
        params: The collection's parameters, given one by one.
        trigger: What started the run; only `batch` takes over pending validation batches.
        batch: For `batch`: the closed batch as its event tells it (batch_id, closed_at).
        requested_by: Who asked for it, the creator of the dataset; none given: this process's user.
    """
    keep_flow_log()
    now = datetime.now(UTC)
    as_of = params.as_of or now
    if as_of > now:
        raise CollectionRefusedError(
            f"as_of {as_of.isoformat()} lies ahead; give a time that has passed"
        )
    claimed = []
    if trigger == "batch":
        claimed = try_again(claim_pending_batches, batch)
        if not claimed:
            return Completed(message="Nothing to do: each closed batch is in a dataset")
        as_of = max(as_of, *(one.closed_at for one in claimed))

    workers.set_workers(params.workers)
    asked_for = [one.batch_id for one in claimed]
    with naming(run=str(flow_run.name)), measured_run(str(flow_run.id)) as measured:
        return _collect(params, as_of, asked_for, requested_by or user_name(), measured)


def _collect(
    params: TrainingDataCollectionParams,
    as_of: datetime,
    asked_for: list[str],
    created_by: str,
    measured: MeasuredRun,
) -> dict[str, Any]:
    recipe = check_processor(params.processor, params.preprocess)
    selection: Selection = measured(fetch_validated_detections, params, as_of, entering=0)
    plan: Plan = measured(plan_batches, selection, recipe, params, entering=selection.kept)
    run = Collected(
        params=params,
        as_of=as_of,
        source_digest=plan.source_digest,
        spec_fingerprint=recipe.fingerprint,
        created_by=created_by,
        flow_run_id=str(flow_run.id),
        batch_ids=asked_for,
        trigger=flow_run.parameters.get("trigger"),
    )
    built = _build(plan, recipe, params, measured)
    all_of_it = selection, plan, built
    rows = sum(one.rows for one in built)
    leaks: Leaks = measured(check_leaks, *all_of_it, params, entering=rows)
    left = rows - len(leaks.set_aside)
    dataset: PublishedDataset = measured(persist_dataset, *all_of_it, leaks, run, entering=left)
    kept, training_run_id = dataset.total_samples, None
    with naming(dataset=dataset.dataset_id):
        mlflow_run_id = measured(log_lineage, dataset, entering=kept)
        if params.trigger_training:
            training_run_id = measured(trigger_training, dataset, params, entering=kept)
        track_run_metrics(mlflow_run_id, measured.whole())
        return record_outcome(dataset, mlflow_run_id, training_run_id, selection.warnings)


def _build(
    plan: Plan, recipe: Recipe, params: TrainingDataCollectionParams, measured: MeasuredRun
) -> list[BuiltBatch]:
    how = {"recipe": recipe, "rule": params.mask, "verify_checksums": params.verify_checksums}
    if params.runner == "threads":
        workers.start_workers(sum(not one.built for one in plan.batches))
    with batch_runner(params) as runner:
        futures = [runner.submit(build_batch, {"batch": one, **how}) for one in plan.batches]
        progress, built = BatchProgress(len(futures)), []
        for future in futures:
            built.append(measured.add(future.result()))
            progress.show(len(built))
    workers.set_workers(1)  # what follows is of the whole: the others would only hold memory
    return built
