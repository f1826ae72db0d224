"""Bring a Prefect server to what this version needs; done again, it changes only what differs."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    DeploymentFilterTags,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from astrid_training.settings import (
    ENVIRONMENT,
    InvalidSettingError,
    Settings,
    prefect_environment,
)
from astrid_training.urls import mask_url
from astrid_training.version import PACKAGE, VERSION_VARIABLE, code_version
from blocks import AstridDatabase, AstridStore, Notifier, TrackingServer, TrainingTarget
from blocks.notification import can_notify
from blocks.places import NAME
from blocks.storage import aws_credentials
from deployments.automations import (
    KeptAutomation,
    collect_when_a_batch_closes,
    keep_automation,
    look_when_nothing_is_published,
)
from deployments.embedded.parts import POOL
from tasks.deployment_runs import COLLECTION, FRESHNESS, ServerUnavailableError

__all__ = [
    "BootstrapError",
    "BootstrapReport",
    "KeptDeployment",
    "bootstrap",
    "prefect_file",
    "save_blocks",
]

TAG = "astrid"  # on each deployment and automation of ours
ROOT = Path(__file__).resolve().parents[1]
POOL_LIMIT = 2  # a collection and a training; more would share the machine's memory
POOL_DESCRIPTION = "Runs astrid-training's flows, each as a process on the worker's machine."
DEPLOY_TIMEOUT_S = 300  # it imports every flow, which a loaded machine may take minutes for

Progress = Callable[[str], None]


class BootstrapError(RuntimeError):
    """The Prefect server cannot be brought to what is needed."""


@dataclass(frozen=True, slots=True)
class KeptDeployment:
    """A deployment on the server."""

    name: str
    """`flow/deployment`."""
    id: str
    outcome: str
    """created or updated."""


@dataclass(frozen=True, slots=True)
class BootstrapReport:
    """What the server has now."""

    prefect_api_url: str
    blocks: list[str]
    """`type/name` of each block, saved from the settings."""
    work_pool: str
    version: str
    """Of the deployments."""
    deployments: list[KeptDeployment]
    automations: list[KeptAutomation]
    unlisted: list[str]
    """Deployments and automations with the tag `astrid` that this version does not know; left alone."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return asdict(self)


def bootstrap(settings: Settings, progress: Progress | None = None) -> BootstrapReport:
    """Save blocks, work pool, deployments and automations on the server that `settings` name.

    Blocks say afterwards what `settings` say. Deployments become what prefect.yaml says, but keep
    their ids, and what an operator paused or set as default parameters. Automations keep their ids
    and stay switched off where they were.

    Args:
        settings: where everything lies.
        progress: told of each part before it is done.

    Raises:
        ServerUnavailableError: if the Prefect server does not answer.
        InvalidSettingError: if the MLflow address holds a password, or nobody can be told at the
            address for alerts.
        BootstrapError: if Prefect refuses the deployments.
    """
    tell = progress or (lambda _line: None)
    with (
        temporary_settings({PREFECT_API_URL: settings.prefect_api_url}),
        get_client(sync_client=True) as client,
    ):
        _check_server(client, settings.prefect_api_url)
        tell("blocks")
        blocks = save_blocks(settings)
        tell("work pool")
        _keep_work_pool(client)
        tell("deployments")
        label = code_version()
        deployments = _deploy(client, settings, label)
        tell("automations")
        collection = client.read_deployment_by_name(COLLECTION)
        freshness = client.read_deployment_by_name(FRESHNESS)
        wanted = [
            collect_when_a_batch_closes(collection.id),
            look_when_nothing_is_published(freshness.id),
        ]
        automations = [keep_automation(client, one) for one in wanted]
        ours = {one.id for one in deployments} | {one.id for one in automations}
        unlisted = _unlisted(client, ours)
        for name in unlisted:
            tell(f"not listed any more, left alone: {name}")
    api = mask_url(settings.prefect_api_url)
    return BootstrapReport(api, blocks, POOL, label, deployments, automations, unlisted)


def prefect_file() -> Path:
    """Return prefect.yaml: the checkout's, else the one that was installed with the package.

    Raises:
        FileNotFoundError: if neither is there.
    """
    places = [ROOT / "prefect.yaml", ROOT / "deployments" / "prefect.yaml"]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"no prefect.yaml at {' or '.join(map(str, places))}; install {PACKAGE} again"
    )


def save_blocks(settings: Settings) -> list[str]:
    """Save what `settings` say as blocks on the current Prefect server; return `type/name` of each.

    Raises:
        InvalidSettingError: if the MLflow address holds a password, or nobody can be told at the
            address for alerts.
    """
    saved = [_save(block) for block in _blocks(settings)]
    return [*saved, _keep_training_target()]


def _check_server(client: SyncPrefectClient, url: str) -> None:
    error = client.api_healthcheck()
    if error is not None:
        raise ServerUnavailableError(
            f"the Prefect server at {mask_url(url)} does not answer: {error}; start it with "
            "`astrid-training up` or set PREFECT_API_URL"
        ) from error


