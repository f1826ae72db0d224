"""Results of steps are JSON records of our own classes; whatever else lies in their place is not read.

Prefect reads a result by whatever serializer the result itself names, a pickle's among them, and its
JSON decoder calls any function that is named for a class. Whoever can write where results lie could
so run code. In a process that has imported this, a result is read only if it names `RecordSerializer`.
"""

import json
from importlib import import_module
from typing import Any

from prefect._internal.result_records import ResultRecord
from prefect.serializers import Serializer, prefect_json_object_encoder
from pydantic import BaseModel, Field, TypeAdapter

__all__ = ["ForeignResultError", "RecordSerializer"]

TYPE = "astrid-records"
PACKAGES = frozenset({"astrid_training", "blocks", "flows", "tasks"})
"""Whose classes a result may hold."""
EXCEPTIONS = PACKAGES | {"builtins", "prefect"}
"""Whose exceptions a failed step's result may hold; others become a RuntimeError with their words."""


class ForeignResultError(ValueError):
    """What lies where a step's result should be was not written by a step of ours."""


class RecordSerializer(Serializer):
    """Writes records as JSON, and reads none but those of our own packages."""

    type: str = Field(default=TYPE, frozen=True)

    def dumps(self, obj: Any) -> bytes:  # noqa: ANN401 - any record
        """Return the record as JSON."""
        return json.dumps(obj, default=prefect_json_object_encoder).encode()

    def loads(self, blob: bytes) -> Any:  # noqa: ANN401 - any record
        """Return the record.

        Raises:
            ForeignResultError: if it is no JSON, or holds what is no record of ours.
        """
        try:
            return json.loads(blob, object_hook=_restored)
        except (ValueError, TypeError, RecursionError) as error:
            raise ForeignResultError(
                f"a step's result is no record of ours ({error}); remove it, and the step is done again"
            ) from error


def _restored(found: dict[str, Any]) -> Any:  # noqa: ANN401 - any record
    if "__class__" in found:
        kind = _named(str(found["__class__"]), PACKAGES)
        if not (hasattr(kind, "__dataclass_fields__") or issubclass(kind, BaseModel)):
            raise ForeignResultError(f"{found['__class__']} is no record")
        return TypeAdapter(kind).validate_python(found["data"])
    if "__exc_type__" in found:
        return _exception(str(found["__exc_type__"]), str(found["message"]))
    return found


def _named(name: str, packages: frozenset[str]) -> type[Any]:
    """Return the class of this name in a module of these packages; no other module is imported."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] not in packages:
        raise ForeignResultError(f"{name} is of no package of ours")
    found = getattr(import_module(module), attribute, None)
    if not isinstance(found, type):
        raise ForeignResultError(f"{name} is no class")
    return found


def _exception(name: str, message: str) -> BaseException:
    if name.partition(".")[0] not in EXCEPTIONS:
        return RuntimeError(f"{name}: {message}")
    kind = _named(name, EXCEPTIONS)
    if not issubclass(kind, BaseException):
        raise ForeignResultError(f"{name} is no exception")
    try:
        return kind(message)
    except TypeError:  # it is made of more than its words
        return RuntimeError(f"{name}: {message}")


def _checked(data: bytes) -> bytes:
    """Return the record as it was checked, so that another parser cannot read it otherwise.

    Raises:
        ForeignResultError: unless it names our serializer, in the one form that we write.
    """
    try:
        found = json.loads(data)
        said = found["metadata"]["serializer"]
        plain = found.keys() == {"metadata", "result"} and isinstance(found["result"], str)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ForeignResultError(f"what lies where a result should be is none: {error}") from error
    if said != {"type": TYPE} or not plain:
        raise ForeignResultError(
            f"a result that names {said} was not written by a step of ours and is not read; remove it, "
            "or give these steps a place of their own"
        )
    return json.dumps(found).encode()


def _deserialize(
    _kind: type[ResultRecord[Any]],
    data: bytes,
    backup_serializer: "Serializer[Any] | None" = None,  # noqa: ARG001 - records name their own
) -> ResultRecord[Any]:
    record: ResultRecord[Any] = _original(_checked(data))
    return record


def _apart(_kind: type[ResultRecord[Any]], /, **_given: bytes) -> ResultRecord[Any]:
    raise ForeignResultError(
        "results whose metadata lie apart are not read; unset the metadata storage"
    )


_original = ResultRecord.deserialize
# Prefect has no setting for it, and these two are where it reads results
ResultRecord.deserialize = classmethod(_deserialize)  # type: ignore[assignment, method-assign]
ResultRecord.deserialize_from_result_and_metadata = classmethod(_apart)  # type: ignore[assignment, method-assign]
