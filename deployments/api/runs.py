"""Collections that the API starts, and how far they are."""

import json
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import BaseModel

from astrid_training.digests import digest_value
from astrid_training.errors import MissingObjectError
from astrid_training.records import outcome_key
from astrid_training.settings import Settings
from astrid_training.store import Store
from astrid_training.urls import mask_url
from deployments.api.models import Run
from deployments.api.problems import Problem
from tasks.deployment_runs import COLLECTION, start_deployment_run
from tasks.flow_states import FLOWS

__all__ = ["find_run", "start_collection"]


def start_collection(
    settings: Settings, params: BaseModel, caller: str, idempotency_key: str | None
) -> Run:
    """Start a collection, or return the one that the same request started before.

    Raises:
        Problem: if the key named another request.
        ServerUnavailableError: if the Prefect server cannot be reached.
    """
    asked = params.model_dump(mode="json", exclude_unset=True)
    parameters = {**asked, "trigger": "api", "requested_by": caller}
    key = idempotency_key and f"api-{digest_value([caller, idempotency_key])}"
    content = f"request-{digest_value(parameters)[:16]}"  # a run that is there keeps its own
    with temporary_settings({PREFECT_API_URL: settings.prefect_api_url}):
        run = start_deployment_run(COLLECTION, parameters, key, [content])
    if content not in run.tags:
        raise Problem(422, f"Idempotency-Key {idempotency_key!r} named another request before")
    return _told(settings, run, COLLECTION.partition("/")[0], None)


def find_run(settings: Settings, store: Store, run_id: UUID) -> Run:
    """Return how far a run is.

    Raises:
        Problem: if there is no such run of ours.
    """
    with (
        temporary_settings({PREFECT_API_URL: settings.prefect_api_url}),
        get_client(sync_client=True) as client,
    ):
        try:
            run = client.read_flow_run(run_id)
            name = client.read_flow(run.flow_id).name
        except ObjectNotFound:
            name = ""
        if name not in FLOWS:
            raise Problem(404, f"no run {run_id} of a collection or training")
    return _told(settings, run, name, _dataset_of(store, run))


def _dataset_of(store: Store, run: FlowRun) -> UUID | None:
    if run.state is None or not run.state.is_completed():
        return None
    try:
        outcome: dict[str, Any] = json.loads(store.get(outcome_key(str(run.id))))
    except MissingObjectError:
        return None
    return UUID(outcome["dataset_id"])


def _told(settings: Settings, run: FlowRun, flow: str, dataset_id: UUID | None) -> Run:
    state = run.state
    return Run(
        id=run.id,
        name=run.name,
        flow=flow,
        state=run.state_name or "unknown",
        message=None if state is None else state.message,
        is_final=state is not None and state.is_final(),
        created_at=run.created,
        started_at=run.start_time,
        ended_at=run.end_time,
        dataset_id=dataset_id,
        page=f"{mask_url(settings.prefect_ui_url)}/runs/flow-run/{run.id}",
    )
