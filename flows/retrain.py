"""Train again when the newest dataset is worth it."""

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from astrid_training.retraining import RetrainParams
from flows.parameters import flat_parameters
from tasks.artifacts import retraining_artifact
from tasks.logs import keep_flow_log
from tasks.retrain import judge_newest, train_again

__all__ = ["retrain_flow"]


@flow(
    name="retrain",
    flow_run_name="retrain {name}",
    validate_parameters=False,  # the decorator below checks them, all at once and in plain words
)
@flat_parameters(RetrainParams)
def retrain_flow(params: RetrainParams) -> State[dict[str, Any]]:
    """Hold the newest dataset against the one that was trained on last; train if it is worth it.

    Args:
        params: What is reason enough, given one by one.
    """
    keep_flow_log()
    verdict = judge_newest(params)
    retraining_artifact(verdict)
    training_run_id = None
    if verdict.decision == "train" and not params.dry_run:
        training_run_id = train_again(verdict.dataset_id)
    would = "would " if verdict.decision == "train" and params.dry_run else ""
    data = {**asdict(verdict), "training_run_id": training_run_id}
    return Completed(message=would + verdict.message, data=data)
