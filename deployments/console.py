"""What every command shares: one JSON document or lines for people, and one sentence on failure."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
import yaml
from rich.console import Console

from astrid_training.settings import Settings, SettingsError, apply_environment, resolve

__all__ = [
    "FAILED",
    "LET_IN",
    "USAGE",
    "Json",
    "fail",
    "print_json",
    "ready",
    "reported",
    "say",
    "say_document",
    "say_table",
]

FAILED, USAGE = 1, 2
"""Exit codes: refused or failed with a reason; asked for in a way that makes no sense."""

LET_IN = "set PREFECT_API_AUTH_STRING to what the server has as PREFECT_SERVER_API_AUTH_STRING"

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]

UNAUTHORIZED = 401
OURS = frozenset({"astrid_training", "blocks", "deployments", "flows", "tasks"})

_people = Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Tell people something: on stderr, so that stdout stays for machines."""
    _people.print(line, markup=False)


def say_document(document: object) -> None:
    """Tell people what a document holds, as indented lines."""
    plain = json.loads(json.dumps(document, default=str))
    say(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100).rstrip())


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Tell people a table; columns whose title begins with a space hold numbers."""
    lines: list[Sequence[str]] = [[title.strip() for title in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if title.startswith(" ") else cell.ljust(width)
            for cell, width, title in zip(line, widths, columns, strict=True)
        ]
        say("  ".join(cells).rstrip())


def print_json(document: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def fail(message: str, code: int = FAILED, *, as_json: bool = False, **facts: Any) -> NoReturn:  # noqa: ANN401 - any JSON value
    """End the command with one sentence, and with a JSON document where that was asked for."""
    if as_json:
        print_json({"error": message, **facts})
    say(f"error: {message}")
    raise typer.Exit(code)


@contextmanager
def reported(*, as_json: bool = False) -> Iterator[None]:
    """Turn the failures that people can cure into one sentence and exit code 1.

    These are our own errors, which say their cure, the operating system's, and a Prefect server's
    that does not let us in. A failure of any other kind is a bug and keeps its traceback.
    """
    try:
        yield
    except (OSError, LookupError, ValueError, RuntimeError) as error:
        if not _is_curable(error):
            raise
        fail(_sentence(error), as_json=as_json)
    except Exception as error:
        if not _lacks_password(error):
            raise
        fail(f"the Prefect server wants another password; {LET_IN}", as_json=as_json)


def ready(*, as_json: bool = False) -> Settings:
    """Return the settings after making them this process's environment."""
    try:
        settings = resolve()
    except SettingsError as error:
        fail(_sentence(error), USAGE, as_json=as_json)
    apply_environment(settings)
    return settings


def _is_curable(error: Exception) -> bool:
    # by where the class is defined: importing them all would bring Prefect to every command
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in OURS


def _lacks_password(error: Exception) -> bool:
    # by what it holds: importing httpx would cost every command a fifth of a second
    return getattr(getattr(error, "response", None), "status_code", None) == UNAUTHORIZED


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
