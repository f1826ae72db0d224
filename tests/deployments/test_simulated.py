"""A sky is made once for each database and store, not once for each home; each name gets its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import Result

from astrid_training.settings import Settings, resolve
from astrid_training.simulate import SkyPlan
from deployments.simulated import plans_for, simulate_sky
from tests.deployments.small_survey import cli_here

PLAN = SkyPlan(fields=1, epochs=1, frame_size=(220, 260), stars=20, galaxies=5, artifacts=1)


def test_another_database_or_store_gets_its_own_sky(
    database: Engine, databases: Any, tmp_path: Path
) -> None:
    other = databases.make(database.url.database)

    def settings(engine: Engine, store: str) -> Settings:
        url = engine.url.render_as_string(hide_password=False)
        return resolve(tmp_path / "home", database_url=url, store_url=str(tmp_path / store))

    def made(engine: Engine, store: str) -> bool:
        return bool(simulate_sky(settings(engine, store), PLAN, said.append, again=False)["added"])

    said: list[str] = []
    try:
        assert made(database, "a")
        assert not made(database, "a")
        assert made(database, "b")
        assert made(other, "b")
        assert list((tmp_path / "b").rglob("*.fits"))
        with other.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM surveys")).scalar_one() == 1
    finally:
        databases.drop(other)
    password = str(database.url.password)
    names = [path.name for path in (tmp_path / "home").rglob("*")]
    assert not [name for name in names if password in name]


@pytest.mark.parametrize(
    ("names", "layout", "expected"),
    [
        (None, None, [("sim_ztf", "ztf")]),
        (None, "jwst", [("sim_jwst", "jwst")]),
        ("hst,jwst", None, [("hst", "hst"), ("jwst", "jwst")]),
        ("sim_hst, hst,sim_hst", None, [("sim_hst", "hst"), ("hst", "hst")]),
        ("mine,yours", "hst", [("mine", "hst"), ("yours", "hst")]),
    ],
)
def test_each_name_is_a_survey_in_a_layout(
    names: str | None, layout: str | None, expected: list[tuple[str, str]]
) -> None:
    plans = plans_for(SkyPlan(), names, layout)

    assert [(plan.survey, plan.layout) for plan in plans] == expected


def _simulate(database: Engine, home: Path, *arguments: str) -> Result:
    return cli_here(
        home,
        *("simulate", *arguments, "--json"),
        ASTRID_DATABASE_URL=database.url.render_as_string(hide_password=False),
        ASTRID_STORE_URL=str(home / "store"),
    )


def test_the_command_makes_all_surveys_that_are_named_each_with_its_truth(
    database: Engine, tmp_path: Path
) -> None:
    got = _simulate(database, tmp_path, "--names", "hst,jwst", "--fields", "1", "--epochs", "1")

    assert got.exit_code == 0, got.stderr
    reports = json.loads(got.stdout)
    truths = {report["truth_path"] for report in reports}
    assert [report["survey"] for report in reports] == ["hst", "jwst"]
    assert len(truths) == 2
    assert all(Path(path).stat().st_size for path in truths)
    one = _simulate(database, tmp_path, "--layout", "hst", "--fields", "1", "--epochs", "1")
    assert json.loads(one.stdout)["survey"] == "sim_hst"


def test_a_name_without_a_layout_is_refused_before_anything_is_made(
    database: Engine, tmp_path: Path
) -> None:
    got = _simulate(database, tmp_path, "--names", "hst,hubble")

    assert got.exit_code == 1
    assert "hubble" in json.loads(got.stdout)["error"]
    assert "ztf, hst, jwst" in got.stderr
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM surveys")).scalar_one() == 0
