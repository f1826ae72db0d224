"""A failure that people can cure is one sentence; a bug keeps its traceback."""

import json
from uuid import uuid4

import httpx
import pytest
import typer

from astrid_training.errors import CollectionRefusedError, DatasetNotFoundError, FunnelError
from astrid_training.migrate import MigrationError
from astrid_training.settings import SettingsError
from astrid_training.simulate import PlanError
from blocks.places import BlockNotFoundError
from deployments.bootstrap import BootstrapError
from deployments.collect_command import CollectionFailedError
from deployments.console import reported
from deployments.embedded.processes import StackError
from tasks.deployment_runs import ServerUnavailableError


@pytest.mark.parametrize(
    "error",
    [
        *(kind("cause;\ncure") for kind in (SettingsError, PlanError, MigrationError, StackError)),
        *(kind("cause;\ncure") for kind in (BlockNotFoundError, BootstrapError)),
        *(kind("cause;\ncure") for kind in (DatasetNotFoundError, CollectionRefusedError)),
        ServerUnavailableError("cause;\ncure"),
        CollectionFailedError("cause;\ncure", str(uuid4())),
        PermissionError("cause;\ncure"),
    ],
)
def test_what_people_can_cure_is_one_sentence(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, reported(as_json=True):
        raise error

    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out) == {"error": "cause; cure"}


def test_a_server_that_lets_nobody_in_without_its_password_says_where_it_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = httpx.Request("GET", "https://prefect.example.org/api/flows")
    refused = httpx.HTTPStatusError("401", request=request, response=httpx.Response(401))

    with pytest.raises(typer.Exit), reported(as_json=True):
        raise refused

    assert "set PREFECT_API_AUTH_STRING" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    "bug",
    [
        httpx.HTTPStatusError(
            "500", request=httpx.Request("GET", "http://x"), response=httpx.Response(500)
        ),
        KeyError("x"),
        IndexError(),
        TypeError(),
        ValueError("x"),
        RuntimeError(),
        FunnelError(),
    ],
)
def test_a_bug_keeps_its_traceback(bug: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(bug)) as caught, reported(as_json=True):
        raise bug

    assert caught.value is bug
    assert capsys.readouterr().out == ""


def test_an_end_with_a_code_stays_that_end() -> None:
    with pytest.raises(typer.Exit) as ended, reported():
        raise typer.Exit(2)

    assert ended.value.exit_code == 2
