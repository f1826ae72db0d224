"""What makes a step's result reusable, and what makes it stale.

A key is made of the step's name and version, the text of the library modules that do its work, and
its inputs. Inputs are records that name immutable objects, so equal keys mean equal results.
"""

import inspect
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from typing import Any, cast

from prefect import State, Task
from prefect.context import TaskRunContext
from pydantic_core import to_json

from tasks.results import RecordSerializer
from tasks.retrying import RETRIES, try_again

__all__ = ["call_checked", "step_options"]

CACHED = "Cached"  # Prefect's name for the state of what did not run


def step_options(
    name: str,
    version: int,
    modules: tuple[str, ...],
    *,
    run_name: str | Callable[..., str],
    within_run: bool = False,
) -> dict[str, Any]:
    """Return the options of the task `name`: its cache key, its retries, its results as JSON.

    Args:
        name: unique among the tasks.
        version: raised by hand when the meaning of the result changes.
        run_name: what a run of it is called; made of the inputs alone.
        modules: every library module whose code shapes the result; data files as `package/file`.
        within_run: the step reads what changes (the database), so that its result is only good
            for retries of the same flow run.
    """
    return {
        "name": name,
        "task_run_name": run_name,
        "cache_key_fn": _step_key(name, version, modules, within_run=within_run),
        "persist_result": True,
        "result_serializer": RecordSerializer(),  # never a pickle, never pixels
        **RETRIES,
    }


def _step_key(
    name: str, version: int, modules: tuple[str, ...], *, within_run: bool
) -> Callable[[TaskRunContext, dict[str, Any]], str]:
    sources = [_text(module) for module in modules]
    code = sha256(to_json([name, version, sources])).hexdigest()

    def key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
        inputs = dict(sorted(parameters.items()))
        scope = str(context.task_run.flow_run_id) if within_run else ""
        return f"{name}-{sha256(code.encode() + to_json([scope, inputs])).hexdigest()}"

    return key


def _text(name: str) -> str:
    """Return the text of a module, or of a data file named `package.of.it/file`."""
    package, slash, file = name.partition("/")
    if slash:
        return files(package).joinpath(file).read_text(encoding="utf-8")
    return inspect.getsource(import_module(name))


def call_checked(
    step: Task[..., Any],
    is_present: Callable[[Any], bool],
    *inputs: Any,  # noqa: ANN401 - the step's own inputs
) -> tuple[Any, bool]:
    """Run `step`; a result whose objects have gone is no result, and is made again.

    Returns:
        the result, and whether it was there already.
    """
    run = cast(
        "Callable[..., State[Any]]", step
    )  # of its overloads Prefect's annotation takes another
    state = run(*inputs, return_state=True)
    result = state.result()
    if try_again(is_present, result):
        return result, state.name == CACHED
    return step.with_options(refresh_cache=True)(*inputs), False
