"""Parameters that somebody gave, checked all at once and in plain words."""

from collections.abc import Mapping
from reprlib import Repr
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from astrid_training.errors import CollectionRefusedError

__all__ = ["check_parameters"]

M = TypeVar("M", bound=BaseModel)
SHOWN = Repr()
SHOWN.maxdict = SHOWN.maxlist = SHOWN.maxtuple = 8
SHOWN.maxstring = SHOWN.maxother = 200
"""What was given may be of any size and depth; a message is not."""
MOST_PROBLEMS, MOST_SHOWN = 20, 100


def check_parameters(model: type[M], values: Mapping[str, Any]) -> M:
    """Return the model of `values`.

    Raises:
        CollectionRefusedError: if the model refuses them, with one phrase per field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors()
        told = [_problem(dict(one)) for one in found[:MOST_PROBLEMS]]
        more = len(found) - len(told)
        problems = "; ".join([*told, f"and {more} more"] if more else told)
        raise CollectionRefusedError(f"parameters refused: {problems}") from None


def _problem(error: dict[str, Any]) -> str:
    where = ".".join(str(part)[:MOST_SHOWN] for part in error["loc"])
    what = str(error["msg"]).removeprefix("Value error, ")
    if not where:
        return what
    return f"{where}: {what[:1].lower()}{what[1:]} (got {SHOWN.repr(error['input'])})"
