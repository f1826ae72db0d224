"""`astrid-training train`: one option for each parameter, made from the parameter model."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from astrid_training.errors import CollectionRefusedError
from astrid_training.training_params import TrainingParams
from deployments.console import USAGE, fail, print_json, ready, reported, say_document
from deployments.looks import training_for_people
from deployments.options import command_of, given_parameters

__all__ = ["train"]


def _train(dataset: str, params_file: Path | None, *, as_json: bool, **options: str | None) -> None:
    settings = ready(as_json=as_json)
    try:
        params = given_parameters(TrainingParams, options, params_file)
    except (CollectionRefusedError, OSError, yaml.YAMLError) as error:
        fail(str(error), USAGE, as_json=as_json)
    with reported(as_json=as_json):
        from deployments.training import check_completed, train_and_wait  # brings Prefect

        outcome = train_and_wait(settings, dataset, params)
        check_completed(settings, outcome)
    say_document(training_for_people(outcome))
    if as_json:
        print_json(outcome)


@command_of(
    TrainingParams,
    dataset=(
        Annotated[str, typer.Argument(help="Id, version or name of a dataset.")],
        ...,
    ),
)
def train(**given: Any) -> None:  # noqa: ANN401 - typer passes the options of the model
    """Train the U-Net on a dataset, as a deployment run, and wait for it.

    Lists are comma separated. What is not given keeps the deployment's default.
    """
    _train(given.pop("dataset"), given.pop("params_file"), **given)
