"""Ask for a collection: checked here, run by a worker."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Header
from fastapi.responses import JSONResponse
from starlette.requests import Request

from astrid_training.digests import digest_value
from astrid_training.params import TrainingDataCollectionParams
from deployments.api.auth import Authorize, Caller, needs
from deployments.api.models import SCHEDULED_RUN, Run
from deployments.api.problems import ProblemError, documented
from deployments.api.runs import as_json, run_of
from deployments.api.service import Service

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

__all__ = ["add_collect"]

COLLECT = "/datasets/collect"
EXAMPLES: Any = {
    "everything": {"summary": "The deployment's own parameters", "value": {}},
    "nightly": {
        "summary": "One survey, at most 1000 samples",
        "value": {"name": "nightly", "survey_ids": ["ztf"], "max_samples": 1000},
    },
}
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="Names the request: with the same key and body the same run is the answer, however "
        "often it is sent. It is yours alone: other tokens may use the same.",
        examples=["2026-03-02-nightly"],
    ),
]
ACCEPTED: dict[str, Any] = {
    "description": "The run, new or known by its key",
    "content": {"application/json": {"example": SCHEDULED_RUN}},
    "headers": {
        "Location": {"description": "Where the run's status is", "schema": {"type": "string"}}
    },
}


def add_collect(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoint that starts collections."""

    @router.post(
        COLLECT,
        status_code=202,
        response_model=Run,
        summary="Collect validated detections into a dataset",
        responses={
            202: ACCEPTED,
            **documented(
                "malformed", "token-needed", "scope-missing", "key-reused", "too-large", "invalid"
            ),
            **documented("broken", "unavailable"),
        },
    )
    def collect_training_data(
        request: Request,
        params: Annotated[TrainingDataCollectionParams, Body(openapi_examples=EXAMPLES)],
        caller: Annotated[Caller, needs("collect", authorize)],
        key: Key = None,
    ) -> JSONResponse:
        """Start a run of the collection and answer without waiting for its end.

        What the body leaves out keeps the deployment's default. The dataset's creator will be the
        name of the token. A run that failed keeps its key: try again with a new one.
        """
        _check_processor(service, params)
        run = start_collection(service, params, caller, key)
        place = request.url.path.removesuffix(COLLECT) + f"/runs/{run.id}"
        return JSONResponse(as_json(run_of(run, None)), 202, {"Location": place})


def start_collection(
    service: Service, params: TrainingDataCollectionParams, caller: Caller, key: str | None
) -> "FlowRun":
    """Return the run of a request, started now unless its key is known.

    Raises:
        ProblemError: if the key stands for a request with other parameters.
        ServerUnavailableError: if the server does not answer.
    """
    asked = params.model_dump(mode="json", exclude_unset=True)
    tag = f"request:{digest_value(asked)[:32]}"
    named = None if key is None else f"api-{digest_value([caller.name, key])}"
    parameters = {**asked, "trigger": "api", "requested_by": caller.name}

    def start(runs: Any) -> "FlowRun":  # noqa: ANN401 - a module, which brings Prefect
        with service.starting:
            run: FlowRun = runs.start_deployment_run(service.deployment, parameters, named, [tag])
        return run

    run = service.ask_server(start)
    if tag not in run.tags:  # the deployment's defaults may have changed since, so they don't count
        raise ProblemError(
            "key-reused",
            f"the key stands for run {run.id} with other parameters; use a new key",
            flow_run_id=str(run.id),
        )
    return run


def _check_processor(service: Service, params: TrainingDataCollectionParams) -> None:
    if params.processor not in service.processors:
        wrong = "is not among the classes that this API lets requests name"
        raise ProblemError(
            "invalid",
            "1 value is refused",
            errors=[{"in": "body", "field": "processor", "message": wrong}],
        )
