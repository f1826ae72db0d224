"""A run is asked for once, however often the request for it has to be sent."""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.deployment_runs import start_deployment_run
from tests.faulty_proxy import FaultyProxy


def test_a_request_whose_answer_is_lost_starts_one_run(
    stack: Any, client: SyncPrefectClient, deploy: Any
) -> None:
    echo = deploy("answer-lost", served=False)
    proxy = FaultyProxy(stack.settings.prefect_api_url.removesuffix("/api"))
    with temporary_settings({PREFECT_API_URL: f"{proxy.url}/api"}):
        first = start_deployment_run(f"echo/{echo.name}", {})
        asked = proxy.seen.copy()  # the run is asked for at the end
        proxy.faults = [*[None] * (len(asked) - 1), "lost"]

        second = start_deployment_run(f"echo/{echo.name}", {})
    proxy.close()

    assert asked[-1].endswith("/create_flow_run")
    assert proxy.seen.count(asked[-1]) == 3
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[echo.id]))
    runs = client.read_flow_runs(deployment_filter=of_it)
    assert {run.id for run in runs} == {first.id, second.id}
    assert first.id != second.id
