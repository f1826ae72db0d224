"""Parameters that somebody gave, checked all at once and in plain words."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from astrid_training.errors import CollectionRefusedError

__all__ = ["check_parameters"]

M = TypeVar("M", bound=BaseModel)


def check_parameters(model: type[M], values: Mapping[str, Any]) -> M:
    """Return the model of `values`.

    Raises:
        CollectionRefusedError: if the model refuses them, with one phrase per field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(_problem(dict(one)) for one in error.errors())
        raise CollectionRefusedError(f"parameters refused: {problems}") from None


def _problem(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    what = str(error["msg"]).removeprefix("Value error, ")
    if not where:
        return what
    return f"{where}: {what[:1].lower()}{what[1:]} (got {error['input']!r})"
