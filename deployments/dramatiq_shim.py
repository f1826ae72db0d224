"""AstrID's message queue answered: each message becomes a flow run, and nothing else happens here.

    dramatiq deployments.dramatiq_shim:broker

What sends messages imports this module too; it is light until a message is worked on.
"""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, default_middleware
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.settings import apply_environment, resolve

__all__ = [
    "MalformedMessageError",
    "broker",
    "collect_training_data_worker",
    "trigger_training_pipeline",
]

QUEUE = "training_data"
MAX_RETRIES = 8
OPTIONS: dict[str, Any] = {
    "queue_name": QUEUE,
    "min_backoff": 500,
    "max_backoff": 60_000,
    "time_limit": 60_000,
    "retry_when": lambda retries, error: retries < MAX_RETRIES and not is_permanent(error),
}
HEARTBEAT_TIMEOUT_MS = 15_000  # what a killed worker held comes back after this, not after a minute
MAINTENANCE_CHANCE = 100_000  # of a million commands: who looks for it looks often


class MalformedMessageError(ValueError):
    """A message that no retry makes right."""


class Batch(BaseModel):
    """A validation batch that closed, as a message tells it."""

    model_config = ConfigDict(extra="forbid")

    batch_id: str = Field(min_length=1, max_length=255)
    closed_at: AwareDatetime | None = None
    detection_ids: list[str] | None = None


M = TypeVar("M", bound=BaseModel)


def is_permanent(error: BaseException) -> bool:
    """Tell whether an error comes again however often the message is tried.

    Such is what the Prefect server says with 4xx, but for 408 and 429, which are of the moment, and
    409, which is unless it says that parameters do not fit the deployment's schema.
    """
    if isinstance(error, MalformedMessageError):
        return True
    answer = getattr(error, "response", None)
    status = getattr(answer, "status_code", None)
    if status == 409:
        told = str(getattr(answer, "text", "")).lower()
        return "schema" in told or "validat" in told
    return status is not None and 400 <= status < 500 and status not in {408, 429}


def _broker() -> RedisBroker:
    middleware = [kind() for kind in default_middleware] + [CurrentMessage()]
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq has no annotations there
        url=resolve().redis_url,
        middleware=middleware,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )


broker = _broker()
"""Ours alone: a sender keeps its own global broker."""


@dramatiq.actor(broker=broker, **OPTIONS)
def collect_training_data_worker(
    collection_params: dict[str, Any] | None = None, batch: dict[str, Any] | None = None
) -> None:
    """Start the collection of a closed validation batch, or one by parameters.

    Args:
        collection_params: fields of TrainingDataCollectionParams.
        batch: batch_id, and where known closed_at (ISO 8601 with a time zone; none: now) and
            detection_ids. Then the deployment's own parameters hold.

    Raises:
        MalformedMessageError: if not exactly one of the two is given, or it is not what it should
            be; the message goes to the dead letters.
    """
    if (collection_params is None) == (batch is None):
        raise MalformedMessageError("give either collection_params or batch")
    forwarding = _forwarding()
    if batch is not None:
        told = _checked(Batch, batch)
        closed_at = told.closed_at or datetime.now(UTC)
        forwarding.forward_batch(told.batch_id, closed_at, told.detection_ids)
        return
    params = _checked(TrainingDataCollectionParams, collection_params or {})
    asked = params.model_dump(mode="json", exclude_unset=True)
    message = CurrentMessage.get_current_message()
    if message is None:
        raise MalformedMessageError("send it; called directly it has no message")
    forwarding.forward_collection(asked, message.message_id)


@dramatiq.actor(broker=broker, **OPTIONS)
def trigger_training_pipeline(
    dataset_id: str, training_params: dict[str, Any] | None = None
) -> None:
    """Start the training on a dataset; told again, with equal parameters, it starts no second one.

    Args:
        dataset_id: id, version or name of a dataset.
        training_params: parameters of the deployment train-model/default.

    Raises:
        MalformedMessageError: if the dataset is no text; the message goes to the dead letters.
    """
    if not isinstance(dataset_id, str) or not dataset_id:
        raise MalformedMessageError(f"dataset_id is {dataset_id!r}; give its id, version or name")
    _forwarding().forward_training(dataset_id, training_params or {})


def _checked(model: type[M], values: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise MalformedMessageError(str(error)) from None


@functools.cache
def _forwarding() -> Any:  # noqa: ANN401 - a module, which brings Prefect
    apply_environment(resolve())  # Prefect reads its settings when it is imported
    from tasks import forwarding

    return forwarding
