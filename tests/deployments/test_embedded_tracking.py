"""MLflow's server begins with a database of its own version's schema."""

import runpy
import sqlite3
import sys
from pathlib import Path

import pytest
from alembic import command
from mlflow.db import commands
from mlflow.store.db.utils import _get_alembic_config  # the one way down, for a test alone

from deployments.embedded.tracking import main


def test_a_database_of_an_older_mlflow_is_upgraded_before_it_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    database = f"sqlite:///{path}"
    commands(["upgrade", database], standalone_mode=False)
    newest = schema_of(path)
    command.downgrade(_get_alembic_config(database), "-1")  # type: ignore[no-untyped-call]  # MLflow lacks it
    assert schema_of(path) != newest
    served = []

    def serve(module: str, **_: object) -> None:
        served.append((module, sys.argv[1:], schema_of(path)))

    monkeypatch.setattr(runpy, "run_module", serve)
    monkeypatch.setattr(sys, "argv", ["tracking", database, "server"])
    main()

    assert served == [("mlflow", ["server"], newest)]


def schema_of(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        (name,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(name)
