"""How collections stand."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from astrid_training.errors import MissingObjectError
from astrid_training.records import outcome_key
from astrid_training.run_metrics import read_run_metrics
from astrid_training.urls import mask_url
from deployments.api.auth import Authorize, needs
from deployments.api.models import MadeDataset, Run, RunMetrics, StepRow
from deployments.api.problems import ProblemError, documented
from deployments.api.service import Service

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

__all__ = ["add_runs", "as_json", "find_run", "run_of"]

LOOK_AGAIN_S = 5
MOST_OF_MESSAGE = 2000


def add_runs(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoints that tell of runs."""

    @router.get(
        "/runs/{flow_run_id}",
        response_model=Run,
        summary="How a collection stands",
        dependencies=[needs("read", authorize)],
        responses=documented(
            "token-needed", "scope-missing", "not-found", "invalid", "broken", "unavailable"
        ),
    )
    def get_training_run(flow_run_id: UUID) -> JSONResponse:
        """Return the state of a collection, whoever started it, and the dataset that it made.

        While it goes on, Retry-After says when to look again.
        """
        run = find_run(service, flow_run_id)
        state = run_of(run, _outcome(service, run))
        again = {} if state.finished else {"Retry-After": str(LOOK_AGAIN_S)}
        return JSONResponse(as_json(state), headers=again)

    @router.get(
        "/runs/{flow_run_id}/metrics",
        response_model=RunMetrics,
        summary="What the steps of a collection took",
        dependencies=[needs("read", authorize)],
        responses=documented(
            "token-needed", "scope-missing", "not-found", "invalid", "broken", "unavailable"
        ),
    )
    def get_training_run_metrics(flow_run_id: UUID) -> JSONResponse:
        """Return seconds, bytes, samples, rejects and retries of each step, as far as the run came.

        They outlive the run's own record on the Prefect server.
        """
        steps = read_run_metrics(service.engine, str(flow_run_id))
        if not steps:
            find_run(service, flow_run_id)  # that has not come to its first step
        rows = [StepRow(**asdict(one), samples_per_s=one.samples_per_s) for one in steps]
        return JSONResponse(as_json(RunMetrics(flow_run_id=flow_run_id, steps=rows)))


def find_run(service: Service, flow_run_id: UUID) -> "FlowRun":
    """Return a run of the collection.

    Raises:
        ProblemError: if there is none of this id.
        ServerUnavailableError: if the server does not answer.
    """
    run: FlowRun | None = service.ask_server(
        lambda runs: runs.find_deployment_run(service.deployment, flow_run_id)
    )
    if run is None:
        raise ProblemError("not-found", f"no collection has run {flow_run_id}")
    return run


def run_of(run: "FlowRun", made: MadeDataset | None) -> Run:
    """Return what is told of a run."""
    from deployments.collect_command import plain_message

    message = None if run.state is None else run.state.message
    own = {"trigger", "requested_by", "batch"}
    return Run(
        flow_run_id=run.id,
        name=run.name,
        state=run.state_name or "",
        finished=run.state is not None and run.state.is_final(),
        message=message and mask_url(plain_message(message))[:MOST_OF_MESSAGE],
        requested_by=run.parameters.get("requested_by"),
        trigger=run.parameters.get("trigger"),
        parameters={name: value for name, value in run.parameters.items() if name not in own},
        created_at=run.created,
        started_at=run.start_time,
        ended_at=run.end_time,
        dataset=made,
    )


def as_json(model: BaseModel) -> Any:  # noqa: ANN401 - any JSON value
    """Return a model as JSON values."""
    return model.model_dump(mode="json")


def _outcome(service: Service, run: "FlowRun") -> MadeDataset | None:
    """Return what a run made; None while it goes on, or if there was nothing to do."""
    if run.state is None or not run.state.is_completed():
        return None
    try:
        return MadeDataset.model_validate(json.loads(service.store.get(outcome_key(str(run.id)))))
    except MissingObjectError:
        return None
