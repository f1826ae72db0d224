"""One way to start a deployment's run, for all who start one: steps, commands, messages, requests."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

__all__ = [
    "COLLECTION",
    "FRESHNESS",
    "TRAINING",
    "DeploymentMissingError",
    "ServerBusyError",
    "ServerUnavailableError",
    "find_deployment_run",
    "is_away",
    "start_deployment_run",
]

COLLECTION = "training-data-collection/default"
FRESHNESS = "freshness/default"
TRAINING = "train-model/default"
BUSY = {408, 429}
"""What a server answers, beside 5xx, that has too much to do."""


class ServerUnavailableError(ConnectionError):
    """The Prefect server does not answer, cannot answer now, or does not know the deployment."""


class ServerBusyError(ServerUnavailableError):
    """The Prefect server answers that it cannot now."""


class DeploymentMissingError(ServerUnavailableError):
    """The Prefect server answers, and does not know the deployment."""


def start_deployment_run(
    deployment: str,
    parameters: Mapping[str, Any],
    idempotency_key: str | None = None,
    tags: Sequence[str] = (),
) -> FlowRun:
    """Start a run of `deployment` and return it without waiting for its end.

    A key that was given before returns the run that it started, with the parameters and tags that run has.

    Args:
        deployment: `flow/deployment`.
        parameters: those that differ from the deployment's own.
        idempotency_key: at most one run of the deployment is started for it, ever. None: one of this
            call alone, so that a request which the client repeats starts no second run.
        tags: of the run, beside the deployment's own.

    Raises:
        ServerUnavailableError: with the cure.
    """
    with _server(deployment) as client:
        target = client.read_deployment_by_name(deployment)
        return client.create_flow_run_from_deployment(
            target.id,
            parameters=dict(parameters),
            idempotency_key=idempotency_key or str(uuid4()),
            tags=tags,
        )


def find_deployment_run(deployment: str, flow_run_id: UUID) -> FlowRun | None:
    """Return a run of the deployment's flow; None if there is none of this id.

    Raises:
        ServerUnavailableError: with the cure.
    """
    with _server(deployment) as client:
        target = client.read_deployment_by_name(deployment)
        try:
            run = client.read_flow_run(flow_run_id)
        except ObjectNotFound:
            return None
        return run if run.flow_id == target.flow_id else None


@contextmanager
def _server(deployment: str) -> Iterator[SyncPrefectClient]:
    """Give the block a client of the server.

    Raises:
        ServerUnavailableError: if it does not answer, is busy, or does not know the deployment.
    """
    try:
        with get_client(sync_client=True) as client:
            yield client
    except ObjectNotFound as error:
        raise DeploymentMissingError(
            f"the Prefect server has no deployment {deployment}; run `astrid-training bootstrap`"
        ) from error
    except httpx.TransportError as error:
        raise ServerUnavailableError(
            "the Prefect server does not answer; start it with `astrid-training up` "
            "or set PREFECT_API_URL"
        ) from error
    except httpx.HTTPStatusError as error:
        if not is_away(error):
            raise
        answer = error.response
        raise ServerBusyError(
            f"the Prefect server answers {answer.status_code} {answer.reason_phrase}, as one does that "
            "has too much to do or is only starting; try again in a minute"
        ) from error


def is_away(error: BaseException) -> bool:
    """Tell whether a Prefect server did not answer, or answered that it cannot now."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error or error.response.status_code in BUSY
    return isinstance(error, httpx.TransportError)
