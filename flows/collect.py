"""From validated detections to a published training set."""

from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from astrid_training import workers
from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.processors import Recipe
from astrid_training.publish import Collected
from astrid_training.records import BuiltBatch, Plan
from astrid_training.users import user_name
from flows.batches import build_batch
from flows.parameters import flat_parameters
from flows.runners import batch_runner
from tasks.check_leaks import check_leaks
from tasks.check_processor import check_processor
from tasks.claims import claim_pending_batches
from tasks.fetch_validated_detections import fetch_validated_detections
from tasks.log_lineage import log_lineage
from tasks.outcome import record_outcome
from tasks.persist_dataset import persist_dataset
from tasks.plan_batches import plan_batches
from tasks.trigger_training import trigger_training

__all__ = ["training_data_collection_flow"]

Trigger = Literal["manual", "schedule", "batch", "message", "api", "cli", "notebook"]


@flow(
    name="training-data-collection",
    flow_run_name="collect {name}",
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
    now = datetime.now(UTC)
    as_of = params.as_of or now
    if as_of > now:
        raise CollectionRefusedError(
            f"as_of {as_of.isoformat()} lies ahead; give a time that has passed"
        )
    claimed = []
    if trigger == "batch":
        claimed = claim_pending_batches(batch)
        if not claimed:
            return Completed(message="Nothing to do: each closed batch is in a dataset")
        as_of = max(as_of, *(one.closed_at for one in claimed))

    workers.set_workers(params.workers)
    recipe = check_processor(params.processor, params.preprocess)
    selection = fetch_validated_detections(params, as_of)
    plan = plan_batches(selection, recipe, params)
    run = Collected(
        params=params,
        as_of=as_of,
        source_digest=plan.source_digest,
        spec_fingerprint=recipe.fingerprint,
        created_by=requested_by or user_name(),
        flow_run_id=str(flow_run.id),
        batch_ids=[one.batch_id for one in claimed],
    )
    built = _build(plan, recipe, params)
    leaks = check_leaks(selection, plan, built, params)
    dataset = persist_dataset(selection, plan, built, leaks, run)
    mlflow_run_id = log_lineage(dataset)
    training_run_id = trigger_training(dataset, params) if params.trigger_training else None
    return record_outcome(dataset, mlflow_run_id, training_run_id)


def _build(plan: Plan, recipe: Recipe, params: TrainingDataCollectionParams) -> list[BuiltBatch]:
    how = {"recipe": recipe, "rule": params.mask, "verify_checksums": params.verify_checksums}
    if params.runner == "threads":
        workers.start_workers(sum(not one.built for one in plan.batches))
    with batch_runner(params) as runner:
        futures = [runner.submit(build_batch, {"batch": one, **how}) for one in plan.batches]
        built = [future.result() for future in futures]
    workers.set_workers(1)  # what follows is of the whole: the others would only hold memory
    return built
