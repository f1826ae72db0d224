"""What people and machines are told of published datasets, and how one is withdrawn."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from astrid_training.settings import DERIVED, ENVIRONMENT
from deployments.cli import app

ROW = """
INSERT INTO training_datasets (
    id, name, status, version_id, created_at, collection_params, total_samples, anomaly_ratio,
    quality_score, quality_report, created_by, splits, classes, funnel, preprocess_spec,
    spec_fingerprint, query_digest, source_digest, label_digest, content_digest, split_digest,
    samples_key)
VALUES (
    :id, :name, 'active', :version, make_timestamptz(2026, 3, :day, 12, 0, 0, 'UTC'), '{}', 1, 0.5,
    0.9, '{"survey_coverage": {"ztf": 1}, "quality_score": 0.9}', 'ada', '{}', '{}', '[]', '{}', '',
    '', '', '', '', '', 'samples/x')
"""
Run = Callable[..., Any]


@pytest.fixture
def run(database: Engine, tmp_path: Path) -> Iterator[Run]:
    """Run a command on a database that holds versions of three days: a of 1 March, b and c."""
    before = dict(os.environ)  # a command sets this process's environment
    for variable in (*ENVIRONMENT.values(), DERIVED):
        os.environ.pop(variable, None)
    url = database.url.render_as_string(hide_password=False)
    os.environ |= {"ASTRID_TRAINING_HOME": str(tmp_path), "ASTRID_DATABASE_URL": url}
    with database.begin() as connection:
        for day, name in enumerate("abc", start=1):
            version = ("f" if name in "ab" else "e") * 16
            values = {"id": uuid4(), "name": name, "version": version, "day": day}
            connection.execute(text(ROW), values)
    yield lambda *arguments: CliRunner().invoke(app, arguments)
    os.environ.clear()
    os.environ |= before


def names(result: Any) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [one["name"] for one in json.loads(result.stdout)]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["c", "b", "a"]),
        (["--created-from", "2026-03-02"], ["c", "b"]),
        (["--created-to", "2026-03-02T12:00"], ["a"]),
        (["--survey", "ztf", "--created-by", "ada", "--least-quality", "0.9"], ["c", "b", "a"]),
        (["--survey", "hst"], []),
        (["--limit", "1", "--offset", "1"], ["b"]),
    ],
)
def test_datasets_are_listed_by_what_is_asked(
    run: Run, options: list[str], found: list[str]
) -> None:
    assert names(run("datasets", *options, "--json")) == found


def test_a_page_says_how_many_there_are_and_where_the_next_begins(run: Run) -> None:
    assert "2 of 3; --offset 2 shows the next" in run("datasets", "--limit", "2").stderr
    last = run("datasets", "--limit", "2", "--offset", "2").stderr
    assert "1 of 3" in last
    assert "the next" not in last
    assert " of " not in run("datasets").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["datasets", "--status", "done"],
        ["datasets", "--created-from", "yesterday"],
        ["datasets", "--offset", "-1"],
        ["revoke", "a"],
        ["revoke", "a", "--reason", " "],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_revoked_dataset_is_told_with_who_when_why_and_what_else_to_look_at(run: Run) -> None:
    result = run("revoke", "a", "--reason", "wrong reference", "--json")

    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["event"], told["reason"]) == ("revoked", "wrong reference")
    assert [one["name"] for one in told["look_at"]] == ["b"]
    assert "look at b ffffffffffffffff" in result.stderr
    assert names(run("datasets", "--status", "revoked", "--json")) == ["a"]
    shown = json.loads(run("show", told["dataset_id"], "--json").stdout)
    assert [event["reason"] for event in shown["events"]] == ["wrong reference"]


def test_revoking_again_tells_who_was_first(run: Run) -> None:
    first = json.loads(run("revoke", "a", "--reason", "wrong reference", "--json").stdout)

    again = json.loads(
        run("revoke", first["dataset_id"], "--reason", "another one", "--json").stdout
    )

    assert again == first


def test_a_dataset_that_is_not_there_is_one_sentence(run: Run) -> None:
    result = run("revoke", "nothing", "--reason", "x", "--json")

    assert result.exit_code == 1
    assert "lists those there are" in json.loads(result.stdout)["error"]


def test_quality_tells_the_report_and_what_was_learnt_since(run: Run, database: Engine) -> None:
    with database.begin() as connection:
        connection.execute(text("""UPDATE training_datasets SET metrics = '{"model_f1": 0.9}'"""))

    told: dict[str, Any] = json.loads(run("quality", "a", "--json").stdout)

    assert told["quality_score"] == 0.9
    assert told["metrics"] == {"model_f1": 0.9}


def test_lineage_is_told_by_the_database_alone_where_store_and_mlflow_are_away(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    result = run("lineage", "eeeeeeeeeeee")

    assert result.exit_code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert "dataset c eeeeeeeeeeeeeeee (active), 1 samples" in lines[0]
    assert "named by version" in lines
    assert "model none was trained on it" in lines
    assert sum(line.startswith("not known") for line in lines) == 2
    told = json.loads(run("lineage", "c", "--json").stdout)
    assert (told["dataset"]["name"], told["meant"]["by"]) == ("c", "name")


def test_what_nothing_is_called_has_no_lineage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    result = run("lineage", "nothing", "--json")

    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert "neither dataset nor model 'nothing'" in error
    assert "MLflow at http://127.0.0.1:9 does not answer" in error
