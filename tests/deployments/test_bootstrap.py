"""The bootstrap brings a server to what is needed, once and again, and respects its operator."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from astrid_training.params import TrainingDataCollectionParams
from astrid_training.settings import InvalidSettingError, Settings, resolve
from blocks import places
from deployments.automations import (
    KeptAutomation,
    collect_when_a_batch_closes,
    keep_automation,
)
from deployments.bootstrap import BootstrapError, BootstrapReport, bootstrap, prefect_file
from deployments.embedded.doctor import Check, checks
from deployments.embedded.parts import POOL
from deployments.events import emit_batch_closed
from tasks.deployment_runs import COLLECTION, ServerUnavailableError

FIELDS = TrainingDataCollectionParams.model_fields
CLOSED = datetime(2024, 5, 1, 12, tzinfo=UTC)
DETECTION = UUID("00000000-0000-0000-0000-000000000001")


@pytest.fixture
def collection(client: SyncPrefectClient, bootstrapped: BootstrapReport) -> DeploymentResponse:
    assert bootstrapped
    return client.read_deployment_by_name(COLLECTION)


def by_batch(report: BootstrapReport) -> KeptAutomation:
    """Return the automation that collects when a batch closes."""
    (kept,) = [one for one in report.automations if "batch closes" in one.name]
    return kept


def census(client: SyncPrefectClient) -> dict[str, list[str]]:
    """Return the ids of everything that a bootstrap may make."""
    deployments = client.read_deployments()
    return {
        "pools": [str(one.id) for one in client.read_work_pools()],
        "deployments": sorted(str(one.id) for one in deployments),
        "schedules": sorted(str(each.id) for one in deployments for each in one.schedules),
        "automations": sorted(str(one.id) for one in client.read_automations()),
        "blocks": sorted(str(one.id) for one in client.read_block_documents()),
        "block types": sorted(str(one.id) for one in client.read_block_types()),
    }


def test_bootstrap_makes_what_prefect_yaml_names(
    client: SyncPrefectClient, bootstrapped: BootstrapReport
) -> None:
    collisions = {
        COLLECTION: "ENQUEUE",
        "train-model/default": "ENQUEUE",
        "freshness/default": "CANCEL_NEW",
        "reconcile/default": "CANCEL_NEW",
        "retention/default": "CANCEL_NEW",
        "retrain/default": "CANCEL_NEW",
    }

    assert sorted(one.name for one in bootstrapped.deployments) == sorted(collisions)
    for name, collision in collisions.items():
        deployment = client.read_deployment_by_name(name)
        assert deployment.work_pool_name == POOL
        assert deployment.version == bootstrapped.version
        assert deployment.pull_steps in (None, [])
        assert deployment.path is None, "the path of one machine is of no use on another"
        assert deployment.global_concurrency_limit
        assert deployment.global_concurrency_limit.limit == 1
        assert deployment.concurrency_options
        assert deployment.concurrency_options.collision_strategy == collision
    pool = client.read_work_pool(POOL)
    assert (pool.type, pool.concurrency_limit) == ("process", 2)


def test_the_collection_runs_nightly_in_utc(collection: DeploymentResponse) -> None:
    (schedule,) = collection.schedules

    assert schedule.slug == "nightly"
    assert isinstance(schedule.schedule, CronSchedule)
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("30 3 * * *", "UTC")
    assert schedule.parameters == {"trigger": "schedule"}


def test_prefect_yaml_holds_no_triggers_since_deploying_would_make_them_anew() -> None:
    deployments = yaml.safe_load(prefect_file().read_text())["deployments"]

    assert not [one for one in deployments if "triggers" in one]


def test_prefect_yaml_is_found_in_the_checkout_and_beside_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_file() == Path(__file__).parents[2] / "prefect.yaml"

    monkeypatch.setattr("deployments.bootstrap.ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="install astrid-training again"):
        prefect_file()
    installed = tmp_path / "deployments" / "prefect.yaml"
    installed.parent.mkdir()
    installed.touch()
    assert prefect_file() == installed


@pytest.mark.usefixtures("bootstrapped")
def test_blocks_lead_to_what_the_settings_name(stack: Any) -> None:
    settings: Settings = stack.settings
    places.clear()

    url = places.database().url.render_as_string(hide_password=False)
    assert url == settings.database_url
    assert places.store().url == settings.store_url.rstrip("/")
    assert places.tracking() == settings.mlflow_tracking_uri


def test_a_report_holds_no_secret(stack: Any, bootstrapped: BootstrapReport) -> None:
    password = places.database().url.password

    assert password
    assert password not in str(bootstrapped.to_dict())
    assert bootstrapped.to_dict()["prefect_api_url"] == stack.settings.prefect_api_url


@pytest.fixture
def former(client: SyncPrefectClient, collection: DeploymentResponse) -> Iterator[list[str]]:
    """The names of a deployment and an automation that prefect.yaml does not list any more."""
    deployment = client.create_deployment(
        flow_id=collection.flow_id, name="former", entrypoint=collection.entrypoint, tags=["astrid"]
    )
    wanted = collect_when_a_batch_closes(collection.id)
    automation = client.create_automation(wanted.model_copy(update={"name": "former"}))
    yield ["automation former", "deployment training-data-collection/former"]
    client.delete_deployment(deployment)
    client.delete_automation(automation)


def test_bootstrap_again_doubles_nothing_and_keeps_what_the_operator_did(
    client: SyncPrefectClient,
    stack: Any,
    collection: DeploymentResponse,
    bootstrapped: BootstrapReport,
    former: list[str],
) -> None:
    (schedule,) = collection.schedules
    automation = UUID(by_batch(bootstrapped).id)
    train = client.read_deployment_by_name("train-model/default")
    client.update_deployment_schedule(collection.id, schedule.id, active=False)
    client.update_deployment(collection.id, DeploymentUpdate(parameters={"max_samples": 7}))
    client.pause_deployment(train.id)
    client.pause_automation(automation)
    before = census(client)
    told: list[str] = []
    try:
        again = bootstrap(stack.settings, told.append)

        assert census(client) == before
        assert again.unlisted == former
        assert [line for line in told if "left alone: automation former" in line]
        (kept_schedule,) = client.read_deployment(collection.id).schedules
        assert (kept_schedule.active, kept_schedule.parameters) == (False, schedule.parameters)
        assert client.read_deployment(collection.id).parameters == {"max_samples": 7}
        assert client.read_deployment(train.id).paused
        kept = by_batch(again)
        assert (kept.id, kept.enabled, kept.outcome) == (str(automation), False, "unchanged")
        assert {one.outcome for one in again.deployments} == {"updated"}
    finally:
        client.update_deployment_schedule(collection.id, schedule.id, active=True)
        client.update_deployment(collection.id, DeploymentUpdate(parameters={}))
        client.resume_deployment(train.id)
        client.resume_automation(automation)


def test_an_automation_that_differs_is_corrected_under_its_id_and_stays_off(
    client: SyncPrefectClient, collection: DeploymentResponse
) -> None:
    wanted = collect_when_a_batch_closes(collection.id)
    old = wanted.model_copy(update={"name": "of a test", "description": "old"})
    made = keep_automation(client, old)
    try:
        client.pause_automation(UUID(made.id))

        kept = keep_automation(client, old.model_copy(update={"description": "new"}))

        assert (kept.id, kept.outcome, kept.enabled) == (made.id, "updated", False)
        (found,) = client.read_automations_by_name("of a test")
        assert (found.description, found.enabled) == ("new", False)
    finally:
        client.delete_automation(UUID(made.id))


@pytest.mark.usefixtures("bootstrapped")
def test_the_doctor_names_where_blocks_and_settings_disagree(stack: Any) -> None:
    def blocks(settings: Settings) -> Check:
        (found,) = [one for one in checks(settings) if one.name == "blocks"]
        return found

    assert blocks(stack.settings).ok
    other = resolve(stack.home, source_bucket="other", notify_url="https://hook.example/t0ken")
    found = blocks(other)
    assert not found.ok
    assert found.detail == (
        "not what the settings say: astrid-store/astrid: source_bucket, "
        "astrid-notifier/astrid is not saved"
    )
    assert "bootstrap" in found.cure


@pytest.mark.parametrize("name", FIELDS)
def test_the_servers_form_shows_each_parameter(collection: DeploymentResponse, name: str) -> None:
    schema = collection.parameter_openapi_schema or {}
    default = TrainingDataCollectionParams().model_dump(mode="json")[name]

    shown = schema["properties"][name]

    assert (shown["title"], shown["description"]) == (name, FIELDS[name].description)
    assert shown["default"] == default
    assert collection.enforce_parameter_schema


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ({"max_samples": 0}, "0 is less than the minimum of 1"),
        ({"confidence_threshold": "much"}, "'much' is not of type 'number'"),
        ({"preprocess": {"stampsize": 3}}, "stampsize"),
    ],
)
def test_the_server_refuses_parameters_out_of_bounds(
    client: SyncPrefectClient,
    collection: DeploymentResponse,
    parameters: dict[str, Any],
    refused: str,
) -> None:
    with pytest.raises(PrefectHTTPStatusError, match="409") as error:
        client.create_flow_run_from_deployment(collection.id, parameters=parameters)

    assert refused in error.value.response.text


def test_one_parameter_given_keeps_the_deployments_other_defaults(
    client: SyncPrefectClient, deploy: Any
) -> None:
    echo = deploy("defaults", parameters={"name": "from-the-deployment", "max_samples": 9})
    later: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=1))

    run = client.create_flow_run_from_deployment(
        echo.id, parameters={"max_samples": 5}, state=later
    )

    assert run.parameters == {"name": "from-the-deployment", "max_samples": 5}


@pytest.mark.slow  # a clock's runs are Prefect's; what they run is tested beside
@pytest.mark.usefixtures("bootstrapped")
def test_a_deployment_with_an_interval_is_scheduled_and_run_by_itself(
    deploy: Any, wait_for_runs: Any
) -> None:
    echo = deploy("every-few-seconds", interval_s=5, parameters={"max_samples": 6})

    runs = wait_for_runs(echo.id, count=2)

    assert all(run.auto_scheduled for run in runs)
    assert {run.state_name for run in runs} == {"Completed"}
    assert {run.state.message for run in runs} == {"manual None 6 validated-detections"}


@pytest.fixture
def _collection_automation_off(
    client: SyncPrefectClient, bootstrapped: BootstrapReport
) -> Iterator[None]:
    """Keep the session's collection from starting on this test's events."""
    kept = by_batch(bootstrapped)
    client.pause_automation(UUID(kept.id))
    yield
    client.resume_automation(UUID(kept.id))


def until_the_server_heeds(client: SyncPrefectClient, deployment_id: UUID) -> int:
    """Send events until one starts a run, for a new automation is heeded in a while; return how many runs."""
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    for number in range(10):
        emit_batch_closed(f"probe-{number}", CLOSED)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if runs := client.read_flow_runs(deployment_filter=of_it):
                return len(runs)
            time.sleep(0.2)
    raise TimeoutError("no event starts a run")


@pytest.mark.usefixtures("_collection_automation_off")
def test_each_event_starts_exactly_one_run_with_the_batch_as_an_object(
    client: SyncPrefectClient, deploy: Any, wait_for_runs: Any
) -> None:
    echo = deploy("on-event", limit=None)  # a run that waits for its turn looks again after 30 s
    wanted = collect_when_a_batch_closes(echo.id).model_copy(update={"name": "of a test"})
    automation = keep_automation(client, wanted)
    try:
        probes = until_the_server_heeds(client, echo.id)
        emit_batch_closed("batch/1 of µ", CLOSED, [DETECTION])
        emit_batch_closed("batch-2", CLOSED)

        runs = wait_for_runs(echo.id, count=probes + 2)
    finally:
        client.delete_automation(UUID(automation.id))

    runs = [run for run in runs if not run.parameters["batch"]["batch_id"].startswith("probe")]
    told = {run.parameters["batch"]["batch_id"]: run.parameters for run in runs}
    assert told == {
        "batch/1 of µ": {
            "trigger": "batch",
            "batch": {
                "batch_id": "batch/1 of µ",
                "closed_at": CLOSED.isoformat(),
                "detection_ids": [str(DETECTION)],
            },
        },
        "batch-2": {
            "trigger": "batch",
            "batch": {
                "batch_id": "batch-2",
                "closed_at": CLOSED.isoformat(),
                "detection_ids": None,
            },
        },
    }
    assert len(runs) == 2
    assert {run.state_name for run in runs} == {"Completed"}


@pytest.mark.usefixtures("bootstrapped")
def test_deployments_that_prefect_refuses_are_an_error_with_its_words(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "prefect.yaml"
    entry = {
        "name": "default",
        "entrypoint": "flows.parameters:nothing",
        "work_pool": {"name": POOL},
    }
    broken.write_text(yaml.safe_dump({"pull": [], "deployments": [entry]}))
    monkeypatch.setattr("deployments.bootstrap.prefect_file", lambda: broken)

    with pytest.raises(BootstrapError, match=r"(?s)refused.*prefect\.yaml.*nothing"):
        bootstrap(stack.settings)


def test_an_event_with_a_naive_time_is_not_sent() -> None:
    with pytest.raises(ValueError, match="has no time zone; add Z"):
        emit_batch_closed("b1", CLOSED.replace(tzinfo=None))


def test_a_server_that_does_not_answer_is_named_with_the_cure(tmp_path: Path) -> None:
    nowhere = resolve(tmp_path, prefect_api_url="http://127.0.0.1:9/api")

    with pytest.raises(ServerUnavailableError, match=r"127\.0\.0\.1:9/api .*astrid-training up"):
        bootstrap(nowhere)


@pytest.mark.parametrize("uri", ["http://me:hidden@127.0.0.1:1", "https://hidden@mlflow.example"])
def test_a_password_for_mlflow_is_not_written_into_a_block(stack: Any, uri: str) -> None:
    given = resolve(stack.home, mlflow_tracking_uri=uri)

    with pytest.raises(InvalidSettingError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        bootstrap(given)

    assert "hidden" not in str(caught.value)
    assert "hidden" not in repr(given)


def test_an_event_that_the_server_does_not_take_is_an_error() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(ServerUnavailableError, match="did not take the event of batch 'b1'"),
    ):
        emit_batch_closed("b1", CLOSED)
