"""`astrid-training collect`: one option for each parameter, made from the parameter model."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
import yaml
from pydantic import BaseModel

from astrid_training.errors import CollectionRefusedError
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.reasons import explain
from astrid_training.records import outcome_key
from astrid_training.settings import Settings
from astrid_training.store import open_store
from deployments.console import USAGE, Json, fail, print_json, ready, reported, say

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
    from flows.parameters import check_parameters  # brings Prefect

    given = yaml.safe_load(file.read_text(encoding="utf-8")) if file else {}
    if not isinstance(given, dict):
        raise CollectionRefusedError(f"{file} holds no parameters; write `name: value` lines")
    given |= {name: _value(name, text) for name, text in options.items() if text is not None}
    return check_parameters(TrainingDataCollectionParams, given)


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
    say(f"  report: {outcome['report_url']}")


def _value(name: str, text: str) -> Any:  # noqa: ANN401 - any parameter's value
    if not isinstance(text, str):
        return text
    annotation = TrainingDataCollectionParams.model_fields[name].annotation
    kinds = [annotation, *get_args(annotation)]
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise CollectionRefusedError(f"{name}: {text!r} is not JSON: {error}") from error
    if any(getattr(kind, "__origin__", kind) in {list, tuple} for kind in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _signature() -> inspect.Signature:
    """Return the options: one a parameter, then the file and --json."""
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    f"--{name.replace('_', '-')}", help=field.description, metavar="VALUE"
                ),
            ],
        )
        for name, field in TrainingDataCollectionParams.model_fields.items()
    ]
    file = inspect.Parameter(
        "params_file",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None, typer.Option("--params", help="YAML file with parameters by name.")
        ],
    )
    as_json = inspect.Parameter(
        "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json
    )
    return inspect.Signature([*options, file, as_json])


def _command() -> Callable[..., None]:
    def collect(**given: Any) -> None:  # noqa: ANN401 - typer passes the options of _signature
        """Collect validated detections into a dataset and wait for it.

        Lists are comma separated; preprocess, mask and split take JSON.
        """
        _collect(given.pop("params_file"), given.pop("as_json"), **given)

    collect.__signature__ = _signature()  # type: ignore[attr-defined]  # what typer looks at
    return collect


collect = _command()
