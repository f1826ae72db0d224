"""`astrid-training review`: a queue made and shown again, and what makes no sense refused."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deployments.cli import app


@pytest.fixture
def run(sky: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    url = sky.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("ASTRID_TRAINING_HOME", str(sky.home))
    monkeypatch.setenv("ASTRID_DATABASE_URL", url)
    return lambda *arguments: CliRunner().invoke(app, ["review", *arguments])


def test_a_queue_is_written_and_shown_again(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "queue.csv"
    made = run("make", "--survey-ids", "sim_ztf", "--count", "12", "-o", str(file))
    assert made.exit_code == 0, made.output
    rows = list(csv.DictReader(file.open()))
    queue_id = made.output.split("queue ")[1].split(":")[0]

    shown = json.loads(run("show", queue_id, "--reasons", "--json").stdout)

    assert [one["detection_id"] for one in shown["items"]] == [row["detection_id"] for row in rows]
    assert len(rows) == 12
    assert "score" not in rows[0]
    assert {one["selected_for"] for one in shown["items"]} == {"queue", "random_audit"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--date-range", "2026-02-01,2026-01-01"], "give the earlier one first"),
        (["--audit-share", "0.01"], "audit_share"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(run: Any, options: list[str], sentence: str) -> None:
    refused = run("make", *options, "--json")

    assert refused.exit_code == 2
    assert sentence in json.loads(refused.stdout)["error"]
