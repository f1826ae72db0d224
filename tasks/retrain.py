"""Whether it is time to train again, and the training."""

from datetime import UTC, datetime

from prefect import task
from prefect.logging import get_run_logger

from astrid_training import workers
from astrid_training.catalogue import get_dataset
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.retraining import RetrainParams, Verdict, judge_retraining
from blocks import places
from tasks.retrying import RETRIES
from tasks.trigger_training import start_training

__all__ = ["judge_newest", "train_again"]


@task(
    name="judge_newest",
    persist_result=False,  # what was not worth a training a moment ago may be now
    **RETRIES,
)
def judge_newest(params: RetrainParams) -> Verdict:
    """Return whether the newest dataset is worth a training; a worker process holds the tables."""
    verdict = workers.run(judge_retraining, places.workplace(), params, datetime.now(UTC))
    get_run_logger().info("%s", verdict.message)
    return verdict


@task(name="train_again", persist_result=False, **RETRIES)
def train_again(dataset_id: str) -> str:
    """Start a training with the steps that the dataset's collection named; return its row's id."""
    asked = get_dataset(places.database(), dataset_id).collection_params
    usual = TrainingDataCollectionParams().training_steps
    return start_training(dataset_id, asked.get("training_steps", usual))
