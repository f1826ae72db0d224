"""Who did what, as people ask for it: at the command line and over REST."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from astrid_training.api_tokens import create_token, revoke_token
from deployments.cli import app
from tests.deployments.api.conftest import authorized, settings_of

pytestmark = pytest.mark.trust


@pytest.fixture
def told(database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A database in which something was done, in the environment of commands."""
    create_token(database, "web", ["manage"], "ada")
    revoke_token(database, "web", "bob")
    url = database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ASTRID_DATABASE_URL", url)
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(tmp_path))
    monkeypatch.setattr("deployments.console.apply_environment", lambda settings: None)
    return CliRunner()


def test_the_command_tells_people_and_machines(told: CliRunner) -> None:
    people = told.invoke(app, ["audit"]).stderr.splitlines()
    assert [line[21:] for line in people] == [
        "token revoked    web  by bob",
        "token created    web  by ada  scopes ['manage']",
    ]
    rows = json.loads(told.invoke(app, ["audit", "--by", "ada", "--json"]).stdout)
    assert [(row["action"], row["subject"]) for row in rows] == [("token created", "web")]
    assert json.loads(told.invoke(app, ["audit", "--subject", "other", "--json"]).stdout) == []


def test_the_api_tells_the_same(told: CliRunner, database: Engine, tmp_path: Path) -> None:
    from deployments.api import create_app

    token = create_token(database, "auditor", ["manage"], "ada")
    client = authorized(create_app(settings_of(database, tmp_path)), token)
    deeds = client.get("/training/audit", params={"subject": "web"}).json()["deeds"]

    assert [(one["action"], one["by"]) for one in deeds] == [
        ("token revoked", "bob"),
        ("token created", "ada"),
    ]
    assert client.get("/training/audit?limit=1").json()["deeds"][0]["subject"] == "auditor"
    assert client.get("/training/audit?limit=0").status_code == 422