def _blocks(settings: Settings) -> list[Block]:
    """Return the blocks in the order in which they must be saved."""
    key, secret = settings.store_access_key_id, settings.store_secret_access_key
    endpoint = settings.store_endpoint_url
    credentials = (
        aws_credentials(key, secret, endpoint_url=endpoint, region=settings.store_region)
        if key or secret or endpoint
        else None
    )
    store = AstridStore(
        url=settings.store_url,
        credentials=credentials,
        source_bucket=settings.source_bucket,
        source_hosts=settings.source_hosts,
        source_folders=settings.source_folders,
    )
    database = AstridDatabase.model_validate({"url": settings.database_url})
    tracking = TrackingServer(uri=_without_password(settings))
    blocks = [*([credentials] if credentials else []), store, database, tracking]
    return [*blocks, _notifier(settings)] if settings.notify_url else blocks


def _notifier(settings: Settings) -> Notifier:
    url = settings.notify_url or ""
    if not can_notify(url):
        raise InvalidSettingError(
            f"notify_url (from {settings.sources['notify_url']}) is no address that anybody can be "
            "reached by; write https://… of a web hook, or slack://, mailto://… as Apprise has them"
        )
    return Notifier.model_validate({"url": url})


def _without_password(settings: Settings) -> str:
    """Return the MLflow address, which every page of a run may show."""
    uri, name = settings.mlflow_tracking_uri, "mlflow_tracking_uri"
    if mask_url(uri) != uri:
        raise InvalidSettingError(
            f"{name} (from {settings.sources[name]}) is {mask_url(uri)}, with a password that "
            f"blocks and logs would show; leave it out of {ENVIRONMENT[name]} and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where the worker runs"
        )
    return uri


def _save(block: Block) -> str:
    block.save(NAME, overwrite=True, _sync=True)  # type: ignore[call-arg]  # Prefect's annotation lacks it
    return f"{block.get_block_type_slug()}/{NAME}"


def _keep_training_target() -> str:
    """Save what a dataset starts, unless an operator has said something else."""
    load: Any = TrainingTarget.load  # Prefect's annotation lacks `_sync`
    try:
        load(NAME, _sync=True)
    except ValueError:  # there is none
        return _save(TrainingTarget())
    return f"{TrainingTarget.get_block_type_slug()}/{NAME}"


def _keep_work_pool(client: SyncPrefectClient) -> None:
    """Make the pool, or complete one that a worker made at its start; leave an operator's alone."""
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        wanted = WorkPoolCreate(
            name=POOL,
            type=ProcessWorker.type,
            description=POOL_DESCRIPTION,
            concurrency_limit=POOL_LIMIT,
            base_job_template=ProcessWorker.get_default_base_job_template(),
        )
        client.create_work_pool(wanted)
        return
    if pool.description is None:
        change = WorkPoolUpdate(description=POOL_DESCRIPTION, concurrency_limit=POOL_LIMIT)
        client.update_work_pool(POOL, change)


def _deploy(client: SyncPrefectClient, settings: Settings, label: str) -> list[KeptDeployment]:
    """Run `prefect deploy --all`, and give back what it takes from an operator."""
    file = prefect_file()
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"]
    ours = {(entry["entrypoint"], entry["name"]) for entry in entries}
    named = DeploymentFilter(name=DeploymentFilterName(any_=[name for _, name in ours]))
    before = {former.id: former for former in client.read_deployments(deployment_filter=named)}
    _run_prefect_deploy(file, settings, label)
    kept = []
    for deployed in client.read_deployments(deployment_filter=named):
        if (deployed.entrypoint, deployed.name) not in ours:
            continue
        former = before.get(deployed.id)
        if former is not None:
            _give_back(client, former, deployed)
        flow = client.read_flow(deployed.flow_id)
        outcome = "created" if former is None else "updated"
        kept.append(KeptDeployment(f"{flow.name}/{deployed.name}", str(deployed.id), outcome))
    return sorted(kept, key=lambda one: one.name)


def _unlisted(client: SyncPrefectClient, ours: set[str]) -> list[str]:
    """Return what carries our tag and is not ours any more: a person decides what becomes of it."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found = []
    for deployment in client.read_deployments(deployment_filter=tagged):
        if str(deployment.id) not in ours:
            flow = client.read_flow(deployment.flow_id)
            found.append(f"deployment {flow.name}/{deployment.name}")
    found += [
        f"automation {one.name}"
        for one in client.read_automations()
        if TAG in one.tags and str(one.id) not in ours
    ]
    return sorted(found)


def _run_prefect_deploy(file: Path, settings: Settings, label: str) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    environment = os.environ | prefect_environment(settings) | {VERSION_VARIABLE: label}
    done = subprocess.run(  # noqa: S603 - our own interpreter and file
        [*command, "--prefect-file", str(file)],
        cwd=ROOT,  # where the flows are imported from, checkout or not
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEPLOY_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise BootstrapError(f"Prefect refused the deployments of {file}; it said:\n{said}")


def _give_back(
    client: SyncPrefectClient, former: DeploymentResponse, deployed: DeploymentResponse
) -> None:
    """Restore default parameters and pause; schedules have slugs, which Prefect itself keeps."""
    known = (deployed.parameter_openapi_schema or {}).get("properties", {})
    theirs = {name: value for name, value in former.parameters.items() if name in known}
    parameters = deployed.parameters | theirs
    if parameters != deployed.parameters:
        client.update_deployment(deployed.id, DeploymentUpdate(parameters=parameters))
    if former.paused and not deployed.paused:
        client.pause_deployment(deployed.id)
