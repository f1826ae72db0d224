"""`astrid-training collect`, as a person calls it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from deployments.collect_command import parameters_from
from tests.deployments.small_survey import cli, cli_here


def test_the_command_line_collects_and_tells_all_as_json(ready: Any) -> None:
    got = cli(
        ready,
        *("collect", "--name", "by hand", "--survey-ids", "sim_small"),
        *("--quality-score-threshold", "0", "--allow-sparse-splits", "true"),
        *("--preprocess", '{"softening": 5}'),  # pixels that no other test builds
        *("--trigger-training", "false", "--json"),
    )

    assert got.returncode == 0, got.stderr
    outcome = json.loads(got.stdout)
    assert {
        *("dataset_id", "name", "version_id", "total_samples", "splits", "classes"),
        *("anomaly_ratio", "quality_score", "digests", "funnel", "flow_run_id", "mlflow_run_id"),
    } <= set(outcome)
    assert set(outcome["funnel"][0]) == {"step", "reason", "count"}
    listed = json.loads(cli_here(ready.home, "datasets", "--name", "by hand", "--json").stdout)
    assert [one["dataset_id"] for one in listed] == [outcome["dataset_id"]]
    shown = json.loads(cli_here(ready.home, "show", outcome["dataset_id"], "--json").stdout)
    assert shown["total_samples"] == outcome["total_samples"]
    page = ready.home / "report.html"
    assert cli_here(ready.home, "report", "by hand", "-o", str(page)).exit_code == 0
    assert "by hand" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "sentence"),
    [
        pytest.param(
            ["--survey-ids", "hubble"],
            {},
            1,
            "no survey named hubble",
            marks=pytest.mark.slow,  # what a run refuses is tested below
        ),
        (["--date-range", "2025-01-01,2024-01-01"], {}, 2, "give the earlier one first"),
        (["--max-samples", "0"], {}, 2, "max_samples"),
        (["--max-samples", "many"], {}, 2, "max_samples"),
        (["--split", '{"train": 0.5, "val": 0.1, "test": 0.1}'], {}, 2, "sum to 1"),
        (["--split", "{"], {}, 2, "split"),
        pytest.param(
            ["--survey-ids", "sim_small", "--bands", "none"],
            {},
            1,
            "no sample in train",
            marks=pytest.mark.slow,  # what a gate refuses is tested below
        ),
        (
            [],
            {"ASTRID_DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none"},
            1,
            "no database at",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    ready: Any,
    engine: Engine,
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    got = cli_here(ready.home, "collect", "--name", "refused", *arguments, "--json", **environment)

    assert got.exit_code == code, got.stderr
    assert sentence in json.loads(got.stdout)["error"]
    assert "Traceback" not in got.stderr
    with engine.connect() as connection:
        count = connection.execute(
            text("SELECT count(*) FROM training_datasets WHERE name = 'refused'")
        ).scalar_one()
    assert count == 0


def test_a_missing_server_is_named_with_its_cure(ready: Any) -> None:
    got = cli_here(ready.home, "collect", "--json", PREFECT_API_URL="http://127.0.0.1:1/api")

    assert got.exit_code == 1
    assert "astrid-training up" in json.loads(got.stdout)["error"]


def test_parameters_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("name: from file\nmax_samples: 7\nsurvey_ids: [a, b]\n")

    params = parameters_from({"max_samples": "8", "bands": "g, r"}, file)

    assert (params.name, params.max_samples) == ("from file", 8)
    assert (params.survey_ids, params.bands) == (["a", "b"], ["g", "r"])
