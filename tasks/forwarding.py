"""Requests that may come twice, from a broker or from a look after the fact, become one run each."""

from collections.abc import Mapping
from datetime import datetime
from itertools import count
from typing import Any

from prefect.client.schemas.objects import FlowRun, StateType

from astrid_training.digests import digest_value
from tasks.deployment_runs import COLLECTION, TRAINING, start_deployment_run

__all__ = ["forward_batch", "forward_collection", "forward_training"]

LOST = frozenset({StateType.CRASHED})
"""How a run ends that did nothing of its own: another may be started for the same request."""


def forward_batch(
    batch_id: str,
    closed_at: datetime,
    detection_ids: list[str] | None = None,
    *,
    is_pending: bool = False,
) -> FlowRun:
    """Return the collection run of a validation batch that closed; one is started if there is none.

    Args:
        batch_id: AstrID's name of the batch, which alone decides whether it was forwarded before.
        closed_at: aware.
        detection_ids: the detections reviewed in it; None: not told.
        is_pending: it is known that no dataset holds it, so that a run of it that completed did
            nothing for it: it came while another run had taken the batch, which was then lost.
    """
    lost = LOST | {StateType.COMPLETED} if is_pending else LOST
    batch = {
        "batch_id": batch_id,
        "closed_at": closed_at.isoformat(),
        "detection_ids": detection_ids,
    }
    key = f"batch-{digest_value(batch_id)}"
    return _start_once(COLLECTION, {"trigger": "batch", "batch": batch}, key, lost)


def forward_collection(params: Mapping[str, Any], request_id: str) -> FlowRun:
    """Return the collection run of a request; one is started if there is none.

    Args:
        params: fields of TrainingDataCollectionParams as JSON values, checked.
        request_id: what names the request: equal parameters may well be asked for again next week.
    """
    key = f"collect-{digest_value([request_id, dict(params)])}"
    return _start_once(COLLECTION, {**params, "trigger": "message"}, key)


def forward_training(dataset_id: str, params: Mapping[str, Any]) -> FlowRun:
    """Return the training run on a dataset with these parameters; one is started if there is none.

    Args:
        dataset_id: id, version or name.
        params: fields of TrainingParams as JSON values, checked.
    """
    key = f"train-{digest_value([dataset_id, dict(params)])}"
    return _start_once(TRAINING, {"dataset_id": dataset_id, **params}, key)


def _start_once(
    deployment: str,
    parameters: Mapping[str, Any],
    key: str,
    lost: frozenset[StateType] = LOST,
) -> FlowRun:
    """Return the run of the key; where it was lost, that of the next attempt at the same request."""
    for attempt in count(1):
        run = start_deployment_run(deployment, parameters, f"{key}-{attempt}")
        if run.state is None or run.state.type not in lost:
            return run
    raise AssertionError("unreachable")
