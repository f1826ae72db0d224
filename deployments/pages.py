"""The reference pages that are made from the code; `python -m deployments.pages` writes them."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import typer
from pydantic import BaseModel

from astrid_training.answers import ANSWER_S
from astrid_training.database import IDLE_TIMEOUT_MS, POOL, SOCKET, STATEMENT_TIMEOUT_MS
from astrid_training.params import TrainingDataCollectionParams
from astrid_training.patience import PATIENT
from astrid_training.reasons import ALERT_REASONS, REASONS
from astrid_training.samples import columns_page
from astrid_training.surveys.page import profiles_page
from astrid_training.training_params import TrainingParams
from astrid_training.workers import LONGEST_S
from deployments.api import create_app
from deployments.api.page import markdown_page
from deployments.cli import app
from tasks.retrying import KINDS

__all__ = [
    "PAGES",
    "all_commands",
    "command_line_page",
    "parameters_page",
    "reasons_page",
    "rest_page",
    "retries_page",
    "training_parameters_page",
    "write_pages",
]

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "pattern": "matches `{}`",
}

_PARAMETERS = """# Parameters of a collection

One model, `astrid_training.params.TrainingDataCollectionParams`, stands behind every way in: the
Prefect form, `prefect deployment run -p name=value`, `astrid-training collect --name value`
(underscores become dashes), a YAML file with `--params`, and `load_real_training_data`. What is not
given keeps the deployment's default. Lists are comma separated on the command line of
`astrid-training`, and JSON for `-p`. A value out of bounds is refused in one sentence.

{tables}"""

_TRAINING = """# Parameters of a training

One model, `astrid_training.training_params.TrainingParams`, stands behind every way in: the Prefect form and
`prefect deployment run train-model/default -p name=value`, `astrid-training train DATASET --name value` (underscores become
dashes), a YAML file with `--params`, and `train_unet` ([Train a model](../how-to/train-a-model.md)). What is not given keeps the
deployment's default. A collection gives its `training_steps` as `steps`, and what the block
[AstrID Training Target](blocks.md) adds.

{table}"""

_REASONS = """# Why a subject is not in the dataset

Each collection counts where its subjects went: `selected` at the start, `kept` at the end, and
between them one row a step and reason. The three always add up; if they do not, the run fails.
`training_rejects` names each subject with its reason and the facts.

| reason | what it means, and what can be done |
| --- | --- |
{rows}

## Alerts that are not imported

`import-alerts` lists each alert that it rejects, with one of these.

| reason | what it means, and what can be done |
| --- | --- |
{alerts}
"""

_RETRIES = """# What is tried again

Each step of a flow is tried again as often as its failure's kind allows, after 1, 5 and 20 seconds, each drawn anew
from around that, so that batches that failed together do not come back together. The first kind that a failure belongs to counts. What
belongs to none is never tried again: a file that is refused, parameters, a failed gate, a bug.

| kind | further attempts | why |
| --- | --- | --- |
{rows}

## How long is waited

| for | ends after | by |
| --- | --- | --- |
| a connection to PostgreSQL | {connect} s for each address | `connect_timeout` |
| a statement | {statement:g} s | `statement_timeout`, on the server |
| an answer of PostgreSQL that never comes (a frozen server) | {answer:g} s | our side, which closes the session |
| a PostgreSQL whose machine or network has gone | {keep} s idle, {user:g} s after something was sent | TCP keepalives, `tcp_user_timeout` |
| a transaction that we leave open | {idle:g} s | `idle_in_transaction_session_timeout` |
| a free connection of a process's {pool} | {pool_wait} s | the pool |
| a store's or web server's connection; a sign of life | {store_connect:g} s; {silence:g} s | `Patience` of the store, with {retries} further questions of its own |
| an answer of MLflow | 30 s, with 3 further questions | `MLFLOW_HTTP_REQUEST_TIMEOUT`, `MLFLOW_HTTP_REQUEST_MAX_RETRIES` |
| a call in a worker process, whatever it hangs on | {worker:g} s | the process is killed |

`options=-c statement_timeout=…` and `connect_timeout=…` in the database URL win over ours, and the wait for an answer follows the former. Migrations and the building of
indexes have no limit but `lock_timeout`.
"""

_COMMANDS = """# Command line

Made from the program's own help, `astrid-training COMMAND --help`. Each command takes `--json` and
then writes one JSON document to stdout; only `demo` does not, whose last line on stdout is JSON anyway. What
people read goes to stderr. Exit codes: 0 done, 1 refused or failed with a reason, 2 wrong usage.
The options of `collect` are the [parameters](parameters.md); those not given keep the deployment's
defaults.

{commands}"""


def parameters_page() -> str:
    """Return the Markdown page of the collection's parameters, nested models after the main one."""
    return _PARAMETERS.format(tables="\n".join(_models()))


def training_parameters_page() -> str:
    """Return the Markdown page of a training's parameters."""
    return _TRAINING.format(table=_fields(TrainingParams, TrainingParams.model_json_schema()))


