"""`astrid-training verify` tells people and machines, and its exit code tells scripts."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from astrid_training.audit import read_audit
from astrid_training.settings import DERIVED, ENVIRONMENT
from deployments.cli import app

Run = Callable[..., Any]


@pytest.fixture
def run(collected: Any) -> Run:
    """Run a command where the collected dataset is."""
    for variable in (*ENVIRONMENT.values(), DERIVED):
        os.environ.pop(variable, None)
    os.environ |= {
        "ASTRID_TRAINING_HOME": str(collected.folder.parent),
        "ASTRID_DATABASE_URL": collected.engine.url.render_as_string(hide_password=False),
        "ASTRID_STORE_URL": f"file://{collected.folder}",
        "MLFLOW_TRACKING_URI": collected.places.tracking_uri,
    }
    return lambda *arguments: CliRunner().invoke(app, ["verify", *arguments])


def test_a_sound_dataset_is_told_so(run: Run, collected: Any) -> None:
    result = run("verified", "--json")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"datasets": 1, "findings": [], "repairs": []}
    assert f"verified {collected.dataset.version_id} (active)" in result.stderr
    assert run("--all", "--quick").exit_code == 0


def test_a_finding_fails_the_command_and_a_repair_ends_that(run: Run, collected: Any) -> None:
    collected.execute("UPDATE training_datasets SET total_samples = 7 WHERE id = :id")

    result = run("--all", "--json")

    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["kind"] == "dataset_row"
    assert finding["problem"].startswith("its total_samples is 7")
    assert finding["cure"] in result.stderr
    mended = run(collected.dataset_id, "--repair", "--json")
    assert mended.exit_code == 0, mended.stderr
    assert json.loads(mended.stdout)["findings"] == []
    assert len(json.loads(mended.stdout)["repairs"]) == 1
    assert run("verified").exit_code == 0
    deed = read_audit(collected.engine, subject=collected.dataset_id)[0]
    assert (deed.action, deed.detail) == ("repaired", {"what": "dataset_row"})


def test_rows_that_refer_to_nothing_are_told_when_all_are_asked_for(
    run: Run, collected: Any
) -> None:
    collected.execute("UPDATE training_datasets SET derived_from = gen_random_uuid()")

    assert run("verified").exit_code == 0
    result = run("--all", "--quick")

    assert result.exit_code == 1
    assert "references" in result.stderr


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["a", "--all"], 2), (["nobody"], 1)])
def test_what_cannot_be_meant_is_refused(run: Run, arguments: list[str], code: int) -> None:
    assert run(*arguments).exit_code == code
