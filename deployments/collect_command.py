"""`astrid-training collect`: one option for each parameter, made from the parameter model."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.reasons import explain
from astrid_training.records import outcome_key
from astrid_training.settings import Settings
from astrid_training.store import open_store
from deployments.console import USAGE, fail, print_json, ready, reported, say
from deployments.options import command_of, given_parameters

__all__ = ["collect", "collect_and_wait", "parameters_from", "plain_message"]


def parameters_from(
    options: Mapping[str, Any], file: Path | None = None
) -> TrainingDataCollectionParams:
    """Return the parameters that a YAML file and then the options give; options win.

    Args:
        options: parameter name -> text as on the command line; None: not given. Lists are comma
            separated, nested models are JSON.
        file: YAML with parameters by name.

    Raises:
        CollectionRefusedError: naming each field that is wrong.
        OSError: if the file cannot be read.
    """
    return given_parameters(TrainingDataCollectionParams, options, file)


def collect_and_wait(
    settings: Settings, params: TrainingDataCollectionParams, trigger: str
) -> dict[str, Any]:
    """Run the collection as a deployment run on the server and return its outcome.

    Args:
        settings: where the outcome is read from.
        params: what to collect.
        trigger: what started it, for the run's own record.

    Raises:
        CollectionFailedError: with the run's own sentence, if it ended in any other way.
        ServerUnavailableError: if the server cannot be reached.
    """
    from deployments.runs import run_and_wait  # brings Prefect
    from flows.parameters import as_flow_parameters  # brings Prefect
    from tasks.deployment_runs import COLLECTION  # brings Prefect

    run = run_and_wait(COLLECTION, {**as_flow_parameters(params), "trigger": trigger}, say)
    if not run.completed:
        raise CollectionFailedError(run.message or run.state, run.id)
    outcome: dict[str, Any] = json.loads(open_store(settings).get(outcome_key(run.id)))
    return outcome


CLASS_NAME = re.compile(r"^\w+(Error|Exception): ")  # Prefect puts it before the sentence


def plain_message(message: str) -> str:
    """Return what a run's state says, without the words that Prefect puts before the sentence."""
    return CLASS_NAME.sub("", message.removeprefix("Flow run encountered an exception: "), count=1)


class CollectionFailedError(RuntimeError):
    """A collection ended without a dataset.

    Attributes:
        flow_run_id: where to look it up.
    """

    def __init__(self, message: str, flow_run_id: str) -> None:
        super().__init__(plain_message(message))
        self.flow_run_id = flow_run_id


def _collect(params_file: Path | None, as_json: bool, **options: str | None) -> None:  # noqa: FBT001 - typer passes flags so
    settings = ready(as_json=as_json)
    try:
        params = parameters_from(options, params_file)
    except (CollectionRefusedError, OSError, yaml.YAMLError) as error:
        fail(str(error), USAGE, as_json=as_json)
    with reported(as_json=as_json):
        from astrid_training.database import (  # after the settings are known
            check_database,
            open_database,
        )

        check_database(open_database(settings.database_url))
        try:
            outcome = collect_and_wait(settings, params, "cli")
        except CollectionFailedError as error:
            fail(str(error), as_json=as_json, flow_run_id=error.flow_run_id)
    tell(outcome)
    if as_json:
        print_json(outcome)


def tell(outcome: Mapping[str, Any]) -> None:
    """Tell people what a collection made, and why subjects left."""
    say(f"dataset {outcome['name']} {outcome['version_id']} ({outcome['dataset_id']})")
    say(
        f"  {outcome['total_samples']} samples, quality {outcome['quality_score']:.3f}"
        + (", the same as the active version" if outcome["reused"] else "")
    )
    for title in ("splits", "classes"):
        say(f"  {title}: " + ", ".join(f"{k} {v}" for k, v in outcome[title].items()))
    for row in outcome["funnel"]:
        why = "" if row["reason"] in {"selected", "kept"} else f": {explain(row['reason'])}"
        say(f"  {row['count']:>7} {row['reason']}{why}")
    for warning in outcome.get("warnings", ()):
        say(f"  warning: {warning}")
    say(f"  report: {outcome['report_url']}")


@command_of(TrainingDataCollectionParams)
def collect(**given: Any) -> None:  # noqa: ANN401 - typer passes the options of the model
    """Collect validated detections into a dataset and wait for it.

    Lists are comma separated; preprocess, mask and split take JSON.
    """
    _collect(given.pop("params_file"), given.pop("as_json"), **given)
