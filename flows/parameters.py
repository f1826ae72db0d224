"""Flows that take a model's fields one by one, so that a single value can be overridden.

A model as one parameter would lose a deployment's other defaults as soon as one is given.
"""

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

from prefect.utilities.callables import parameter_docstrings
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from astrid_training.checked import check_parameters

__all__ = ["as_flow_parameters", "flat_parameters"]

R = TypeVar("R")

ARGS = re.compile(r"\n*^Args:\n(?:[ \t]+\S.*\n?|[ \t]*\n)*", re.MULTILINE)


def flat_parameters(model: type[BaseModel]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Return a decorator that spreads a function's first parameter over `model`'s fields.

    The decorated function takes every field by its name, with its type, bounds, default and
    description, then its own further parameters, all as keywords. Its first act is to check them
    together and to make the model. Put the decorator under `@flow(validate_parameters=False)`:
    Prefect's own check would come first, and answer in other words.

    Args:
        model: the type of the function's first parameter.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        _, *extras = inspect.signature(function, eval_str=True).parameters.values()
        further: dict[str, Any] = {one.name: (one.annotation, _default(one)) for one in extras}
        whole = create_model(model.__name__, __base__=model, **further)
        parameters = [_parameter(name, field) for name, field in whole.model_fields.items()]
        signature = inspect.Signature(parameters)

        @wraps(function)
        def flat(*args: object, **kwargs: object) -> R:
            given = signature.bind(*args, **kwargs).arguments
            checked = check_parameters(whole, given)
            values = {name: getattr(checked, name) for name in given}
            own = {extra.name: values.pop(extra.name) for extra in extras if extra.name in values}
            return function(model(**values), **own)

        flat.__signature__ = signature  # type: ignore[attr-defined]  # what inspect looks at first
        flat.__doc__ = _docstring(inspect.getdoc(function) or "", whole)
        return flat

    return decorate


def as_flow_parameters(params: BaseModel) -> dict[str, Any]:
    """Return the fields that were given as a flow run's JSON parameters.

    Those left to their defaults are absent, so that the deployment's own defaults fill them.
    """
    return params.model_dump(mode="json", exclude_unset=True)


def _default(parameter: inspect.Parameter) -> object:
    return ... if parameter.default is parameter.empty else parameter.default


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    required = field.is_required()
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty
        if required
        else field.get_default(call_default_factory=True, validated_data={}),
        annotation=Annotated[field.rebuild_annotation(), Field(description=field.description)],
    )


def _docstring(doc: str, whole: type[BaseModel]) -> str:
    """Return `doc` with an `Args:` section for all parameters: Prefect's form shows its lines."""
    told = parameter_docstrings(doc)
    lines = [
        f"    {name}: {' '.join((field.description or told.get(name, '')).split())}"
        for name, field in whole.model_fields.items()
    ]
    section = "\n".join(["\n\nArgs:", *lines, ""])
    if ARGS.search(doc):
        return ARGS.sub(lambda _: section + "\n", doc, count=1)
    return doc.rstrip() + section