def _models() -> Iterator[str]:
    schema = TrainingDataCollectionParams.model_json_schema()
    definitions = schema.pop("$defs")
    yield _fields(TrainingDataCollectionParams, schema)
    for name, field in TrainingDataCollectionParams.model_fields.items():
        for model in (field.annotation, *get_args(field.annotation)):
            if not (isinstance(model, type) and issubclass(model, BaseModel)):
                continue
            inner = definitions[model.__name__]
            yield f"## {inner['title']}: `{name}`\n\n{inner['description']}\n\n{_fields(model, inner)}"


def _fields(model: type[BaseModel], schema: dict[str, Any]) -> str:
    lines = ["| parameter | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "see below" if isinstance(default, BaseModel) else _value(default)
        shown = "must be given" if field.is_required() else shown
        said = schema["properties"][name]
        lines.append(f"| `{name}` | {_kind(said)} | {shown} | {said['description']} |")
    return "\n".join(lines) + "\n"


def _value(default: object) -> str:
    if default is None:
        return "none"
    text = ", ".join(default) if isinstance(default, tuple) else str(default)
    return f"`{text.lower() if isinstance(default, bool) else text}`"


def _kind(said: dict[str, Any]) -> str:
    """Return the type of a JSON schema's property in words, with its bounds."""
    some = next(one for one in said.get("anyOf", [said]) if one.get("type") != "null")
    if "$ref" in some:
        return str(some["$ref"]).rpartition("/")[2]
    if "enum" in some or "const" in some:
        return " or ".join(f"`{value}`" for value in some.get("enum", [some.get("const")]))
    if "prefixItems" in some:
        return " and ".join(_kind(one) for one in some["prefixItems"])
    kind = f"list of {_kind(some['items'])}" if some["type"] == "array" else some["type"]
    bounds = [text.format(some[key]) for key, text in BOUNDS.items() if key in some]
    return ", ".join([str(some.get("format", kind)), *bounds])


def reasons_page() -> str:
    """Return the Markdown page of the reasons."""
    return _REASONS.format(rows=_meanings(REASONS), alerts=_meanings(ALERT_REASONS))


def _meanings(reasons: Mapping[str, str]) -> str:
    return "\n".join(f"| `{code}` | {why} |" for code, why in reasons.items())


def command_line_page() -> str:
    """Return the Markdown page of the commands, in the order in which the program lists them."""
    return _COMMANDS.format(commands="\n".join(_command(*one) for one in all_commands().items()))


def all_commands() -> dict[str, Any]:
    """Return the commands by name, those of a group as `group command`."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # a group
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {n}": c for n, c in inner.items()}
    return found


def retries_page() -> str:
    """Return the Markdown page of retries and timeouts."""
    rows = [f"| {kind.name} | {kind.retries or 'none'} | {kind.reason} |" for kind in KINDS]
    beats = SOCKET["keepalives_interval"] * SOCKET["keepalives_count"]
    return _RETRIES.format(
        rows="\n".join(rows),
        connect=SOCKET["connect_timeout"],
        statement=STATEMENT_TIMEOUT_MS / 1000,
        answer=ANSWER_S,
        keep=SOCKET["keepalives_idle"] + beats,
        user=SOCKET["tcp_user_timeout"] / 1000,
        idle=IDLE_TIMEOUT_MS / 1000,
        pool=POOL["pool_size"] + POOL["max_overflow"],
        pool_wait=POOL["pool_timeout"],
        store_connect=PATIENT.connect_s,
        silence=PATIENT.silence_s,
        retries=PATIENT.retries,
        worker=LONGEST_S,
    )


def rest_page() -> str:
    """Return the Markdown page of the REST API."""
    return markdown_page(create_app().openapi())


def _command(name: str, command: Any) -> str:  # noqa: ANN401 - typer does not export its click classes
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([f"astrid-training {name}", *(one.name.upper() for one in arguments)])
    lines = [f"## {name}", "", f"`{usage}`", "", re.sub(r"\s*\n\n\s*", "\n\n", command.help), ""]
    told = [_option(one) for one in command.params if one.name != "as_json"]
    if told:
        lines += ["| argument or option | default | meaning |", "| --- | --- | --- |", *told, ""]
    return "\n".join(lines)


def _option(option: Any) -> str:  # noqa: ANN401 - the same
    is_argument = option.param_type_name == "argument"
    names = option.name.upper() if is_argument else ", ".join(option.opts)
    default = "" if option.default in (None, False) else f"`{option.default}`"
    return f"| `{names}` | {'needed' if option.required else default} | {option.help} |"


PAGES: MappingProxyType[str, Callable[[], str]] = MappingProxyType(
    {
        "command-line.md": command_line_page,
        "parameters.md": parameters_page,
        "reasons.md": reasons_page,
        "rest-api.md": rest_page,
        "retries.md": retries_page,
        "samples-table.md": columns_page,
        "survey-profiles.md": profiles_page,
        "training-parameters.md": training_parameters_page,
    }
)
"""Name of the page in docs/reference -> what makes it."""


def write_pages(folder: Path = REFERENCE) -> None:
    """Write all pages into `folder`."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_pages()
