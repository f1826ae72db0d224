"""Options of a command made from a parameter model, and the model made from what was given."""

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic import BaseModel

from astrid_training.checked import check_parameters
from astrid_training.errors import CollectionRefusedError
from astrid_training.yaml_files import read_yaml
from deployments.console import Json

__all__ = ["command_of", "given_parameters"]

M = TypeVar("M", bound=BaseModel)
MOST_SHOWN = 200


def given_parameters(model: type[M], options: Mapping[str, Any], file: Path | None = None) -> M:
    """Return the parameters that a YAML file and then the options give; options win.

    Args:
        model: of the parameters.
        options: parameter name -> text as on the command line; None: not given. Lists are comma
            separated, nested models are JSON.
        file: YAML with parameters by name.

    Raises:
        CollectionRefusedError: naming each field that is wrong.
        YAMLError: if the file is none.
        OSError: if the file cannot be read.
    """
    given = (read_yaml(file) if file else None) or {}
    if not isinstance(given, dict):
        raise CollectionRefusedError(f"{file} holds no parameters; write `name: value` lines")
    given |= {n: _value(model, n, text) for n, text in options.items() if text is not None}
    return check_parameters(model, given)


def command_of(
    model: type[BaseModel], **own: tuple[object, object]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a command: one option a parameter, then `params_file`, `as_json`.

    The function takes all of it as keywords.

    Args:
        model: of the parameters.
        own: further keywords, each with its annotation and its default; `...`: it must be given.
    """
    further = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=annotation,
            default=inspect.Parameter.empty if default is ... else default,
        )
        for name, (annotation, default) in own.items()
    ]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.Signature([*further, *_options(model)])
        function.__signature__ = signature  # type: ignore[attr-defined]  # what typer looks at
        return function

    return decorate


def _options(model: type[BaseModel]) -> list[inspect.Parameter]:
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
        for name, field in model.model_fields.items()
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
    return [*options, file, as_json]


def _value(model: type[BaseModel], name: str, text: Any) -> Any:  # noqa: ANN401 - any parameter's value
    if not isinstance(text, str):
        return text
    annotation = model.model_fields[name].annotation
    kinds = [annotation, *get_args(annotation)]
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            wrong = f"{name}: {text[:MOST_SHOWN]!r} is not JSON: {error}"
            raise CollectionRefusedError(wrong) from error
    if any(getattr(kind, "__origin__", kind) in {list, tuple} for kind in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text
